"""A rule: one condition on one metric, with its levels, delays and the source of its numbers.

A rule has exactly one condition: `levels`, `state`, `rate`, `forecast` or `absent`. With `expression` its levels judge
a number made of several signals, kept in the unit of `metric`. Numbers are in the metric's base unit
(`facility.metrics`). Durations are written with a unit (`30s`, `5m`, `1h`) and kept in milliseconds.

`Rule.revision` is a hash of what decides *how* a sample is judged: metric, condition with its defaults filled in,
delays and gap. It leaves out title and source (words for people) and select, unless, thresholds_set, where, hours and
enabled (they decide *whether* a point is judged and are applied anew at every reload). So a typo fixed in a title
restarts no timer, `300s` and `5m` are the same rule, and a moved limit is another.
"""

import difflib
import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Self

import msgspec
from pydantic import BeforeValidator, Field, field_validator, model_validator

from facility.config import ConfigProblem
from facility.ids import is_slug
from facility.metrics import Metric, UnknownMetricError
from facility.metrics import metric as register_entry
from facility.severity import Severity
from facility.states import UNKNOWN
from rules.durations import write_duration
from rules.parts import (
    DEFAULT_GAP_MS,
    FORECAST_LEVEL,
    HIGH_LEVELS,
    LOW_LEVELS,
    RATE_LEVEL,
    Absent,
    Duration,
    Expression,
    Flap,
    Forecast,
    Hours,
    Levels,
    Part,
    Rate,
    Select,
    Threshold,
    Title,
    Where,
    flap_or_none,
)
from rules.shapes import state_words

CONDITIONS = ("levels", "state", "rate", "forecast", "absent")


class Rule(Part):
    """One rule of a file.

    unless: selections of devices that other rules judge instead. hours: when it may raise, always if not said.
    gap: how long a value holds without a newer one (see `rules.engine`). keep: states that neither raise nor clear a
    state rule, besides `unknown`: a UPS that went from battery to no output at all has not recovered.
    """

    id: str
    title: Title
    metric: str
    where: Where = Where.EDGE
    select: Select = Select()
    unless: tuple[Select, ...] = ()
    hours: Hours | None = None
    expression: Expression | None = None
    thresholds_set: str | None = None
    levels: Levels | None = None
    state: Annotated[Mapping[str, Severity], BeforeValidator(state_words)] | None = None
    keep: tuple[str, ...] = ()
    rate: Rate | None = None
    forecast: Forecast | None = None
    absent: Absent | None = None
    for_: Duration = Field(default=0, alias="for")
    clear_for: Duration = 0
    deadband: float = Field(default=0.0, ge=0)
    gap: Duration = Field(default=DEFAULT_GAP_MS, gt=0)
    flap: Annotated[Flap | None, BeforeValidator(flap_or_none)] = Flap()
    source: str | None = Field(default=None, min_length=3)
    enabled: bool = True

    @field_validator("id")
    @classmethod
    def _is_slug(cls, value: str) -> str:
        if not is_slug(value):
            raise ValueError("an id is 1 to 63 of a-z 0-9 _ -, a letter or digit at both ends")
        return value

    @field_validator("metric")
    @classmethod
    def _is_registered(cls, value: str) -> str:
        try:
            register_entry(value)
        except UnknownMetricError as exc:
            raise ValueError(str(exc)) from exc
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        given = [name for name in CONDITIONS if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) if given else "none"
            raise ValueError(f"a rule has exactly one of {', '.join(CONDITIONS)}; found {found}")
        entry = register_entry(self.metric)
        if self.levels is not None:
            self._check_levels(self.levels, entry)
        elif self.state is not None:
            self._check_state(self.state, entry)
        elif self.absent is None and entry.states is not None:
            raise ValueError(f"{self.metric} is a state: it has no {given[0]}")
        elif self.absent is not None and (self.for_ or self.clear_for or self.deadband):
            raise ValueError("an absent rule has only `after`: no for, clear_for or deadband")
        if self.absent is not None and self.hours is not None:
            raise ValueError("an absent rule has no hours: data that do not come are news at any time")
        if self.keep and self.state is None:
            raise ValueError("`keep` belongs to a state rule")
        if self.expression is not None and self.levels is None:
            raise ValueError("an expression is judged by `levels`")
        if self.forecast is not None and self.deadband:
            raise ValueError("a forecast has no deadband: it ends at its `clear`")
        self._check_source()
        return self

    def _check_levels(self, levels: Levels, entry: Metric) -> None:
        if entry.states is not None:
            raise ValueError(f"{self.metric} is a state ({', '.join(entry.states.words)}): use `state`, not `levels`")
        for names, sign in ((HIGH_LEVELS, 1), (LOW_LEVELS, -1)):
            side = levels.side(names)
            if [name for name, _ in side] != list(names[: len(side)]):
                raise ValueError(f"{side[-1][0]} needs {names[len(side) - 1]}: levels of a side start at {names[0]}")
            for (mild, milder), (strong, stronger) in pairwise(side):
                if sign * (stronger.limit - milder.limit) <= 0:
                    beyond = "above" if sign > 0 else "below"
                    raise ValueError(f"{strong} ({stronger.limit:g}) must lie {beyond} {mild} ({milder.limit:g})")
                if milder.severity.worse_than(stronger.severity):
                    raise ValueError(f"{strong} is milder ({stronger.severity}) than {mild} ({milder.severity})")
        thresholds = self.thresholds
        if not thresholds:
            raise ValueError("levels needs at least one of " + ", ".join((*HIGH_LEVELS, *LOW_LEVELS)))
        for level in thresholds:
            low, high = entry.minimum, entry.maximum
            if (low is not None and level.limit < low) or (high is not None and level.limit > high):
                raise ValueError(
                    f"{level.id} limit {level.limit:g} is outside what {self.metric} can be: {_span(entry)}"
                )
            if level.sign * (level.clear - level.limit) > 0:
                raise ValueError(f"{level.id} clears at {level.clear:g}, which is beyond its limit {level.limit:g}")
        highs = [level for level in thresholds if level.sign > 0]
        lows = [level for level in thresholds if level.sign < 0]
        if highs and lows:
            if min(level.clear for level in highs) < lows[0].limit:
                raise ValueError("a high level clears only below the lo limit: it would never be normal in between")
            if max(level.clear for level in lows) > highs[0].limit:
                raise ValueError("a low level clears only above the hi limit: it would never be normal in between")

    def _check_state(self, words: Mapping[str, Severity], entry: Metric) -> None:
        if entry.states is None:
            raise ValueError(f"{self.metric} is a number in {entry.unit}: use `levels`, not `state`")
        if not words:
            raise ValueError("state needs at least one word")
        if self.deadband:
            raise ValueError("a state has no deadband")
        for word in (*words, *self.keep):
            if word not in entry.states.words:
                near = difflib.get_close_matches(str(word), entry.states.words, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ValueError(f"{word!r} is no state of {self.metric}: {', '.join(entry.states.words)}{hint}")
        if both := set(words) & set(self.keep):
            raise ValueError(f"{', '.join(sorted(both))} cannot both alarm and be kept")
        if not self.calm_states:
            raise ValueError("every state alarms or is kept: none is left that could clear it")

    def _check_source(self) -> None:
        if self.source is not None:
            return
        levels = [] if self.levels is None else self.levels.side(HIGH_LEVELS) + self.levels.side(LOW_LEVELS)
        if not levels:
            raise ValueError("`source` is missing: name the standard and clause, or `editable default`")
        for name, level in levels:
            if level.source is None:
                raise ValueError(f"`source` is missing for {name}: name it on the rule or on the level")

    @cached_property
    def thresholds(self) -> tuple[Threshold, ...]:
        """The numeric levels, high side then low side, mildest first; a rate's limits are per `per`, a forecast's is
        the time left in seconds.
        """
        found: list[Threshold] = []
        if self.levels is not None:
            for names, sign in ((HIGH_LEVELS, 1), (LOW_LEVELS, -1)):
                for rank, (name, level) in enumerate(self.levels.side(names)):
                    clear = level.clear if level.clear is not None else level.limit - sign * self.deadband
                    for_ms = level.for_ if level.for_ is not None else self.for_
                    found.append(Threshold(name, sign, rank, level.limit, clear, for_ms, level.severity))
        elif self.rate is not None:
            for limit, sign in ((self.rate.rise, 1), (self.rate.fall, -1)):
                if limit is not None:
                    clear = sign * max(0.0, limit - self.deadband)
                    found.append(Threshold(RATE_LEVEL, sign, 0, sign * limit, clear, self.for_, self.rate.severity))
        elif self.forecast is not None:
            left, clear, severity = self.forecast.within / 1000, self.forecast.clear_ms / 1000, self.forecast.severity
            found.append(Threshold(FORECAST_LEVEL, -1, 0, left, clear, self.for_, severity))
        return tuple(found)

    @cached_property
    def calm_states(self) -> frozenset[str]:
        """The words that clear a state rule."""
        states = register_entry(self.metric).states
        if states is None or self.state is None:
            return frozenset()
        return frozenset(states.words) - set(self.state) - set(self.keep) - {UNKNOWN}

    @cached_property
    def revision(self) -> str:
        """16 hex digits naming how this rule judges; see the module's words on what is in it."""
        content = {
            "metric": self.metric,
            "levels": [msgspec.to_builtins(level) for level in self.thresholds],
            "rate": None if self.rate is None else [self.rate.per, self.rate.window_ms],
            "state": None if self.state is None else {word: str(severity) for word, severity in self.state.items()},
            "forecast": None if self.forecast is None else self.forecast.model_dump(mode="json", exclude={"severity"}),
            "expression": None if self.expression is None else self.expression.model_dump(mode="json"),
            "keep": sorted(self.keep),
            "absent": None if self.absent is None else [self.absent.after, str(self.absent.severity)],
            "for": self.for_ if self.state is not None else None,
            "clear_for": self.clear_for,
            "gap": self.gap,
            "flap": None if self.flap is None else [self.flap.changes, self.flap.within, self.flap.hold],
        }
        body = msgspec.json.encode(content, order="deterministic")
        return hashlib.blake2b(body, digest_size=8).hexdigest()

    @property
    def sources(self) -> str:
        """The rule's source, then those of its levels, for people."""
        texts = [] if self.source is None else [self.source]
        if self.levels is not None:
            for name, level in self.levels.side(HIGH_LEVELS) + self.levels.side(LOW_LEVELS):
                if level.source is not None:
                    texts.append(f"{name} {level.limit:g}: {level.source}")
        return "; ".join(texts)

    def summary(self) -> str:
        """The condition in one short line, e.g. `hi > 27 minor after 2m`."""
        if self.state is not None:
            return ", ".join(f"{word} {severity}" for word, severity in self.state.items()) + _after(self.for_)
        if self.absent is not None:
            return f"no data for {write_duration(self.absent.after)} {self.absent.severity}"
        if self.forecast is not None:
            ahead = self.forecast
            goal = f"{ahead.direction}s to {ahead.limit:g} within {write_duration(ahead.within)}"
            return f"{goal} {ahead.severity}{_after(self.for_)}"
        made = "" if self.expression is None else f"{self.expression.value}: "
        per = "" if self.rate is None else f" per {write_duration(self.rate.per)}"
        return made + ", ".join(
            f"{level.id} {'>' if level.sign > 0 else '<'} {level.limit:g}{per} {level.severity}{_after(level.for_ms)}"
            for level in self.thresholds
        )


def _after(for_ms: int) -> str:
    return f" after {write_duration(for_ms)}" if for_ms else ""


def _span(entry: Metric) -> str:
    low = -math.inf if entry.minimum is None else entry.minimum
    high = math.inf if entry.maximum is None else entry.maximum
    return f"{low:g} to {high:g} {entry.unit}"


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules by id, in file order. Built by `rules.files`, which refuses two of one id. special: made by overrides.

    idle: what stands in the files, is right by itself, and will never judge anything.
    """

    rules: tuple[Rule, ...] = ()
    special: frozenset[str] = frozenset()
    idle: tuple[ConfigProblem, ...] = field(default=(), compare=False)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    def get(self, rule_id: str) -> Rule | None:
        return next((rule for rule in self.rules if rule.id == rule_id), None)

    @property
    def thresholds_sets(self) -> frozenset[str]:
        """The names a room may choose."""
        return frozenset(rule.thresholds_set for rule in self.rules if rule.thresholds_set is not None)

    @property
    def metrics(self) -> frozenset[str]:
        """The metrics whose readings these rules need."""
        return frozenset(
            metric
            for rule in self.rules
            for metric in (
                [rule.metric]
                if rule.expression is None
                else [signal.metric for signal in rule.expression.signals.values()]
            )
        )

    def overlaid(self, site: "RuleSet") -> "RuleSet":
        """These rules with a site's own: one of the same id replaces, a new one is added. `enabled: false` removes."""
        own = {rule.id: rule for rule in site.rules}
        known = {rule.id for rule in self.rules}
        kept = tuple(own.get(rule.id, rule) for rule in self.rules)
        return RuleSet(kept + tuple(rule for rule in site.rules if rule.id not in known))

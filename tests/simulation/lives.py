"""An agent's lives: what went in and came out of each, what its disk had when it ended, what the next may not know."""

import asyncio
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from agent.app import Agent
from collectors.exchange import PollOutcome
from facility.alarms import AlarmEvent
from facility.clock import now_ms
from facility.items import EARLIEST_MS
from facility.reading import Reading
from rules.facts import DeviceFacts
from rules.model import RuleSet
from tests.simulation.model import PlainRule
from tests.simulation.rulebook import plain_rules


@dataclass(frozen=True)
class Watched:
    """Rules and devices an agent took up at `at` (ms), after so many polls and words of its own, and with timers let
    act up to `advanced`.
    """

    polls: int
    said: int
    at: int
    advanced: int
    rules: Mapping[str, PlainRule]
    devices: Set[str]

    def rule(self, device: str, rule: str) -> PlainRule | None:
        return self.rules.get(rule) if device in self.devices else None


@dataclass(frozen=True)
class Step:
    """A clock was set by `step_ms` to show `at`, after so many polls and words; timers had acted up to `advanced`."""

    polls: int
    said: int
    at: int
    advanced: int
    step_ms: int


Epoch = tuple[int, int]  # the number of a life, and how often its clock had been set: in one, times only go on


@dataclass
class Life:
    """One incarnation of an agent: what went in and came out of it, and what its disk had when it ended.

    moved: by how much the clock was set of one that began in 1970, in ms, and set_at: when (ms). What it had polled and
    said is here under the times that it got then. undated_ms: how long the first event had waited for that in vain.
    """

    number: int
    began_ms: int
    polled: list[PollOutcome] = field(default_factory=list)
    polled_at: list[float] = field(default_factory=list)
    accepted: list[tuple[float, Reading]] = field(default_factory=list)
    said: list[AlarmEvent] = field(default_factory=list)
    durable_readings: int = 0
    durable_events: set[tuple[str, int]] = field(default_factory=set)
    durable_blocks: set[Any] = field(default_factory=set)
    drops: dict[str, int] = field(default_factory=dict)
    held: int = 0
    thinned: int = 0
    moved: int = 0
    set_at: int = 0
    undated_ms: int = 0
    # What it watched, the first at its beginning; and how its clock was set, that of one that began in 1970 excepted.
    turns: list[Watched | Step] = field(default_factory=list)
    # What stood before could not be taken up.
    forgot: bool = False
    killed: float | None = None
    killed_ms: int = 0
    unsaved_since: float | None = None

    def clock_set(self, step_ms: int, now_ms: int) -> None:
        if self.began_ms + self.moved < EARLIEST_MS:
            self.moved += step_ms
            self.set_at = now_ms
        self.polled = [
            replace(each, readings=tuple(_moved(reading, step_ms) for reading in each.readings))
            if any(reading.taken_at < EARLIEST_MS for reading in each.readings)
            else each
            for each in self.polled
        ]
        self.said = [replace(event, at=event.at + step_ms) if event.at < EARLIEST_MS else event for event in self.said]
        self.turns = [
            replace(each, at=each.at + step_ms, advanced=each.advanced + step_ms) if each.at < EARLIEST_MS else each
            for each in self.turns
        ]

    def epoch(self, *, polls: int | None = None, said: int | None = None) -> Epoch:
        """In which a poll was made, or a word said, that so many came before."""
        steps = self.steps
        if polls is not None:
            return self.number, sum(step.polls <= polls for step in steps)
        assert said is not None
        return self.number, sum(step.said <= said for step in steps)

    @property
    def watched(self) -> list[Watched]:
        return [each for each in self.turns if isinstance(each, Watched)]

    @property
    def steps(self) -> list[Step]:
        return [each for each in self.turns if isinstance(each, Step)]

    def rule_of(self, place: int, device: str, rule: str) -> PlainRule | None:
        """The rule by which something was said."""
        watched = self.watched
        last = next(each for each in reversed(watched) if each is watched[0] or each.said <= place)
        return last.rule(device, rule)


def _moved(reading: Reading, step_ms: int) -> Reading:
    return msgspec.structs.replace(reading, taken_at=reading.taken_at + step_ms)


def follow(program: Agent, life: Life) -> None:
    """Note in a life what goes on in its program."""
    loop = asyncio.get_running_loop()
    engine, pipeline, journal = program.engine, program._pipeline, program.journal
    take, alarmed, keep = pipeline.take, pipeline.journal_alarms, journal.take
    notice, set_clock, reload = program.notice, program.clock_set, engine.reload
    began_with = {device.id for device in program.site.devices}
    life.turns.append(Watched(0, 0, life.began_ms, life.began_ms, plain_rules(engine.rules), began_with))

    def polled(outcome: PollOutcome) -> None:
        life.polled.append(outcome)
        life.polled_at.append(loop.time())
        take(outcome)

    def said(events: Sequence[AlarmEvent]) -> None:
        life.said.extend(events)
        alarmed(events)

    def kept(readings: Sequence[Reading]) -> None:
        life.accepted.extend((loop.time(), reading) for reading in readings)
        keep(readings)

    def noticed(what: str, detail: dict[str, str]) -> None:
        life.forgot |= what == "rule_state_lost"
        notice(what, detail)

    def clock_set(step_ms: int) -> None:
        at, advanced = now_ms(program._clock), engine._advanced
        if at - step_ms >= EARLIEST_MS:
            life.turns.append(Step(len(life.polled), len(life.said), at, advanced, step_ms))
        set_clock(step_ms)
        life.clock_set(step_ms, at)

    def reloaded(rules: RuleSet, devices: Sequence[DeviceFacts], *, now_ms: int) -> list[AlarmEvent]:
        names = {each.id for each in devices}
        if rules != engine.rules or names != life.watched[-1].devices:
            rules_now = plain_rules(rules)
            life.turns.append(Watched(len(life.polled), len(life.said), now_ms, engine._advanced, rules_now, names))
        return reload(rules, devices, now_ms=now_ms)

    program.clock_set = clock_set  # type: ignore[method-assign]
    program.notice = noticed  # type: ignore[method-assign]
    engine.reload = reloaded  # type: ignore[method-assign]
    pipeline.journal_alarms = said  # type: ignore[method-assign]
    journal.take = kept  # type: ignore[method-assign]
    program._poller._take = polled


def standing(lives: Sequence[Life]) -> list[AlarmEvent]:
    """The newest word on the disk of each alarm that stood when the last of these lives ended."""
    newest: dict[str, AlarmEvent] = {}
    for life in lives:
        for event in life.said:
            if life.killed is None or (event.occurrence, event.revision) in life.durable_events:
                newest[event.occurrence] = event
    return [event for event in newest.values() if event.kind != "ended"]


def unsaved(lives: Sequence[Life]) -> set[str]:
    """Alarms of which something was said that was only in memory when a disk that refused was cut off: the centre may
    know more than the agent.
    """
    return {
        event.occurrence
        for life in lives
        if life.unsaved_since is not None
        for event in life.said
        if (event.occurrence, event.revision) not in life.durable_events
    }


def forgotten(lives: Sequence[Life]) -> set[str]:
    """Alarms that stood when the agent began again and could not read what it knew: it judges anew."""
    found: set[str] = set()
    for number, life in enumerate(lives):
        if life.forgot:
            found |= {event.occurrence for event in standing(lives[:number])}
    return found


def forgettable(lives: Sequence[Life]) -> set[str]:
    """Alarms that may be over without a word of the agent's."""
    return unsaved(lives) | forgotten(lives)

"""Numbers made of several signals: what an expression rule judges instead of a measured value.

The inputs' newest good values are remembered with their times; one older than its point's gap is not known any more.
A number is made when an input has changed, at that sample's time, and judged like a measured one; when it cannot be
known, the judge hears that nothing is known to hold, as after a failed reading.

An input that was never heard is awaited for its gap, and so is, for the rule's gap, what a device never heard may have:
until then its signal is not known at all, whatever `missing` says. Else a start would judge half of a room.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from facility.alarms import AlarmEvent
from facility.ids import NewId
from rules.facts import DeviceFacts, selected
from rules.judges import NEVER, Judge
from rules.levels import LevelJudge
from rules.model import Rule
from rules.parts import Signal

# What stands where a device would for a whole site; a room stands by its code. The subject says which it is.
SITE, ROOM = "site", "room"


def place_of(rule: Rule, facts: DeviceFacts) -> tuple[str, str] | None:
    """(device, subject) of the alarms of an expression rule that looks at this device; None for a device in no room."""
    assert rule.expression is not None
    if rule.expression.over == "device":
        return facts.id, ""
    if rule.expression.over == "site":
        return SITE, SITE
    return (facts.room, ROOM) if facts.room else None


@dataclass(slots=True)
class Input:
    """One point of a signal, awaited from `since` on.

    said: its newest value, None when that was not good; value: the same as the expression counts it.
    """

    signal: Signal
    gap_ms: int
    owner: "Derived"
    since: int
    at: int = -1
    said: float | str | None = None
    value: float | None = None

    def put(self, at: int, value: float | str | None) -> None:
        if value != self.said or self.at < 0 or at - self.at > self.gap_ms:
            self.owner.holds_until = -1
            self.said = value
            if isinstance(value, str):
                # A state that says nothing is as good as no answer.
                self.value = None if value == "unknown" else float(value in self.signal.states)
            else:
                self.value = value
        self.at = at

    def until(self, now: int) -> int:
        """Until when it stays what it is at `now` (awaited, known, not known) if it is not heard meanwhile."""
        ends = (self.since if self.at < 0 else self.at) + self.gap_ms
        return ends if ends >= now else NEVER

    def awaited(self, now: int) -> bool:
        return self.at < 0 and now - self.since <= self.gap_ms

    def known(self, now: int) -> float | None:
        return self.value if self.at >= 0 and now - self.at <= self.gap_ms else None


@dataclass(slots=True)
class Derived:
    """One number of one rule: of a device, a room or the site.

    devices: by signal, those that may have inputs for it and are not known to have been heard since `since`. number: as
    last made; it is the same until an input changes, or has not been heard for so long that it is not known any more,
    which is not before `holds_until`.
    """

    rule: Rule
    judge: Judge
    inputs: dict[str, list[Input]]
    since: int
    devices: dict[str, list[str]] = field(default_factory=dict)
    changed: int = -1
    last: int = -1
    number: float | None = None
    holds_until: int = -1

    @property
    def fed(self) -> bool:
        """Every signal has a point, but for those whose points may be left out."""
        assert self.rule.expression is not None
        signals = self.rule.expression.signals
        return any(self.inputs.values()) and all(
            inputs or signals[name].missing == "ignore" for name, inputs in self.inputs.items()
        )

    def settle(self, heard: Set[str]) -> list[AlarmEvent]:
        """Make the number anew and judge it; events of what that causes. heard: devices of which anything is known."""
        # Inputs of one poll share their time; an input that comes a little late must not go back behind the last one.
        at = max(self.changed, self.last + 1)
        self.changed, self.last = -1, at
        if at > self.holds_until:
            self._make(at, heard)
        if self.number is not None:
            return self.judge.sample(at, self.number) or []
        events = self.judge.run(at)
        self.judge.break_hold()
        return events

    def _make(self, at: int, heard: Set[str]) -> None:
        assert self.rule.expression is not None
        values: dict[str, list[float | None] | None] = {}
        until = NEVER
        for name, inputs in self.inputs.items():
            if self._silent(name, at, heard):
                values[name], until = None, -1
                continue
            until = min(until, min((each.until(at) for each in inputs), default=NEVER))
            if any(each.awaited(at) for each in inputs):
                values[name] = None
                continue
            known = [each.known(at) for each in inputs]
            if self.rule.expression.signals[name].missing == "ignore":
                known = [value for value in known if value is not None]
            values[name] = known
        self.number, self.holds_until = self.rule.expression.program.evaluate(values), until

    def _silent(self, name: str, at: int, heard: Set[str]) -> bool:
        """Whether a device that may have inputs for a signal is still to be heard."""
        silent = self.devices.get(name)
        if silent:
            # No longer than the rule's gap: a meter read each hour, which may have no such point at all, must not keep
            # a room waiting.
            silent = [device for device in silent if device not in heard] if at - self.since <= self.rule.gap else []
            self.devices[name] = silent
        return bool(silent)


def signals_of(rule: Rule, facts: DeviceFacts) -> list[tuple[str, Signal]]:
    """The signals of an expression rule that take points of this device."""
    assert rule.expression is not None
    return [(name, signal) for name, signal in rule.expression.signals.items() if selected(signal.select, facts)]


class Numbers:
    """Every number the rules of one engine make, by (rule, device, subject), and the inputs points are to them."""

    def __init__(
        self, devices: Sequence[DeviceFacts], rules_of: Mapping[str, Sequence[Rule]], *, origin: str, new_id: NewId,
        now_ms: int,
    ) -> None:  # fmt: skip
        self.made: dict[tuple[str, str, str], Derived] = {}
        for facts in devices:
            for rule in rules_of[facts.id]:
                place = place_of(rule, facts) if rule.expression is not None else None
                if place is None:
                    continue
                for name, _ in signals_of(rule, facts):
                    owner = self._owner(rule, *place, origin=origin, new_id=new_id, now_ms=now_ms)
                    owner.devices.setdefault(name, []).append(facts.id)

    def _owner(self, rule: Rule, device: str, subject: str, *, origin: str, new_id: NewId, now_ms: int) -> Derived:
        made = self.made.get((rule.id, device, subject))
        if made is None:
            assert rule.expression is not None
            judge = LevelJudge(rule, origin=origin, device=device, subject=subject, gap_ms=rule.gap, new_id=new_id)
            made = Derived(rule, judge, {name: [] for name in rule.expression.signals}, now_ms)
            self.made[(rule.id, device, subject)] = made
        return made

    def fed(self, rule: str, device: str) -> bool:
        """Whether a rule makes a number of this device's own points."""
        made = self.made.get((rule, device, ""))
        return made is not None and made.fed

    def judge(self, rule: str, name: tuple[str, str, str]) -> Judge | None:
        """The judge of a rule's number by (device, metric, subject)."""
        device, metric, subject = name
        made = self.made.get((rule, device, subject))
        return made.judge if made is not None and made.rule.metric == metric else None

    def inputs(
        self, facts: DeviceFacts, rules: Sequence[Rule], metric: str, subject: str, *, now_ms: int
    ) -> Iterator[Input]:
        """What a point of a device is to the numbers made of it; called once for each point."""
        for rule in rules:
            place = place_of(rule, facts) if rule.expression is not None else None
            if place is None:
                continue
            for name, signal in signals_of(rule, facts):
                if signal.metric == metric and fnmatchcase(subject, signal.subject):
                    owner = self.made[(rule.id, *place)]
                    made = Input(signal, facts.gap_ms(rule), owner, now_ms)
                    owner.inputs[name].append(made)
                    owner.holds_until = -1
                    owner.judge.gap = max(owner.judge.gap, made.gap_ms)
                    yield made

"""Numbers made of several signals: what an expression rule judges instead of a measured value.

The inputs' newest good values are remembered with their times; one older than its point's gap is not known any more.
A number is made when an input has changed, at that sample's time, and judged like a measured one; when it cannot be
known, the judge hears that nothing is known to hold, as after a failed reading.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from facility.alarms import AlarmEvent
from facility.ids import NewId
from rules.facts import DeviceFacts, selected
from rules.judges import Judge
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
    """One point of a signal. value: its newest good value as the expression counts it, None when that was not good."""

    signal: Signal
    gap_ms: int
    owner: "Derived"
    at: int = -1
    value: float | None = None

    def put(self, at: int, value: float | str | None) -> None:
        self.at = at
        if isinstance(value, str):
            # A state that says nothing is as good as no answer.
            self.value = None if value == "unknown" else float(value in self.signal.states)
        else:
            self.value = value

    def known(self, now: int) -> float | None:
        return self.value if self.at >= 0 and now - self.at <= self.gap_ms else None


@dataclass(slots=True)
class Derived:
    """One number of one rule: of a device, a room or the site."""

    rule: Rule
    judge: Judge
    inputs: dict[str, list[Input]]
    changed: int = -1
    last: int = field(default=-1)

    @property
    def fed(self) -> bool:
        """Every signal has a point."""
        return all(self.inputs.values())

    def settle(self) -> list[AlarmEvent]:
        """Make the number anew and judge it; events of what that causes."""
        # Inputs of one poll share their time; an input that comes a little late must not go back behind the last one.
        at = max(self.changed, self.last + 1)
        self.changed, self.last = -1, at
        assert self.rule.expression is not None
        values: dict[str, list[float | None]] = {}
        for name, inputs in self.inputs.items():
            known = [each.known(at) for each in inputs]
            if self.rule.expression.signals[name].missing == "ignore":
                known = [value for value in known if value is not None]
            values[name] = known
        number = self.rule.expression.program.evaluate(values)
        if number is not None:
            return self.judge.sample(at, number) or []
        events = self.judge.run(at)
        self.judge.break_hold()
        return events


def signals_of(rule: Rule, facts: DeviceFacts) -> list[tuple[str, Signal]]:
    """The signals of an expression rule that take points of this device."""
    assert rule.expression is not None
    return [(name, signal) for name, signal in rule.expression.signals.items() if selected(signal.select, facts)]


class Numbers:
    """Every number the rules of one engine make, by (rule, device, subject), and the inputs points are to them."""

    def __init__(
        self, devices: Sequence[DeviceFacts], rules_of: Mapping[str, Sequence[Rule]], *, origin: str, new_id: NewId
    ) -> None:
        self.made: dict[tuple[str, str, str], Derived] = {}
        for facts in devices:
            for rule in rules_of[facts.id]:
                place = place_of(rule, facts) if rule.expression is not None else None
                if place is None or (rule.id, *place) in self.made or not signals_of(rule, facts):
                    continue
                device, subject = place
                judge = LevelJudge(rule, origin=origin, device=device, subject=subject, gap_ms=rule.gap, new_id=new_id)
                assert rule.expression is not None
                self.made[(rule.id, *place)] = Derived(rule, judge, {name: [] for name in rule.expression.signals})

    def fed(self, rule: str, device: str) -> bool:
        """Whether a rule makes a number of this device's own points."""
        made = self.made.get((rule, device, ""))
        return made is not None and made.fed

    @property
    def judges(self) -> dict[tuple[str, tuple[str, str, str]], Judge]:
        """Their judges, by rule and (device, metric, subject)."""
        return {
            (rule, (device, made.rule.metric, subject)): made.judge
            for (rule, device, subject), made in self.made.items()
        }

    def inputs(self, facts: DeviceFacts, rules: Sequence[Rule], metric: str, subject: str) -> Iterator[Input]:
        """What a point of a device is to the numbers made of it; called once for each point."""
        for rule in rules:
            place = place_of(rule, facts) if rule.expression is not None else None
            if place is None:
                continue
            for name, signal in signals_of(rule, facts):
                if signal.metric == metric and fnmatchcase(subject, signal.subject):
                    owner = self.made[(rule.id, *place)]
                    made = Input(signal, facts.gap_ms(rule), owner)
                    owner.inputs[name].append(made)
                    owner.judge.gap = max(owner.judge.gap, made.gap_ms)
                    yield made

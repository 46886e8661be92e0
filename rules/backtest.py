"""What rules would have said over a recorded past: the same engine, time typed in from the record.

Points are judged column by column, whole blocks of them at once. What numbers are made of (`expression`) is judged poll
by poll instead, as the agent did: a column ahead of the others would be half of a room.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from facility.alarms import AlarmEvent, AlarmEventKind
from facility.reading import PointKey, Quality, Reading
from facility.severity import Severity
from rules.engine import Engine
from rules.facts import DeviceFacts
from rules.model import RuleSet

# Occurrences kept to be shown; more are only counted.
MOST_SHOWN = 10_000
# Any id will do: these occurrences go nowhere.
_ORIGIN = "backtest"


# A point, its times, its values, and whether each is good (None: every one).
Column = tuple[PointKey, Sequence[int], Sequence[float | str | None], Sequence[bool] | None]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of the record: columns of points in time order, and from and up to when (ms) all are given."""

    columns: Sequence[Column]
    from_ms: int
    until_ms: int


@dataclass(slots=True)
class Would:
    """An alarm the rules would have raised. ended_ms: None while it stands at the end of the record."""

    rule: str
    device: str
    subject: str
    severity: Severity
    raised_ms: int
    reason: str
    ended_ms: int | None = None


@dataclass(slots=True)
class Report:
    """alarms: in the order they were raised, at most MOST_SHOWN; raised: all of them, by rule."""

    samples: int = 0
    first_ms: int = 0
    last_ms: int = 0
    alarms: list[Would] = field(default_factory=list)
    raised: dict[str, int] = field(default_factory=dict)


def backtest(
    rules: RuleSet,
    devices: Sequence[DeviceFacts],
    record: Iterable[Chunk],
    *,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Play a record through the rules. progress: told of the number of readings of each chunk."""
    report = Report()
    standing: dict[str, Would] = {}
    made = 0

    def occurrence(at_ms: int) -> str:
        nonlocal made
        made += 1
        return f"{at_ms}-{made}"

    engine: Engine | None = None
    for chunk in record:
        if engine is None:
            engine = Engine(rules, devices, origin=_ORIGIN, new_id=occurrence, started_ms=chunk.from_ms)
            report.first_ms = chunk.from_ms
        count = 0
        inputs: list[Column] = []
        for column in chunk.columns:
            point, times, values, good = column
            count += len(times)
            if engine.feeds(point):
                inputs.append(column)
            else:
                _note(report, standing, engine.series(point, times, values, good))
        for poll in _polls(inputs):
            _note(report, standing, engine.samples(poll))
        _note(report, standing, engine.advance(chunk.until_ms))
        report.samples += count
        report.last_ms = max(report.last_ms, chunk.until_ms)
        if progress is not None:
            progress(count)
    report.alarms.sort(key=attrgetter("raised_ms"))
    return report


def _polls(columns: Iterable[Column]) -> Iterable[list[Reading]]:
    """The readings of columns in the order they were taken, those of one poll together."""
    readings = [
        Reading(point.device, point.metric, point.subject, value, at)
        if good is None or good[i]
        else Reading(point.device, point.metric, point.subject, None, at, Quality.BAD)
        for point, times, values, good in columns
        for i, (at, value) in enumerate(zip(times, values, strict=True))
    ]
    readings.sort(key=_poll)
    return (list(poll) for _, poll in groupby(readings, key=_poll))


_poll = attrgetter("taken_at", "device")


def _note(report: Report, standing: dict[str, Would], events: Iterable[AlarmEvent]) -> None:
    for event in events:
        if event.kind is AlarmEventKind.RAISED:
            would = Would(event.rule, event.device, event.subject, event.severity, event.at, event.reason)
            standing[event.occurrence] = would
            report.raised[event.rule] = report.raised.get(event.rule, 0) + 1
            if len(report.alarms) < MOST_SHOWN:
                report.alarms.append(would)
        elif (known := standing.get(event.occurrence)) is not None:
            if event.severity.worse_than(known.severity):
                known.severity = event.severity
            if event.kind is AlarmEventKind.ENDED:
                known.ended_ms = event.at
                del standing[event.occurrence]

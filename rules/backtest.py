"""What rules would have said over a recorded past: the same engines, time typed in from the record.

Each agent's rules are judged by an engine of its own, and those of the centre by one that hears all of them. Points are
judged column by column, whole blocks of them at once. What numbers are made of (`expression`) is judged poll by poll
instead, as the agent did: a column ahead of the others would be half of a room.

A chunk is cut where a column alone would not tell what the engine knew: where a device fell silent or came back, where
one was heard for the first time, and at a hole. A hole is a time of which an agent's whole record says nothing: it was
off. As live, that time counts for nobody: its engine is made anew behind it and takes up the snapshot of before.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from operator import attrgetter, sub
from typing import Any

from facility.alarms import CENTRE, AlarmEvent, AlarmEventKind
from facility.ids import NewId
from facility.reading import PointKey, Quality, Reading, tells_of_device
from facility.severity import Severity
from rules.engine import Engine
from rules.facts import GAP_INTERVALS, DeviceFacts
from rules.model import RuleSet
from rules.parts import DEFAULT_GAP_MS, Where

# Occurrences kept to be shown; more are only counted. Likewise the holes of a record.
MOST_SHOWN = 10_000


# A point, its times, its values, and whether each is good (None: every one).
Column = tuple[PointKey, Sequence[int], Sequence[float | str | None], Sequence[bool] | None]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of the record: columns of points, each with a sample and in time order. The next one is later."""

    columns: Sequence[Column]

    @property
    def from_ms(self) -> int:
        return min(times[0] for _, times, _, _ in self.columns)

    @property
    def until_ms(self) -> int:
        return max(times[-1] for _, times, _, _ in self.columns)


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


@dataclass(frozen=True, slots=True)
class Hole:
    """A time of which the record of an agent says nothing. agent: as the caller names it, "" for the only one."""

    agent: str
    from_ms: int
    until_ms: int


@dataclass(slots=True)
class Report:
    """alarms: in the order they were raised, at most MOST_SHOWN; raised: all of them, by rule.

    holes: at most MOST_SHOWN; silent_ms: all of them together.
    """

    samples: int = 0
    first_ms: int = 0
    last_ms: int = 0
    alarms: list[Would] = field(default_factory=list)
    raised: dict[str, int] = field(default_factory=dict)
    holes: list[Hole] = field(default_factory=list)
    silent_ms: int = 0


def backtest(
    rules: RuleSet,
    devices: Sequence[DeviceFacts],
    record: Iterable[Chunk],
    *,
    agents: Mapping[str, str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Play a record through the rules, those of the centre too. progress: told of the number of readings of each chunk.

    agents: whose each device is, where they are several agents'.
    """
    report = Report()
    standing: dict[str, Would] = {}
    made = 0

    def occurrence(at_ms: int) -> str:
        nonlocal made
        made += 1
        return f"{at_ms}-{made}"

    owner = {} if agents is None else agents
    by_agent: dict[str, list[DeviceFacts]] = {}
    for facts in devices:
        by_agent.setdefault(owner.get(facts.id, ""), []).append(facts)
    edges = {agent: _Edge(agent, rules, of_it, occurrence, report) for agent, of_it in by_agent.items()}
    centre = _centre(rules, devices, occurrence)
    for chunk in record:
        if not chunk.columns:
            continue
        parts: dict[str, list[Column]] = {}
        count = 0
        for column in chunk.columns:
            count += len(column[1])
            parts.setdefault(owner.get(column[0].device, ""), []).append(column)
        for agent, columns in parts.items():
            if agent in edges:
                _note(report, standing, edges[agent].play(columns))
        if centre is not None:
            heard = [column for column in chunk.columns if column[0].metric in centre.metrics]
            _note(report, standing, centre.play(heard, chunk.until_ms))
        if not report.samples:
            report.first_ms = chunk.from_ms
        report.samples += count
        report.last_ms = max(report.last_ms, chunk.until_ms)
        if progress is not None:
            progress(count)
    report.alarms.sort(key=attrgetter("raised_ms"))
    return report


class _Edge:
    """An agent's rules over its own record.

    Of a device that was never heard nothing is expected until it is: the catalog says what there is now, and on the
    record's first day it may not have been there. The first `patience` of the record all of them are, as at a start.
    """

    def __init__(
        self, agent: str, rules: RuleSet, devices: Sequence[DeviceFacts], new_id: NewId, report: Report
    ) -> None:
        self._agent = agent
        self._rules = rules
        self._devices = devices
        self._new_id = new_id
        self._report = report
        intervals = [facts.interval_s for facts in devices if facts.interval_s > 0]
        # The device polled most often is heard each so many seconds of an agent that runs.
        self._patience = max(DEFAULT_GAP_MS, int(min(intervals, default=0.0) * 1000 * GAP_INTERVALS))
        self._words: dict[str, float | str | None] = {}
        self._heard: set[str] = set()
        self._engine: Engine | None = None
        self._first = self._until = 0
        self._settled = False

    def play(self, columns: Sequence[Column]) -> Iterator[AlarmEvent]:
        chunk = Chunk(columns)
        first, last = chunk.from_ms, chunk.until_ms
        if self._engine is None:
            self._first = self._until = first
        for part in _cut(columns, sorted(self._cuts(columns, first, last))):
            yield from self._play(part)

    def _cuts(self, columns: Sequence[Column], first: int, last: int) -> set[int]:
        """When something begins that is to be known before what comes behind it is judged."""
        cuts = {end for _, end in _holes(columns, first, last, self._patience)}
        for point, times, values, _ in columns:
            if point.device not in self._heard and times[0] - first > self._patience:
                cuts.add(times[0])
            if tells_of_device(point.metric, point.subject):
                word = self._words.setdefault(point.device, "ok")
                if values.count(word) != len(values):
                    for at, value in zip(times, values, strict=True):
                        if value != word:
                            cuts.add(at)
                            word = value
                self._words[point.device] = values[-1]
        return cuts

    def _play(self, columns: Sequence[Column]) -> Iterator[AlarmEvent]:
        chunk = Chunk(columns)
        first, last = chunk.from_ms, chunk.until_ms
        if self._engine is None:
            self._engine = self._made(first)
        elif first - self._until > self._patience:
            yield from self._restart(first)
        new = {column[0].device for column in columns} - self._heard
        self._heard |= new
        if (self._settled and new) or (not self._settled and last - self._first > self._patience):
            self._settled = True
            known = [facts for facts in self._devices if facts.id in self._heard]
            yield from self._engine.reload(self._rules, known, now_ms=first)
        # Whether its device answers is known before what its points say.
        columns = sorted(columns, key=lambda column: not tells_of_device(column[0].metric, column[0].subject))
        yield from _judge(self._engine, columns, attrgetter("taken_at", "device"))
        self._until = max(self._until, last)
        yield from self._engine.advance(self._until)

    def _restart(self, now: int) -> list[AlarmEvent]:
        if len(self._report.holes) < MOST_SHOWN:
            self._report.holes.append(Hole(self._agent, self._until, now))
        self._report.silent_ms += now - self._until
        assert self._engine is not None
        snapshot = self._engine.snapshot()
        self._engine = self._made(now)
        return self._engine.restore(snapshot, now_ms=now)

    def _made(self, now: int) -> Engine:
        devices = [facts for facts in self._devices if not self._settled or facts.id in self._heard]
        return Engine(self._rules, devices, origin=self._agent, new_id=self._new_id, started_ms=now)


class _Centre:
    """The centre's rules over what all agents said. It was there all the time: a hole is silence to it."""

    def __init__(self, rules: RuleSet, devices: Sequence[DeviceFacts], new_id: NewId) -> None:
        self.metrics = rules.metrics
        self._rules = rules
        self._devices = devices
        self._new_id = new_id
        self._engine: Engine | None = None

    def play(self, columns: Sequence[Column], until: int) -> Iterator[AlarmEvent]:
        if self._engine is None:
            if not columns:
                return
            began = Chunk(columns).from_ms
            self._engine = Engine(self._rules, self._devices, origin=CENTRE, new_id=self._new_id, started_ms=began)
        yield from _judge(self._engine, columns, attrgetter("taken_at"))
        yield from self._engine.advance(until)


def _centre(rules: RuleSet, devices: Sequence[DeviceFacts], new_id: NewId) -> _Centre | None:
    own = RuleSet(tuple(rule for rule in rules if rule.enabled and rule.where is Where.CENTRE))
    return _Centre(own, devices, new_id) if own else None


def _holes(columns: Sequence[Column], first: int, last: int, patience: int) -> list[tuple[int, int]]:
    """Where more than `patience` lies between two readings, of whatever points."""
    if last - first <= patience:
        return []
    times = max((column[1] for column in columns), key=len)
    if (
        times[0] - first <= patience
        and last - times[-1] <= patience
        and max(map(sub, times[1:], times), default=0) <= patience
    ):
        return []  # one point alone tells that the agent ran
    every = sorted(set().union(*(column[1] for column in columns)))
    return [(before, after) for before, after in pairwise(every) if after - before > patience]


def _cut(columns: Sequence[Column], cuts: Sequence[int]) -> Iterator[Sequence[Column]]:
    """The columns up to the first cut, from there to the next, and so on; a cut belongs to what comes behind it."""
    if not cuts:
        yield columns
        return
    places = [0] * len(columns)
    for cut in (*cuts, None):
        part: list[Column] = []
        for i, (point, times, values, good) in enumerate(columns):
            begin = places[i]
            end = places[i] = len(times) if cut is None else bisect_left(times, cut, lo=begin)
            if begin < end:
                part.append((point, times[begin:end], values[begin:end], None if good is None else good[begin:end]))
        if part:
            yield part


def _judge(engine: Engine, columns: Iterable[Column], together: Callable[[Reading], Any]) -> Iterator[AlarmEvent]:
    """Column by column; inputs of numbers in the order they were taken, those for which `together` is equal at once."""
    inputs: list[Column] = []
    for column in columns:
        point, times, values, good = column
        if engine.feeds(point):
            inputs.append(column)
        else:
            yield from engine.series(point, times, values, good)
    for poll in _polls(inputs, together):
        yield from engine.samples(poll)


def _polls(columns: Iterable[Column], together: Callable[[Reading], Any]) -> Iterable[list[Reading]]:
    readings = [
        Reading(point.device, point.metric, point.subject, value, at)
        if good is None or good[i]
        else Reading(point.device, point.metric, point.subject, None, at, Quality.BAD)
        for point, times, values, good in columns
        for i, (at, value) in enumerate(zip(times, values, strict=True))
    ]
    readings.sort(key=together)
    return (list(poll) for _, poll in groupby(readings, key=together))


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

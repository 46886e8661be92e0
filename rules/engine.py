"""The alarm engine: readings and the passing of time in, alarm events out. Pure: no clock, no I/O, no event loop.

How it judges:

- Only good readings judge. Any other reading says that the last value is no longer known to hold; none clears.
- A reading not newer than the newest of its point is history's business and is ignored here.
- `for` and `clear_for` run on sample time. A value holds until the point's next reading, at most the rule's `gap` (or
  three poll intervals, if longer): within that, `advance` lets a timer run out at its exact instant; a longer silence
  lets none run out, and the next good sample starts the count anew.
- Timers act strictly after their instant, samples at it, so the order of the two calls does not matter. Callers should
  `advance` no further than the time up to which all readings have been handed in.
- An expression rule judges a number made of several points (`rules.derived`) in the same way.
- One rule on one point is one alarm key with at most one active occurrence.
- Everything kept is bounded: per rule and point a few numbers, at most 64 samples of a rate's window, at most
  `MAX_EXTRA_POINTS` points a device was not expected to have.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from math import isfinite
from operator import attrgetter

from facility.alarms import CENTRE, ActiveOccurrence, AlarmEvent, EndReason
from facility.catalog import CatalogRule
from facility.ids import NewId
from facility.metrics import REGISTER, UNMAPPED
from facility.metrics import metric as register_entry
from facility.reading import PointKey, Quality, Reading
from facility.severity import Severity
from rules import describe as describing
from rules.absent import AbsentJudge
from rules.derived import ROOM, SITE, Derived, Input, Numbers
from rules.factory import make_judge
from rules.facts import DeviceFacts, applies
from rules.judges import NEVER, Judge
from rules.model import RuleSet
from rules.pages import Pages
from rules.parts import Where
from rules.records import JudgeRecord, PointRecord, decode, ended, rebase, shift

# A device whose subjects grow without end (a walk gone wrong) must not grow the engine with it.
MAX_EXTRA_POINTS = 1000
_COMMUNICATION = "device.communication"

__all__ = ["MAX_EXTRA_POINTS", "DeviceFacts", "Engine", "Ignored"]

_Name = tuple[str, str, str]  # device, metric, subject


class Ignored(StrEnum):
    """Why a reading was not judged; `Engine.ignored` counts them."""

    UNKNOWN_DEVICE = "unknown_device"
    LATE = "late"  # not newer than the newest reading of its point
    WRONG_TYPE = "wrong_type"  # a word for a number, or a number for a state
    NOT_FINITE = "not_finite"
    TOO_MANY_POINTS = "too_many_points"
    UNKNOWN_METRIC = "unknown_metric"


class _Point:
    __slots__ = ("communication", "expected", "feeds", "judges", "last", "states")

    def __init__(self, metric: str, *, expected: bool, judges: tuple[Judge, ...]) -> None:
        self.last = -1
        self.expected = expected
        self.judges = judges
        self.feeds: tuple[Input, ...] = ()
        self.states = register_entry(metric).states is not None
        self.communication = metric == _COMMUNICATION


class Engine:
    """Judges the readings of one origin: an agent's id, or `CENTRE` for rules of the centre.

    Of the rule set it takes the enabled ones of its place (`where`). started_ms: from when absent data counts.
    """

    def __init__(
        self, rules: RuleSet, devices: Sequence[DeviceFacts], *, origin: str, new_id: NewId, started_ms: int
    ) -> None:
        self._origin = origin
        self._new_id = new_id
        self._now = started_ms
        self._advanced = started_ms
        self.ignored: Counter[Ignored] = Counter()
        self._lost: set[str] = set()
        self._pages = Pages()
        self._build(rules, devices)

    # -- judging ---------------------------------------------------------------------------------------------------

    def sample(self, reading: Reading) -> list[AlarmEvent]:
        """Judge one reading; the events it caused, in order, timers it overtook first."""
        events = self._take(reading)
        return events + self._settle() if self._changed else events

    def samples(self, readings: Iterable[Reading]) -> list[AlarmEvent]:
        """Judge readings in the order given; numbers made of several of them are judged once, at the end."""
        events: list[AlarmEvent] = []
        for reading in readings:
            events += self._take(reading)
        return events + self._settle() if self._changed else events

    def series(
        self,
        key: PointKey,
        times: Sequence[int],
        values: Sequence[float | str | None],
        good: Sequence[bool] | None = None,
    ) -> list[AlarmEvent]:
        """Judge samples of one point in the order given, as `sample` does; `good` left out: every one is."""
        point = self._points.get((key.device, key.metric, key.subject))
        if point is None:
            point = self._admit(key.device, key.metric, key.subject)
            if point is None:
                return []
        events: list[AlarmEvent] = []
        for i, at in enumerate(times):
            found = self._judge(key.device, point, at, values[i] if good is None or good[i] else None)
            if found:
                events += found
        return events + self._settle() if self._changed else events

    def _take(self, reading: Reading) -> list[AlarmEvent]:
        point = self._points.get((reading.device, reading.metric, reading.subject))
        if point is None:
            point = self._admit(reading.device, reading.metric, reading.subject)
            if point is None:
                return []
        value = reading.value if reading.quality is Quality.GOOD else None
        return self._judge(reading.device, point, reading.taken_at, value)

    def _judge(self, device: str, point: _Point, at: int, value: float | str | None) -> list[AlarmEvent]:
        if at <= point.last:
            self.ignored[Ignored.LATE] += 1
            return []
        point.last = at
        if at > self._now:
            self._now = at
        if value is None:
            return self._no_value(point, at)
        if isinstance(value, str) is not point.states:
            self.ignored[Ignored.WRONG_TYPE] += 1
            return self._no_value(point, at)
        if not isinstance(value, str):
            value = float(value)
            if not isfinite(value):
                self.ignored[Ignored.NOT_FINITE] += 1
                return self._no_value(point, at)
        events: list[AlarmEvent] = []
        for judge in point.judges:
            if judge.hours is not None and judge.occurrence is None and not judge.hours.open(at):
                judge.rest()
                continue
            found = judge.sample(at, value)
            if found:
                events += found
            if judge.due < judge.scheduled:
                self._schedule(judge)
        if point.feeds:
            self._feed(point, at, value)
        if point.communication:
            events += self._communication(device, value == "lost", at)
        return events

    def _feed(self, point: _Point, at: int, value: float | str | None) -> None:
        for each in point.feeds:
            each.put(at, value)
            each.owner.changed = max(each.owner.changed, at)
            self._changed[id(each.owner)] = each.owner

    def _settle(self) -> list[AlarmEvent]:
        """Judge the numbers whose inputs have changed."""
        events: list[AlarmEvent] = []
        changed = list(self._changed.values())
        self._changed.clear()
        for derived in changed:
            judge = derived.judge
            if judge.hours is not None and judge.occurrence is None and not judge.hours.open(derived.changed):
                judge.rest()
            else:
                events += derived.settle()
            self._schedule(judge)
        return events

    def advance(self, now_ms: int) -> list[AlarmEvent]:
        """Let timers before `now_ms` act; their events by time and key. Going back does nothing."""
        # The same instant again is no step back: after `restore` it is the first look at timers that were due before.
        if now_ms < self._advanced:
            return []
        self._advanced = now_ms
        self._now = max(self._now, now_ms)
        events: list[AlarmEvent] = []
        heap = self._heap
        while heap and heap[0][0] < now_ms:
            when, _, judge = heapq.heappop(heap)
            if judge.scheduled != when:
                continue
            judge.scheduled = NEVER
            events += judge.run(now_ms)
            self._schedule(judge)
        events.sort(key=attrgetter("at", "device", "rule", "subject"))
        return events

    def _no_value(self, point: _Point, at: int) -> list[AlarmEvent]:
        events: list[AlarmEvent] = []
        for judge in point.judges:
            events += judge.run(at)
            judge.break_hold()
            self._schedule(judge)
        self._feed(point, at, None)
        return events

    def _communication(self, device: str, lost: bool, at: int) -> list[AlarmEvent]:
        """While a device does not answer, the absence of its points is not news."""
        if lost is (device in self._lost):
            return []
        (self._lost.add if lost else self._lost.discard)(device)
        events: list[AlarmEvent] = []
        for judge in self._absent.get(device, ()):
            events += judge.run(at)
            judge.set_silent(lost, at)
            self._schedule(judge)
        return events

    def _schedule(self, judge: Judge) -> None:
        # An entry may stay in the heap too early (it is looked at and put back), never too late.
        if judge.due < judge.scheduled:
            judge.scheduled = judge.due
            self._ticket += 1
            heapq.heappush(self._heap, (judge.due, self._ticket, judge))

    # -- what it holds ---------------------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        """The newest time seen, of a sample or of `advance`."""
        return self._now

    @property
    def rules(self) -> RuleSet:
        """The rules it was given, all of them."""
        return self._rules

    def active(self) -> list[ActiveOccurrence]:
        """What it holds active, by device, rule and subject."""
        held = [
            ActiveOccurrence(
                occurrence=judge.occurrence.id,
                revision=judge.occurrence.revision,
                device=judge.device,
                rule=judge.rule,
                subject=judge.subject,
            )
            for judge in self._judges.values()
            if judge.occurrence is not None
        ]
        return sorted(held, key=attrgetter("device", "rule", "subject"))

    def severities(self) -> Counter[Severity]:
        """How many occurrences of each severity it holds active."""
        return Counter(judge.occurrence.severity for judge in self._judges.values() if judge.occurrence is not None)

    def describe(self) -> list[CatalogRule]:
        """The rules that apply to at least one of its devices, for the catalog."""
        return [describing.catalog_rule(rule) for rule in self._applied]

    def rules_for(self, device: str) -> tuple[str, ...]:
        """Ids of the rules that judge expected points of a device, and its communication."""
        facts = self._facts.get(device)
        if facts is None:
            return ()
        metrics = {point.metric for point in facts.points} | {_COMMUNICATION}
        return tuple(
            rule.id
            for rule in self._rules_of[device]
            if (rule.metric in metrics if rule.expression is None else (rule.id, device, "") in self._numbers.made)
        )

    # -- remembering -----------------------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """Everything it remembers, as versioned JSON; `restore` on an engine of the same rules goes on exactly.

        Of more than `WINDOWS_AT_ONCE` judges that only collect a window, each snapshot writes some anew and the others
        as they were: a window that lacks its last samples judges as soon as the next one comes.
        """
        return self._pages.snapshot(
            self._judges.values(), points=self._point_records(), origin=self._origin, now=self._now, lost=self._lost
        )

    def restore(self, snapshot: bytes, *, now_ms: int) -> list[AlarmEvent]:
        """Take up a snapshot; events of alarms whose rule or device is gone since. SnapshotError when it cannot be.

        The time it was down counts for nobody: absent data is counted from where it stood, and a value is not taken to
        have held. A clock set back since is followed: what was remembered in its future is moved to `now_ms`.
        """
        saved = decode(snapshot, origin=self._origin)
        down = now_ms - saved.now
        for record in saved.judges:
            rebase(record, down=down, now=now_ms)
        for point in saved.points:
            point.last = min(point.last, now_ms)
        self._now = self._advanced = now_ms
        self._lost = {device for device in saved.lost if device in self._facts}
        return self._adopt(saved.judges, saved.points, at=now_ms)

    def reload(self, rules: RuleSet, devices: Sequence[DeviceFacts], *, now_ms: int) -> list[AlarmEvent]:
        """Go on with other rules or devices.

        An unchanged rule keeps its state. Changed limits keep the occurrence, restart pending timers and judge at the
        next sample: if that sample is inside the new limits, the alarm ends with `rule_changed`. A removed or disabled
        rule ends with `rule_removed`, a removed device with `device_retired`, a rule that no longer selects the point
        or judges something else with `rule_changed`. A point no longer named goes on being expected, unless its
        device's facts are `complete`: then it ends with `device_retired`. Nothing changed: nothing happens.
        """
        self._now = max(self._now, now_ms)
        if rules == self._rules and {facts.id: facts for facts in devices} == self._facts:
            return []
        points, records = self._point_records(), self._records()
        self._build(rules, devices)
        self._lost = {device for device in self._lost if device in self._facts}
        return self._adopt(records, points, at=now_ms)

    def clock_stepped(self, step_ms: int) -> None:
        """The clock that stamps readings was set by `step_ms`: everything remembered moves with it.

        Without this a clock set back would make every sample late until it has caught up, and one set forward would
        make every point absent at once.
        """
        points, records = self._point_records(), self._records()
        shift(records, points, step_ms)
        self._now += step_ms
        self._advanced += step_ms
        self._build(self._rules, tuple(self._facts.values()))
        self._adopt(records, points, at=self._now)

    def _point_records(self) -> list[PointRecord]:
        return [
            PointRecord(device=device, metric=metric, subject=subject, last=point.last, expected=point.expected)
            for (device, metric, subject), point in self._points.items()
            if point.judges
        ]

    def _records(self) -> list[JudgeRecord]:
        """What is worth remembering: a judge with nothing going on starts just as well afresh."""
        return [judge.save() for judge in self._judges.values() if not judge.calm]

    # -- building --------------------------------------------------------------------------------------------------

    def _build(self, rules: RuleSet, devices: Sequence[DeviceFacts]) -> None:
        here = Where.CENTRE if self._origin == CENTRE else Where.EDGE
        own = [rule for rule in rules if rule.enabled and rule.where is here]
        self._rules = rules
        self._own = {rule.id: rule for rule in own}
        self._facts = {facts.id: facts for facts in devices}
        self._rules_of = {facts.id: [rule for rule in own if applies(rule, facts)] for facts in devices}
        used = {rule.id for applied in self._rules_of.values() for rule in applied}
        self._applied = [rule for rule in own if rule.id in used]
        self._points: dict[_Name, _Point] = {}
        self._judges: dict[tuple[str, _Name], Judge] = {}
        self._absent: dict[str, list[AbsentJudge]] = {}
        self._extra: Counter[str] = Counter()
        self._heap: list[tuple[int, int, Judge]] = []
        self._ticket = 0
        self._numbers = Numbers(devices, self._rules_of, origin=self._origin, new_id=self._new_id)
        self._judges.update(self._numbers.judges)
        self._changed: dict[int, Derived] = {}
        for facts in devices:
            for key in facts.points:
                self._add_point(facts, key.metric, key.subject, expected=True)

    def _admit(self, device: str, metric: str, subject: str, *, expected: bool = False) -> _Point | None:
        """A point the facts do not name: judged too, for its absence only if it was expected once."""
        facts = self._facts.get(device)
        if facts is None:
            self.ignored[Ignored.UNKNOWN_DEVICE] += 1
            return None
        if metric not in REGISTER and UNMAPPED.fullmatch(metric) is None:
            self.ignored[Ignored.UNKNOWN_METRIC] += 1
            return None
        if self._extra[device] >= MAX_EXTRA_POINTS:
            self.ignored[Ignored.TOO_MANY_POINTS] += 1
            return None
        self._extra[device] += 1
        return self._add_point(facts, metric, subject, expected=expected)

    def _add_point(self, facts: DeviceFacts, metric: str, subject: str, *, expected: bool) -> _Point:
        name = (facts.id, metric, subject)
        judges = tuple(
            make_judge(rule, facts, subject, origin=self._origin, new_id=self._new_id, started_ms=self._now)
            for rule in self._rules_of[facts.id]
            if rule.metric == metric
            and rule.expression is None
            and fnmatchcase(subject, rule.select.subject)
            and (expected or rule.absent is None)
        )
        point = self._points[name] = _Point(metric, expected=expected, judges=judges)
        for judge in judges:
            self._judges[(judge.rule, name)] = judge
            if isinstance(judge, AbsentJudge):
                self._absent.setdefault(facts.id, []).append(judge)
            self._schedule(judge)
        point.feeds = tuple(self._numbers.inputs(facts, self._rules_of[facts.id], metric, subject))
        return point

    def _adopt(self, records: Sequence[JudgeRecord], points: Sequence[PointRecord], *, at: int) -> list[AlarmEvent]:
        """Give the judges their remembered state; end what has no judge any longer."""
        events: list[AlarmEvent] = []
        for saved in points:
            name = (saved.device, saved.metric, saved.subject)
            facts = self._facts.get(saved.device)
            if name not in self._points and facts is not None and not (saved.expected and facts.complete):
                self._admit(*name, expected=saved.expected)
            if name in self._points:
                self._points[name].last = saved.last
        for record in records:
            judge = self._judges.get((record.rule, (record.device, record.metric, record.subject)))
            if judge is None:
                events += self._orphan(record, at)
            elif judge.revision == record.revision:
                judge.load(record)
            elif not judge.carry(record):
                events += self._orphan(record, at)
        for device, judges in self._absent.items():
            for absent in judges:
                absent.silent = device in self._lost
                absent.schedule()
        for judge in self._judges.values():
            self._schedule(judge)
        return events

    def _orphan(self, record: JudgeRecord, at: int) -> list[AlarmEvent]:
        held = record.occurrence
        if held is None:
            return []
        if record.device not in self._facts and record.rule in self._own and record.subject not in (ROOM, SITE):
            reason = EndReason.DEVICE_RETIRED
        elif record.rule not in self._own:
            reason = EndReason.RULE_REMOVED
        elif record.device not in self._facts or (record.device, record.metric, record.subject) not in self._points:
            reason = EndReason.DEVICE_RETIRED
        else:
            reason = EndReason.RULE_CHANGED
        return [ended(record, held, origin=self._origin, at=at, reason=reason)]

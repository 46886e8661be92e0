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
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import isfinite
from operator import attrgetter

from facility.alarms import ActiveOccurrence, AlarmEvent
from facility.catalog import CatalogRule
from facility.ids import NewId
from facility.reading import COMMUNICATION, PointKey, Quality, Reading
from facility.severity import Severity
from rules import describe as describing
from rules.derived import Derived
from rules.facts import DeviceFacts
from rules.judges import NEVER, Judge
from rules.model import RuleSet
from rules.pages import Pages
from rules.records import JudgeRecord, PointRecord, decode, rebase, shift, youngest
from rules.roster import MAX_EXTRA_POINTS, Ignored, Name, Point, Roster, Said, dropped
from rules.runs import Run, run_of

__all__ = ["MAX_EXTRA_POINTS", "DeviceFacts", "Engine", "Ignored"]


class Engine:
    """Judges the readings of one origin: an agent's id, or `CENTRE` for rules of the centre.

    Of the rule set it takes the enabled ones of its place (`where`). started_ms: from when absent data counts.

    youngest: the greatest id it ever gave an occurrence, those before a `restore` among them, "" for none; watched_ms:
    the newest time that was seen before a `restore`, 0 without one.
    """

    def __init__(
        self, rules: RuleSet, devices: Sequence[DeviceFacts], *, origin: str, new_id: NewId, started_ms: int
    ) -> None:
        self._origin = origin
        self._make_id = new_id
        self.youngest = ""
        self.watched_ms = 0
        self._now = started_ms
        self._advanced = started_ms
        self.ignored: Counter[Ignored] = Counter()
        self._lost: set[str] = set()
        self._heard: set[str] = set()
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
            found = self._take(reading)
            if found:
                events += found
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
            point = self._admit((key.device, key.metric, key.subject))
            if point is None:
                return []
        run = run_of(times, values, good, after=point.last, words=point.states) if not point.of_device else None
        if run is not None:
            events = self._judge_run(key.device, point, run)
            return events + self._settle() if self._changed else events
        events = []
        for i, at in enumerate(times):
            found = self._judge(key.device, point, at, values[i] if good is None or good[i] else None)
            if found:
                events += found
        return events + self._settle() if self._changed else events

    def feeds(self, key: PointKey) -> bool:
        """Whether numbers are made of a point, which is then to be judged in its turn among their other inputs."""
        name = (key.device, key.metric, key.subject)
        point = self._points.get(name) or self._admit(name)
        return point is not None and bool(point.feeds)

    def recall(self, key: PointKey, at: int, value: float | str | None) -> None:
        """Remember the newest value of a point for the numbers made of it, judging nothing; None when it was not good.

        A snapshot does not hold these values: who can look them up says them after `restore`.
        """
        self._heard.add(key.device)
        self._roster.recall({(key.device, key.metric, key.subject): (at, value)})

    def _take(self, reading: Reading) -> list[AlarmEvent]:
        point = self._points.get((reading.device, reading.metric, reading.subject))
        if point is None:
            point = self._admit((reading.device, reading.metric, reading.subject))
            if point is None:
                return []
        value = reading.value if reading.quality is Quality.GOOD else None
        return self._judge(reading.device, point, reading.taken_at, value)

    def _judge(self, device: str, point: Point, at: int, value: float | str | None) -> list[AlarmEvent]:
        if at <= point.last:
            self.ignored[Ignored.LATE] += 1
            return []
        if point.last < 0:
            self._heard.add(device)
        point.last = at
        if at > self._now:
            self._now = at
        if type(value) is not float or point.states or not isfinite(value):  # what a good number is not
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
        events = self._let_judge(point.judges, at, value)
        if point.feeds:
            self._feed(point, at, value)
        if point.of_device:
            events += self._communication(device, value == "lost", at)
        return events

    def _let_judge(self, judges: Iterable[Judge], at: int, value: float | str) -> list[AlarmEvent]:
        events: list[AlarmEvent] = []
        for judge in judges:
            if at >= judge.closes:
                opened, before = judge.within_hours(at)
                events += before
                if not opened:
                    judge.watch(at, value)
                    continue
            found = judge.sample(at, value)
            if found:
                events += found
            if judge.due < judge.scheduled:
                self._schedule(judge)
        return events

    def _judge_run(self, device: str, point: Point, run: Run) -> list[AlarmEvent]:
        """Judge a run as sample by sample: whole by those it cannot trouble, each sample by the others in turn."""
        events: list[AlarmEvent] = []
        if point.last < 0:
            self._heard.add(device)
        last = point.last = run.times[-1]
        if last > self._now:
            self._now = last
        each = [judge for judge in point.judges if last >= judge.closes or not judge.absorb(run)]
        if each:
            for at, value in zip(run.times, run.values, strict=True):
                found = self._let_judge(each, at, value)
                if found:
                    events += found
        for judge in point.judges:
            if judge.due < judge.scheduled:
                self._schedule(judge)
        if point.feeds:
            self._feed(point, last, run.values[-1])
        return events

    def _feed(self, point: Point, at: int, value: float | str | None) -> None:
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
            opened, before = judge.within_hours(derived.changed)
            events += before
            if opened:
                events += derived.settle(self._heard)
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

    def _no_value(self, point: Point, at: int) -> list[AlarmEvent]:
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
        for judge in self._roster.absent.get(device, ()):
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
    def due(self) -> int:
        """When the next timer may run out, `NEVER` if none runs; perhaps too early, never too late."""
        return self._heap[0][0] if self._heap else NEVER

    @property
    def rules(self) -> RuleSet:
        """The rules it was given, all of them."""
        return self._roster.rules

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
            for judge in self._roster.judges()
            if judge.occurrence is not None
        ]
        return sorted(held, key=attrgetter("device", "rule", "subject"))

    def severities(self) -> Counter[Severity]:
        """How many occurrences of each severity it holds active."""
        return Counter(judge.occurrence.severity for judge in self._roster.judges() if judge.occurrence is not None)

    def describe(self) -> list[CatalogRule]:
        """The rules that apply to at least one of its devices, for the catalog."""
        return [describing.catalog_rule(rule) for rule in self._roster.applied]

    def rules_for(self, device: str) -> tuple[str, ...]:
        """Ids of the rules that judge expected points of a device, and its communication."""
        roster = self._roster
        facts = roster.facts.get(device)
        if facts is None:
            return ()
        metrics = {point.metric for point in facts.points} | {COMMUNICATION}
        return tuple(
            rule.id
            for rule in roster.rules_of[device]
            if (rule.metric in metrics if rule.expression is None else roster.numbers.fed(rule.id, device))
        )

    # -- remembering -----------------------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """Everything it remembers, as versioned JSON; `restore` on an engine of the same rules goes on exactly.

        Of more than `WINDOWS_AT_ONCE` judges that only collect a window, each snapshot writes some anew and the others
        as they were: a window that lacks its last samples judges as soon as the next one comes.
        """
        return self._pages.snapshot(
            self._roster.judges(),
            points=self._roster.point_records(),
            origin=self._origin,
            now=self._now,
            youngest=self.youngest,
            lost=self._lost,
            missing=self._roster.missing,
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
        self.youngest = max(self.youngest, youngest(saved, now_ms=now_ms))
        self.watched_ms = saved.now
        down = max(down, 0)
        missing = {(device, metric, part): min(at + down, now_ms) for device, metric, part, at in saved.missing}
        self._now = self._advanced = now_ms
        self._lost = {device for device in saved.lost if device in self._roster.facts}
        # Which points they have is known; what these say is awaited.
        self._heard = {point.device for point in saved.points}
        gone = self._roster.gone(saved.points, missing=missing, dropped=(), at=now_ms)
        return self._adopt(saved.judges, saved.points, gone=gone, missing=missing, at=now_ms)

    def reload(self, rules: RuleSet, devices: Sequence[DeviceFacts], *, now_ms: int) -> list[AlarmEvent]:
        """Go on with other rules or devices.

        An unchanged rule keeps its state, and a number what is known of its inputs. Changed limits keep the occurrence,
        restart pending timers and judge at the next sample: if that sample is inside the new limits, the alarm ends
        with `rule_changed`. A removed or disabled rule ends with `rule_removed`, a removed device with
        `device_retired`, a rule that no longer selects the point or judges something else with `rule_changed`. A point
        no longer named goes on being expected, unless its device's facts say it is gone (see `DeviceFacts`): then it
        ends with `device_retired`. Nothing changed, and nothing is `overdue`: nothing happens.
        """
        self._now = max(self._now, now_ms)
        before, missing = self._roster.facts, self._roster.missing
        same = rules == self._roster.rules and {facts.id: facts for facts in devices} == before
        if same and not self.overdue(now_ms):
            return []
        points, records, said = self._take_apart()
        self._build(rules, devices)
        self._lost = {device for device in self._lost if device in self._roster.facts}
        self._heard = {device for device in self._heard if device in self._roster.facts}
        gone = self._roster.gone(points, missing=missing, dropped=dropped(before, devices), at=now_ms)
        events = self._adopt(records, points, gone=gone, missing=missing, at=now_ms)
        self._roster.recall(said)
        return events

    def overdue(self, now_ms: int) -> bool:
        """Whether a point has been missing for so long that the next `reload` ends it."""
        return self._roster.overdue(now_ms)

    def clock_stepped(self, step_ms: int) -> None:
        """The clock that stamps readings was set by `step_ms`: everything remembered moves with it.

        Without this a clock set back would make every sample late until it has caught up, and one set forward would
        make every point absent at once.
        """
        missing = {name: since + step_ms for name, since in self._roster.missing.items()}
        points, records, said = self._take_apart()
        shift(records, points, step_ms)
        self._now += step_ms
        self._advanced += step_ms
        self._build(self._roster.rules, tuple(self._roster.facts.values()))
        self._adopt(records, points, gone=(), missing=missing, at=self._now)
        self._roster.recall({name: (at + step_ms, value) for name, (at, value) in said.items()})

    def _name(self, at_ms: int) -> str:
        made = self._make_id(at_ms)
        self.youngest = max(self.youngest, made)
        return made

    # -- building --------------------------------------------------------------------------------------------------

    def _build(self, rules: RuleSet, devices: Sequence[DeviceFacts]) -> None:
        self._roster = Roster(rules, devices, origin=self._origin, new_id=self._name, now_ms=self._now)
        self._points = self._roster.points
        self._heap: list[tuple[int, int, Judge]] = []
        self._ticket = 0
        self._changed: dict[int, Derived] = {}
        self._schedule_all()

    def _take_apart(self) -> tuple[list[PointRecord], list[JudgeRecord], dict[Name, Said]]:
        """What is remembered of points and judges, and what numbers are made of.

        They are gone after it: `_build` comes next, and both generations at once would be twice the memory of a large
        site.
        """
        points, records, said = self._roster.point_records(), self._roster.records(), self._roster.said()
        self._roster.clear()
        self._heap.clear()
        self._changed.clear()
        return points, records, said

    def _schedule_all(self) -> None:
        for judge in self._roster.judges():
            self._schedule(judge)

    def _adopt(
        self,
        records: Sequence[JudgeRecord],
        points: Sequence[PointRecord],
        *,
        gone: Collection[Name],
        missing: Mapping[Name, int],
        at: int,
    ) -> list[AlarmEvent]:
        events = self._roster.adopt(records, points, gone=gone, missing=missing, lost=self._lost, at=at)
        self._schedule_all()
        return events

    def _admit(self, name: Name) -> Point | None:
        found = self._roster.admit(name, now_ms=self._now)
        if isinstance(found, Ignored):
            self.ignored[found] += 1
            return None
        for judge in found.judges:
            self._schedule(judge)
        return found

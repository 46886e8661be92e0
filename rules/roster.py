"""Who judges what: the rules, devices, points and judges of an engine, and taking remembered state over into them."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from enum import StrEnum
from fnmatch import fnmatchcase

from facility.alarms import CENTRE, AlarmEvent, EndReason
from facility.ids import NewId
from facility.metrics import REGISTER, UNMAPPED
from facility.metrics import metric as register_entry
from facility.reading import PointKey, tells_of_device
from rules.absent import AbsentJudge
from rules.derived import ROOM, SITE, Input, Numbers
from rules.factory import make_judge
from rules.facts import DeviceFacts, applies
from rules.judges import Judge, Value
from rules.model import RuleSet
from rules.parts import Where
from rules.records import JudgeRecord, PointRecord, ended

# A device whose subjects grow without end (a walk gone wrong) must not grow the engine with it.
MAX_EXTRA_POINTS = 1000
# What is remembered of a device over a restart: the most points that a collector makes of one.
MAX_KNOWN_POINTS = 5000

Name = tuple[str, str, str]  # device, metric, subject
Said = tuple[int, Value]


class Ignored(StrEnum):
    """Why a reading was not judged; `Engine.ignored` counts them."""

    UNKNOWN_DEVICE = "unknown_device"
    LATE = "late"  # not newer than the newest reading of its point
    WRONG_TYPE = "wrong_type"  # a word for a number, or a number for a state
    NOT_FINITE = "not_finite"
    TOO_MANY_POINTS = "too_many_points"
    UNKNOWN_METRIC = "unknown_metric"


class Point:
    """A point and those who judge it.

    last: its newest time (ms) of any quality; feeds: what it is to numbers; of_device: whether it is the agent's own
    word of its device, which is no row of any table: never gone, and never too many.
    """

    __slots__ = ("expected", "feeds", "judges", "last", "of_device", "states")

    def __init__(self, metric: str, subject: str, *, expected: bool, judges: tuple[Judge, ...]) -> None:
        self.last = -1
        self.expected = expected
        self.judges = judges
        self.feeds: tuple[Input, ...] = ()
        self.states = register_entry(metric).states is not None
        self.of_device = tells_of_device(metric, subject)


class Roster:
    """The enabled rules of one place on some devices. now_ms: from when absent data counts."""

    def __init__(
        self, rules: RuleSet, devices: Sequence[DeviceFacts], *, origin: str, new_id: NewId, now_ms: int
    ) -> None:
        here = Where.CENTRE if origin == CENTRE else Where.EDGE
        own = [rule for rule in rules if rule.enabled and rule.where is here]
        self._origin = origin
        self._new_id = new_id
        self.rules = rules
        self.own = {rule.id: rule for rule in own}
        self.facts = {facts.id: facts for facts in devices}
        self.rules_of = {facts.id: [rule for rule in own if applies(rule, facts)] for facts in devices}
        used = {rule.id for applied in self.rules_of.values() for rule in applied}
        self.applied = [rule for rule in own if rule.id in used]
        self.numbers = Numbers(devices, self.rules_of, origin=origin, new_id=new_id, now_ms=now_ms)
        self.points: dict[Name, Point] = {}
        self.absent: dict[str, list[AbsentJudge]] = {}
        self.missing: dict[Name, int] = {}  # points once expected that complete lists lack, and since when
        self._extra: Counter[str] = Counter()
        for facts in devices:
            for key in facts.points:
                self._add(facts, key.metric, key.subject, expected=True, now_ms=now_ms)

    def admit(self, name: Name, *, now_ms: int) -> Point | Ignored:
        """A point the facts do not name: judged too, but not for its absence."""
        device, metric, subject = name
        facts = self.facts.get(device)
        if facts is None:
            return Ignored.UNKNOWN_DEVICE
        if not _registered(metric):
            return Ignored.UNKNOWN_METRIC
        if not tells_of_device(metric, subject):
            if self._extra[device] >= MAX_EXTRA_POINTS:
                return Ignored.TOO_MANY_POINTS
            self._extra[device] += 1
        return self._add(facts, metric, subject, expected=False, now_ms=now_ms)

    def _add(self, facts: DeviceFacts, metric: str, subject: str, *, expected: bool, now_ms: int) -> Point:
        name = (facts.id, metric, subject)
        judges = tuple(
            make_judge(rule, facts, subject, origin=self._origin, new_id=self._new_id, started_ms=now_ms)
            for rule in self.rules_of[facts.id]
            if rule.metric == metric
            and rule.expression is None
            and fnmatchcase(subject, rule.select.subject)
            and (expected or rule.absent is None)
        )
        point = self.points[name] = Point(metric, subject, expected=expected, judges=judges)
        for judge in judges:
            if isinstance(judge, AbsentJudge):
                self.absent.setdefault(facts.id, []).append(judge)
        point.feeds = tuple(self.numbers.inputs(facts, self.rules_of[facts.id], metric, subject, now_ms=now_ms))
        return point

    def clear(self) -> None:
        """Let go of every point and judge; good for nothing after it."""
        for held in (self.points, self.absent, self.numbers.made):
            held.clear()

    def judges(self) -> Iterator[Judge]:
        """Every judge, of numbers and of points."""
        for made in self.numbers.made.values():
            yield made.judge
        for point in self.points.values():
            yield from point.judges

    def _judge(self, rule: str, name: Name) -> Judge | None:
        point = self.points.get(name)
        for judge in point.judges if point is not None else ():
            if judge.rule == rule:
                return judge
        return self.numbers.judge(rule, name)

    def point_records(self) -> list[PointRecord]:
        return [
            PointRecord(device=device, metric=metric, subject=subject, last=point.last, expected=point.expected)
            for (device, metric, subject), point in self.points.items()
            if point.judges or point.feeds
        ]

    def said(self) -> dict[Name, Said]:
        """When and what the points that numbers are made of last said."""
        firsts = ((name, point.feeds[0]) for name, point in self.points.items() if point.feeds)
        return {name: (first.at, first.said) for name, first in firsts if first.at >= 0}

    def recall(self, said: Mapping[Name, Said]) -> None:
        """Tell the numbers what their points last said; judges nothing."""
        for name, (at, value) in said.items():
            point = self.points.get(name)
            for each in point.feeds if point is not None else ():
                each.put(at, value)

    def records(self) -> list[JudgeRecord]:
        """What is worth remembering: a judge with nothing going on starts just as well afresh."""
        return [judge.save() for judge in self.judges() if not judge.calm]

    def gone(
        self, points: Sequence[PointRecord], *, missing: Mapping[Name, int], dropped: Collection[PointKey], at: int
    ) -> set[Name]:
        """Of the points remembered, those that are there no more. dropped: as `dropped` below finds them."""
        found: set[Name] = set()
        for saved in points:
            name = (saved.device, saved.metric, saved.subject)
            facts = self.facts.get(saved.device)
            if facts is None or name in self.points or tells_of_device(saved.metric, saved.subject):
                continue
            if not facts.can_give(saved.metric, saved.subject):
                found.add(name)
            elif saved.expected and facts.complete:
                waited = at - missing.get(name, at)
                if waited >= facts.gone_after_ms or PointKey(*name) in dropped:
                    found.add(name)
        return found

    def overdue(self, now_ms: int) -> bool:
        """Whether a point has been missing for long enough to be gone."""
        return any(
            facts.complete and now_ms - since >= facts.gone_after_ms
            for (device, _, _), since in self.missing.items()
            if (facts := self.facts.get(device)) is not None
        )

    def adopt(
        self,
        records: Sequence[JudgeRecord],
        points: Sequence[PointRecord],
        *,
        gone: Collection[Name],
        missing: Mapping[Name, int],
        lost: Set[str],
        at: int,
    ) -> list[AlarmEvent]:
        """Give the judges their remembered state; end what has no judge any longer. lost: devices that are silent."""
        events: list[AlarmEvent] = []
        remembered: Counter[str] = Counter()
        retired = set(gone)
        for saved in points:
            name = (saved.device, saved.metric, saved.subject)
            facts = self.facts.get(saved.device)
            if name not in self.points and name not in retired:
                of_device = tells_of_device(saved.metric, saved.subject)
                remembered[saved.device] += not of_device
                too_many = not of_device and remembered[saved.device] > MAX_KNOWN_POINTS
                if facts is None or too_many or not _registered(saved.metric):
                    retired.add(name)
                    continue
                self._add(facts, saved.metric, saved.subject, expected=saved.expected, now_ms=at)
                if saved.expected and not of_device and (name in missing or facts.complete):
                    self.missing[name] = missing.get(name, at)
            if name in self.points:
                self.points[name].last = saved.last
        for record in records:
            judge = self._judge(record.rule, (record.device, record.metric, record.subject))
            if judge is None:
                events += self._orphan(record, retired, at)
            elif judge.revision == record.revision:
                judge.load(record)
            elif not judge.carry(record):
                events += self._orphan(record, retired, at)
        for device, judges in self.absent.items():
            for absent in judges:
                absent.silent = device in lost
                absent.schedule()
        return events

    def _orphan(self, record: JudgeRecord, retired: Collection[Name], at: int) -> list[AlarmEvent]:
        held = record.occurrence
        if held is None:
            return []
        of_place = record.subject in (ROOM, SITE)
        rule = self.own.get(record.rule)
        if rule is None:
            known = of_place or record.device in self.facts
            reason = EndReason.RULE_REMOVED if known else EndReason.DEVICE_RETIRED
        elif of_place:
            # The rule is what it was, and a device is no more: the last one that the number was made of.
            left = rule.revision == record.revision and any(device not in self.facts for device, _, _ in retired)
            reason = EndReason.DEVICE_RETIRED if left else EndReason.RULE_CHANGED
        elif record.device not in self.facts or (record.device, record.metric, record.subject) in retired:
            reason = EndReason.DEVICE_RETIRED
        else:
            reason = EndReason.RULE_CHANGED
        return [ended(record, held, origin=self._origin, at=at, reason=reason)]


def _registered(metric: str) -> bool:
    return metric in REGISTER or UNMAPPED.fullmatch(metric) is not None


def dropped(before: Mapping[str, DeviceFacts], now: Sequence[DeviceFacts]) -> set[PointKey]:
    """What a device's complete list had and its next one lacks: forgotten by whoever asks the device."""
    found: set[PointKey] = set()
    for facts in now:
        old = before.get(facts.id)
        if old is not None and old.complete and facts.complete and old.points != facts.points:
            found |= set(old.points) - set(facts.points)
    return found

"""From what a device said to readings: the pure half of a collector, compiled once per device.

The converter remembers per point only what the filters need: the last good value and instant (slew) and the last
`taken_at` (strictly increasing). A point that never had a value and is not there is silent; one that had is reported
bad with its reason. Not available is never a number.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from collectors.counts import Count
from collectors.decode import Decode, Extras, Refusal, decoder, text_of
from collectors.exchange import ModbusAnswer, ModbusNeeds, SnmpAnswer, SnmpNeeds, Span, Table
from collectors.subjects import Names, Row, Subjects, plain, row_of
from collectors.view import View
from facility.metrics import Metric
from facility.profile import ModbusLimits, Point, Profile, Protocol
from facility.reading import Quality, QualityReason, Reading
from facility.sources import Source
from facility.states import UNKNOWN
from facility.units import Unit

# Rows of one device: a rack PDU has some hundred outlets; beyond this a walk is not a table of sensors.
MAX_POINTS = 5000
_SCALAR = Row("", ())
GONE = QualityReason.NO_SUCH_OBJECT


@dataclass(frozen=True, slots=True)
class PointInfo:
    """A point as the catalog tells it; labels carry the device's own name of the row where it has one."""

    metric: str
    subject: str
    unit: Unit
    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Sourced:
    """A reading with where it was read (`1.3.6...` or `holding:4`) and what stood there."""

    reading: Reading
    source: str
    raw: str | None


@dataclass(slots=True)
class _Memory:
    """What the filters know of one point."""

    info: PointInfo
    last_at: int = 0
    good_at: int = 0
    good: float | None = None
    count: Count = field(default_factory=Count)


@dataclass(slots=True)  # not frozen: one is made for each value, and freezing would cost as much again
class _Found:
    """What one source brought: a decoded value or a refusal; weak: the profile calls the raw value doubtful; span: what
    a turn of a counter is worth."""

    value: float | str | Refusal
    source: str
    raw: str | None
    weak: bool = False
    span: float | None = None


class _Absent:
    """The unit has no such sensor."""


_ABSENT = _Absent()
_NO_EXTRAS = Extras()


class _CompiledSource:
    __slots__ = ("absent", "decode", "doubtful", "oid", "reached", "sentinels", "source", "told")

    def __init__(self, source: Source, entry: Metric) -> None:
        self.source = source
        self.decode: Decode = decoder(source, entry)
        self.sentinels = frozenset(source.sentinels)
        self.absent = frozenset(source.absent)
        self.doubtful = frozenset(source.doubtful)
        self.reached = 0  # steps of scale_by; a step once reached holds
        self.told = False  # whether all that tells the scale was answered once
        # The object, where nothing but its own value says what it means: most points, and these at each poll.
        beside = (source.unit_from, source.scale_from, source.scale_by, source.sentinel_when, source.wraps_at)
        self.oid = source.oid if beside == (None,) * len(beside) and not (source.contains or source.passes) else None

    def read(self, view: View, row: Row) -> _Found | _Absent:
        if self.oid is not None and (known := view.snmp.get(self.oid)) is not None:
            text = text_of(known)
            if text in self.absent or text == "":
                return _ABSENT
            if text in self.sentinels:
                return _Found(QualityReason.SENTINEL, self.oid, text)
            return _Found(self.decode(known, _NO_EXTRAS), self.oid, text, text in self.doubtful)
        source = self.source
        if source.contains:
            return self._contains(view)
        raw, name = view.look(source, row)
        if isinstance(raw, QualityReason):
            return _Found(raw, name, None)
        text = text_of(raw)
        if text in self.absent or text == "":
            return _ABSENT
        if text in self.sentinels or self._sentinel_now(text, view, row):
            return _Found(QualityReason.SENTINEL, name, text)
        step = self._step(view, row)
        if isinstance(step, QualityReason):
            return _Found(step, name, text)
        extras = Extras(view.raw_text(source.unit_from, row), view.raw_text(source.scale_from, row), step)
        value = self.decode(raw, extras)
        if source.passes and value == UNKNOWN:
            return _ABSENT
        span = None if source.wraps_at is None else self._turn(source.wraps_at, extras)
        return _Found(value, name, text, weak=text in self.doubtful, span=span)

    def _turn(self, wraps_at: int, extras: Extras) -> float | None:
        end, begin = self.decode(wraps_at, extras), self.decode(0, extras)
        return end - begin if isinstance(end, float) and isinstance(begin, float) else None

    def _step(self, view: View, row: Row) -> float | QualityReason:
        """The factor of `scale_by`, or why it is not known: some of what tells it was not answered."""
        by = self.source.scale_by
        if by is None:
            return 1.0
        numbers, missed = view.numbers(by, row)
        largest = max((number for number in numbers if number <= by.at_most), default=0)
        reached = sum(largest >= step.at_least for step in by.steps)
        self.reached = max(self.reached, reached)
        self.told = self.told or missed is None
        if missed is not None and not self.reached and not self.told:
            return missed
        return by.steps[self.reached - 1].factor if self.reached else 1.0

    def _sentinel_now(self, text: str, view: View, row: Row) -> bool:
        only = self.source.sentinel_when
        return only is not None and text in only.raw and view.holds(only.when, row)

    def _contains(self, view: View) -> _Found | _Absent:
        column = self.source.column or ""
        reason = view.failed.get(column)
        if reason is not None and reason is not QualityReason.NO_SUCH_OBJECT:  # an empty table is a good answer
            return _Found(reason, column, None)
        where = self.source.where
        rows = [
            (suffix, text_of(raw))
            for suffix, raw in view.columns.get(column, ())
            if where is None or view.holds(where, row_of(suffix))
        ]
        for wanted, word in self.source.contains.items():
            for suffix, text in rows:
                if text == wanted or text.startswith(wanted + "."):
                    return _Found(word, f"{column}.{suffix}", text)
        return _ABSENT if self.source.passes else _Found(self.source.otherwise or UNKNOWN, column, None)


class _CompiledPoint:
    __slots__ = ("counts_slew", "entry", "limits", "point", "seen", "slew", "sources", "subjects")

    def __init__(self, point: Point) -> None:
        self.point = point
        self.entry = point.entry
        self.sources = [_CompiledSource(source, self.entry) for source in point.sources]
        self.limits = point.range or (self.entry.minimum, self.entry.maximum)
        self.slew = point.slew or self.entry.slew
        self.counts_slew = self.slew is not None and not self.entry.counter
        self.subjects = Subjects(point.subject)
        self.seen: set[str] = set()  # subjects of the table's rows in the answer before

    def rows(self, view: View, uniques: Callable[[str], Mapping[str, str]]) -> Iterator[tuple[str, Row]]:
        """Subject and row of every instance in this answer; uniques: a column's names by index, each once."""
        if not self.point.is_table:
            yield self.point.subject, _SCALAR
            return
        seen: set[str] = set()
        counted = view.raw_text(self.point.rows, _SCALAR)
        most = int(counted) if counted is not None and counted.isdigit() else 0
        for source in self.point.sources:
            for suffix, _ in view.columns.get(source.column or "", ()):
                if suffix not in seen:
                    seen.add(suffix)
                    row = row_of(suffix)
                    if most and row.parts[0].isdigit() and int(row.parts[0]) > most:
                        continue
                    if any(row.pick((at,)) not in wanted for at, wanted in self.point.only.items()):
                        continue
                    subject = self._subject(view, row, uniques)
                    if subject is not None:
                        yield subject, row

    def _subject(self, view: View, row: Row, uniques: Callable[[str], Mapping[str, str]]) -> str | None:
        """None where the row's name was not answered: nobody knows whose value this is."""
        place = self.point.name
        if place is None or not self.subjects.by_name:
            return self.subjects.of(row, None)
        if place.column is None:
            return self.subjects.of(row, plain(view.raw_text(place, row) or ""))
        name = uniques(place.column).get(row.pick(place.index))
        if name is None and view.weather(place, row) is not None:
            return None
        return self.subjects.of(row, name)

    def lost(self, view: View) -> QualityReason:
        """Why rows of this table are not there: what went wrong, or that they left."""
        names = self.point.name.column if self.point.name is not None and self.subjects.by_name else None
        failures = [view.failed.get(column) for column in (names, *(s.column for s in self.point.sources)) if column]
        return next((r for r in failures if r not in (None, GONE)), None) or GONE

    def read(self, view: View, row: Row) -> _Found | _Absent:
        """The best of the sources: the first good one, a doubtful one if none is better, else the first refusal."""
        weak: _Found | None = None
        refused: _Found | None = None
        for source in self.sources:
            found = source.read(view, row)
            if isinstance(found, _Absent):
                continue
            if isinstance(found.value, Refusal):
                # "No such object" says least: a later source that answers with a sentinel says more.
                if refused is None or refused.value is QualityReason.NO_SUCH_OBJECT:
                    refused = found
                if source.source.passes and found.value is not QualityReason.NO_SUCH_OBJECT:
                    return found  # whether that place tells an alarm is not known, so a later calm one proves nothing
            elif found.weak:
                weak = weak or found
            else:
                return found
        return weak or refused or _ABSENT


class Converter:
    """Turns answers of one device into readings. Not shared between devices: it remembers.

    address_offset shifts every Modbus address, for devices whose manual and wire differ by one.
    """

    def __init__(self, profile: Profile, *, device: str, address_offset: int = 0) -> None:
        self.profile = profile
        self.device = device
        self._offset = address_offset
        self._points = [_CompiledPoint(point) for point in profile.points]
        self._memory: dict[tuple[str, str], _Memory] = {}
        self._names: dict[str, Names] = {}
        self._restarted = False
        self._needs = _needs(profile, address_offset)
        self._walks = frozenset(self._needs.walks) if isinstance(self._needs, SnmpNeeds) else frozenset()
        self._roots: dict[str, str] = {}
        for point in profile.points:
            # Registers are there from the start; what the unit may lack is known once it has shown itself.
            if profile.protocol is Protocol.MODBUS and not any(source.absent for source in point.sources):
                self._remember(point, point.subject, None)

    def needs(self) -> SnmpNeeds | ModbusNeeds:
        """What must be asked of the device; the same at each poll."""
        return self._needs

    def points(self) -> list[PointInfo]:
        """The points known so far; table rows and optional objects appear once the device has answered with them."""
        return [memory.info for memory in self._memory.values()]

    def convert(self, answer: SnmpAnswer | ModbusAnswer, *, taken_at: int, restarted: bool = False) -> list[Reading]:
        """The readings of one answer; taken_at: milliseconds UTC; restarted: the device did since the answer before."""
        return [each.reading for each in self.convert_sourced(answer, taken_at=taken_at, restarted=restarted)]

    def convert_sourced(
        self, answer: SnmpAnswer | ModbusAnswer, *, taken_at: int, restarted: bool = False
    ) -> list[Sourced]:
        """As `convert`, each with where it was read and what stood there."""
        if isinstance(answer, ModbusAnswer) != (self.profile.protocol is Protocol.MODBUS):
            raise TypeError(f"{self.profile.id} speaks {self.profile.protocol}; the answer is of another protocol")
        view = View(answer, self._rooted(answer), self._offset)
        done: dict[tuple[str, str], Sourced | None] = {}
        self._restarted = restarted
        uniques: dict[str, Mapping[str, str]] = {}

        def unique(column: str) -> Mapping[str, str]:
            if column not in uniques:
                said = {suffix: text_of(raw) for suffix, raw in view.columns.get(column, ())}
                uniques[column] = self._names.setdefault(column, Names()).unique(said)
            return uniques[column]

        for point in self._points:
            here: set[str] = set()
            for subject, row in point.rows(view, unique):
                key = (point.point.metric, subject)
                made = done.get(key)
                if made is None or made.reading.value is None:
                    fresh = self._one(point, subject, row, view, taken_at)
                    done[key] = fresh if fresh is not None and (made is None or fresh.reading.good) else made
                if done[key] is not None:
                    here.add(subject)
            if point.point.is_table:
                self._lost_rows(point, here, view, done, taken_at)
        readings = [sourced for sourced in done.values() if sourced is not None]
        for sourced in readings:
            self._memory[sourced.reading.metric, sourced.reading.subject].last_at = sourced.reading.taken_at
        return readings

    def _one(self, compiled: _CompiledPoint, subject: str, row: Row, view: View, taken_at: int) -> Sourced | None:
        point = compiled.point
        found: _Found | _Absent
        untold = next((condition for condition in point.when if not view.holds(condition, row)), None)
        if untold is None:
            found = compiled.read(view, row)
        else:
            reason = view.weather(untold, row)
            if reason is None:
                return None
            found = _Found(reason, "", None)  # whether the point is there was not answered this time
        memory = self._memory.get((point.metric, subject))
        if isinstance(found, _Absent):
            if memory is None:
                return None
            found = _Found(QualityReason.SENTINEL, "", None)
        elif memory is None:
            if found.value is QualityReason.NO_SUCH_OBJECT or len(self._memory) >= MAX_POINTS:
                return None
            if isinstance(found.value, Refusal) and found.value is not QualityReason.SENTINEL and found.raw is None:
                return None  # never seen and not answered: nothing says that the device has it
            memory = self._remember(point, subject, view.raw_text(point.name, row))
        return self._judged(compiled, memory, found, taken_at)

    def _judged(self, compiled: _CompiledPoint, memory: _Memory, found: _Found, taken_at: int) -> Sourced:
        at = max(taken_at, memory.last_at + 1)
        value: float | str | None
        reason: QualityReason | None = None
        quality = Quality.GOOD
        if isinstance(found.value, Refusal):
            value, reason = None, found.value
        elif isinstance(found.value, str):
            value = found.value
            if value == UNKNOWN:
                reason, quality = QualityReason.UNKNOWN_STATE, Quality.UNCERTAIN
        else:
            value = found.value
            reason = self._unbelievable(compiled, memory, value, at)
            if reason is None and compiled.entry.counter:
                value = memory.count.total(value, span=found.span, restarted=self._restarted)
                reason = None if value is not None else QualityReason.SLEW
            if reason is None:
                memory.good, memory.good_at = value, at
            else:
                value = None
        if value is None:
            quality = Quality.BAD
        reading = Reading(
            device=self.device,
            metric=memory.info.metric,
            subject=memory.info.subject,
            value=value,
            taken_at=at,
            quality=quality,
            reason=reason,
            raw=found.raw if reason is not None else None,
        )
        return Sourced(reading, found.source, found.raw)

    def _unbelievable(self, compiled: _CompiledPoint, memory: _Memory, value: float, at: int) -> QualityReason | None:
        low, high = compiled.limits
        if (low is not None and value < low) or (high is not None and value > high):
            return QualityReason.OUT_OF_RANGE
        if compiled.counts_slew and compiled.slew is not None and memory.good is not None:
            # The allowance grows with the time since the last good value, so a real step is believed in the end.
            allowed = compiled.slew * (at - memory.good_at) / 1000
            if abs(value - memory.good) > allowed:
                return QualityReason.SLEW
        return None

    def _lost_rows(
        self,
        compiled: _CompiledPoint,
        here: set[str],
        view: View,
        done: dict[tuple[str, str], Sourced | None],
        taken_at: int,
    ) -> None:
        """Known rows that did not come are bad: as long as their walk fails, or once when they left the table."""
        reason = compiled.lost(view)
        missing = compiled.seen - here
        compiled.seen = here
        if reason is not GONE:
            here |= missing
        for subject in sorted(missing):
            key = (compiled.point.metric, subject)
            memory = self._memory.get(key)
            if memory is not None and done.get(key) is None:
                done[key] = self._judged(
                    compiled, memory, _Found(reason, compiled.sources[0].source.column or "", None), taken_at
                )

    def _remember(self, point: Point, subject: str, name: str | None) -> _Memory:
        key = (point.metric, subject)
        memory = self._memory.get(key)
        if memory is None:
            entry = point.entry
            en, zh = (point.label.en, point.label.zh) if point.label else (entry.en, entry.zh)
            if name:
                en, zh = f"{en}: {name}", f"{zh}：{name}"
            memory = self._memory[key] = _Memory(PointInfo(point.metric, subject, entry.unit, en, zh))
        return memory

    def _rooted(self, answer: SnmpAnswer | ModbusAnswer) -> Mapping[str, str]:
        """Which walked column each instance belongs to; kept, since the same instances come at every poll."""
        if isinstance(answer, ModbusAnswer):
            return self._roots
        if len(self._roots) > 4 * MAX_POINTS:
            self._roots.clear()
        for oid in answer.values:
            if oid not in self._roots:
                at = oid.rfind(".")
                while at > 0 and oid[:at] not in self._walks:
                    at = oid.rfind(".", 0, at)
                self._roots[oid] = oid[:at] if at > 0 else ""
        return self._roots


def _needs(profile: Profile, offset: int) -> SnmpNeeds | ModbusNeeds:
    places = [place for point in profile.points for place in point.places()]
    if profile.protocol is Protocol.SNMP:
        gets = dict.fromkeys(place.oid for place in places if place.oid is not None)
        walks = dict.fromkeys(place.column for place in places if place.column is not None)
        return SnmpNeeds(gets=tuple(gets), walks=tuple(walks))
    spans: dict[Span, None] = {}
    for place in places:
        table, address = place.cell
        count = place.type.words if isinstance(place, Source) else 1
        spans[Span(Table(table), address + offset, count)] = None
    limits = profile.modbus or ModbusLimits()
    return ModbusNeeds(
        spans=tuple(spans),
        gap=limits.gap,
        max_block=limits.max_block,
        pause_ms=limits.pause_ms,
        connect_pause_ms=limits.connect_pause_ms,
    )

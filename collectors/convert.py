"""From what a device said to readings: the pure half of a collector, compiled once per device.

The converter remembers per point only what the filters need: the last good value and its instant (slew). A point that
never had a value and is not there is silent; one that had is reported bad with its reason. Not available is never a
number.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from collectors.compiled import GONE, Absent, CompiledPoint, CompiledSource, Found
from collectors.counts import Count
from collectors.decode import Refusal, text_of
from collectors.exchange import ModbusAnswer, ModbusNeeds, SnmpAnswer, SnmpNeeds, Span, Table
from collectors.learnt import LearntCount, count_of, counted
from collectors.subjects import Names, Row
from collectors.view import View
from facility.profile import ModbusLimits, Point, Profile, Protocol
from facility.reading import Quality, QualityReason, Reading
from facility.states import UNKNOWN
from facility.units import Quantity, Unit

# Rows of one device: a rack PDU has some hundred outlets; beyond this a walk is not a table of sensors.
MAX_POINTS = 5000
# A row that left its table is forgotten after a week: a module that is repaired and put back keeps its curve.
FORGET_ROWS_MS = 7 * 86_400_000
# Looking for them is an hourly affair.
_LOOK_MS = 3_600_000


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
    row: bool = False  # of a table: it may leave for good
    seen_at: int = 0
    good_at: int = 0
    good: float | None = None
    count: Count = field(default_factory=Count)


class Converter:
    """Turns answers of one device into readings. Not shared between devices: it remembers.

    address_offset shifts every Modbus address, for devices whose manual and wire differ by one. forgotten: rows that
    left so long ago that they are no points any more; left_out: those of the last answer that found no room.
    """

    def __init__(self, profile: Profile, *, device: str, address_offset: int = 0) -> None:
        self.profile = profile
        self.device = device
        self._offset = address_offset
        self._points = [CompiledPoint(point) for point in profile.points]
        told = Counter(compiled.key for compiled in self._points)
        for compiled in self._points:
            if told[compiled.key] > 1:
                compiled.plain = None  # which of them is the point is found out at each answer
        self._memory: dict[tuple[str, str], _Memory] = {}
        self._recalled: dict[tuple[str, str], LearntCount] = {}
        self._names: dict[tuple[str, tuple[int, ...]], Names] = {}
        self._restarted = False
        self.forgotten = 0
        self.left_out = 0
        self._looked_at = 0
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

    def learnt(self) -> tuple[LearntCount, ...]:
        """The counters that are known, with their turns; also those that a silent device has not shown again yet."""
        counts = (count_of(metric, subject, memory.count) for (metric, subject), memory in self._memory.items())
        return (*(each for each in counts if each is not None), *self._recalled.values())[:MAX_POINTS]

    def recall(self, counts: Iterable[LearntCount]) -> None:
        """Counters as an earlier program left them; each is taken up when its point is met again."""
        self._recalled = {(each.metric, each.subject): each for each in islice(counts, MAX_POINTS)}
        for key in [key for key in self._memory if key in self._recalled]:
            self._memory[key].count = counted(self._recalled.pop(key))

    def convert(self, answer: SnmpAnswer | ModbusAnswer, *, taken_at: int, restarted: bool = False) -> list[Reading]:
        """The readings of one answer; taken_at: milliseconds UTC; restarted: the device did since the answer before."""
        bare, made = self._converted(answer, taken_at=taken_at, restarted=restarted, plainly=True)
        return bare + [each.reading for each in made]

    def convert_sourced(
        self, answer: SnmpAnswer | ModbusAnswer, *, taken_at: int, restarted: bool = False
    ) -> list[Sourced]:
        """As `convert`, each with where it was read and what stood there."""
        return self._converted(answer, taken_at=taken_at, restarted=restarted, plainly=False)[1]

    def _converted(
        self, answer: SnmpAnswer | ModbusAnswer, *, taken_at: int, restarted: bool, plainly: bool
    ) -> tuple[list[Reading], list[Sourced]]:
        """plainly: plain numbers come as bare readings, at half the cost; they are what a poll mostly brings."""
        if isinstance(answer, ModbusAnswer) != (self.profile.protocol is Protocol.MODBUS):
            raise TypeError(f"{self.profile.id} speaks {self.profile.protocol}; the answer is of another protocol")
        view = View(answer, self._rooted(answer), self._offset)
        done: dict[tuple[str, str], Sourced | None] = {}
        bare: list[Reading] = []
        self._restarted = restarted
        self.left_out = 0
        uniques: dict[tuple[str, tuple[int, ...]], Mapping[str, str]] = {}

        def unique(column: str, within: tuple[int, ...]) -> Mapping[str, str]:
            asked = column, within
            if asked not in uniques:
                said = {suffix: text_of(raw) for suffix, raw in view.columns.get(column, ())}
                uniques[asked] = self._names.setdefault(asked, Names(within)).unique(said)
            return uniques[asked]

        for point in self._points:
            if plainly and point.plain is not None and (reading := self._plain(point, point.plain, view, taken_at)):
                bare.append(reading)
                continue
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
        self._forget_rows(answer, taken_at)
        return bare, [sourced for sourced in done.values() if sourced is not None]

    def _plain(self, compiled: CompiledPoint, source: CompiledSource, view: View, taken_at: int) -> Reading | None:
        """The good reading of a plain point that is known; None where there is more to it."""
        memory = self._memory.get(compiled.key)
        value = source.number(view) if memory is not None else None
        if memory is None or value is None:
            return None
        if self._unbelievable(compiled, memory, value, taken_at) is not None:
            return None
        memory.good, memory.good_at = value, taken_at
        metric, subject = compiled.key
        return Reading(self.device, metric, subject, value, taken_at)

    def _one(self, compiled: CompiledPoint, subject: str, row: Row, view: View, taken_at: int) -> Sourced | None:
        point = compiled.point
        found: Found | Absent
        untold = next((condition for condition in point.when if not view.holds(condition, row)), None)
        if untold is None:
            found = compiled.read(view, row)
        else:
            reason = view.weather(untold, row)
            if reason is None:
                return None
            found = Found(reason, "", None)  # whether the point is there was not answered this time
        memory = self._memory.get((point.metric, subject))
        if isinstance(found, Absent):
            if memory is None:
                return None
            found = Found(QualityReason.SENTINEL, "", None)
        elif memory is None:
            if found.value is QualityReason.NO_SUCH_OBJECT:
                return None
            if isinstance(found.value, Refusal) and found.value is not QualityReason.SENTINEL and found.raw is None:
                return None  # never seen and not answered: nothing says that the device has it
            if len(self._memory) >= MAX_POINTS:
                self.left_out += 1
                return None
            memory = self._remember(point, subject, view.raw_text(point.name, row))
        return self._judged(compiled, memory, found, taken_at)

    def _judged(self, compiled: CompiledPoint, memory: _Memory, found: Found, taken_at: int) -> Sourced:
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
            reason = self._unbelievable(compiled, memory, value, taken_at)
            if reason is None and compiled.entry.counter:
                value = memory.count.total(
                    value,
                    at=taken_at,
                    span=found.span,
                    restarted=self._restarted,
                    of_time=compiled.entry.quantity is Quantity.DURATION,
                )
                reason = None if value is not None else QualityReason.SLEW
            if reason is None:
                memory.good, memory.good_at = value, taken_at
            else:
                value = None
        if value is None:
            quality = Quality.BAD
        reading = Reading(
            device=self.device,
            metric=memory.info.metric,
            subject=memory.info.subject,
            value=value,
            taken_at=taken_at,
            quality=quality,
            reason=reason,
            raw=found.raw if reason is not None else None,
        )
        return Sourced(reading, found.source, found.raw)

    def _unbelievable(self, compiled: CompiledPoint, memory: _Memory, value: float, at: int) -> QualityReason | None:
        if value < compiled.low or value > compiled.high:
            return QualityReason.OUT_OF_RANGE
        # Before the last good value: the clock was set back, and how long ago that was is not known.
        if compiled.counts_slew and compiled.slew is not None and memory.good is not None and at >= memory.good_at:
            # The allowance grows with the time since the last good value, so a real step is believed in the end.
            allowed = compiled.slew * (at - memory.good_at) / 1000
            if abs(value - memory.good) > allowed:
                return QualityReason.SLEW
        return None

    def _lost_rows(
        self,
        compiled: CompiledPoint,
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
        for subject in here:
            if (known := self._memory.get((compiled.point.metric, subject))) is not None:
                known.seen_at = taken_at
        for subject in sorted(missing):
            key = (compiled.point.metric, subject)
            memory = self._memory.get(key)
            if memory is not None and done.get(key) is None:
                done[key] = self._judged(
                    compiled, memory, Found(reason, compiled.sources[0].source.column or "", None), taken_at
                )

    def _forget_rows(self, answer: SnmpAnswer | ModbusAnswer, taken_at: int) -> None:
        if 0 <= taken_at - self._looked_at < _LOOK_MS:
            return
        self._looked_at = taken_at
        if all(reason is QualityReason.NO_SUCH_OBJECT for reason in answer.failed.values()):
            # It showed all it has: what an earlier program knew and is not among it left then.
            old = taken_at - FORGET_ROWS_MS
            self._recalled = {key: each for key, each in self._recalled.items() if each.at >= old}
        gone = [key for key, known in self._memory.items() if known.row and taken_at - known.seen_at > FORGET_ROWS_MS]
        for key in gone:
            del self._memory[key]
        self.forgotten += len(gone)

    def _remember(self, point: Point, subject: str, name: str | None) -> _Memory:
        key = (point.metric, subject)
        memory = self._memory.get(key)
        if memory is None:
            entry = point.entry
            en, zh = (point.label.en, point.label.zh) if point.label else (entry.en, entry.zh)
            if name:
                en, zh = f"{en}: {name}", f"{zh}：{name}"
            memory = self._memory[key] = _Memory(
                PointInfo(point.metric, subject, entry.unit, en, zh), row=point.is_table
            )
            if entry.counter and key in self._recalled:
                memory.count = counted(self._recalled.pop(key))
        return memory

    def _rooted(self, answer: SnmpAnswer | ModbusAnswer) -> Mapping[str, str]:
        """Which walked column each instance belongs to; kept, since the same instances come at every poll."""
        if isinstance(answer, ModbusAnswer) or not self._walks:
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
        spans[Span(Table(table), address + offset, place.span)] = None
    limits = profile.modbus or ModbusLimits()
    return ModbusNeeds(
        spans=tuple(spans),
        gap=limits.gap,
        max_block=limits.max_block,
        pause_ms=limits.pause_ms,
        connect_pause_ms=limits.connect_pause_ms,
    )

"""A profile's points, compiled once per device: which rows there are, and what each source of a point says.

Only what must be remembered between answers is: the steps of a scale once told, the rows that were there.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from math import inf
from typing import Any

from collectors.decode import Affine, Decode, Extras, Refusal, affine_of, decoder, text_of, whole_of
from collectors.subjects import Row, Subjects, plain, row_of
from collectors.view import View
from facility.metrics import Metric
from facility.profile import Point
from facility.reading import QualityReason
from facility.sources import RawValues, Source
from facility.states import UNKNOWN

SCALAR = Row("", ())
GONE = QualityReason.NO_SUCH_OBJECT


@dataclass(slots=True)  # not frozen: one is made for each value, and freezing would cost as much again
class Found:
    """What one source brought: a decoded value or a refusal; weak: the profile calls the raw value doubtful; span: what
    a turn of a counter is worth."""

    value: float | str | Refusal
    source: str
    raw: str | None
    weak: bool = False
    span: float | None = None


class Absent:
    """The unit has no such sensor."""


ABSENT = Absent()
# Once, not for each of an agent's thousands of points: most have no such value, or are no table.
_NOTHING: frozenset[Any] = frozenset()
# More sources than the profiles of any site have; a device that is compiled later only takes a little longer.
_DECODERS = 4096
_NO_EXTRAS = Extras()
_NO_ROWS = Subjects("")


class _SourceOf:
    """A source of a register entry as a key: the devices of a profile share its sources, and so their decoders."""

    __slots__ = ("entry", "source")

    def __init__(self, source: Source, entry: Metric) -> None:
        self.source = source
        self.entry = entry

    def __hash__(self) -> int:
        return id(self.source)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SourceOf) and self.source is other.source and self.entry is other.entry


@functools.lru_cache(maxsize=_DECODERS)
def _decoder(of: _SourceOf) -> tuple[Decode, Affine | None]:
    return decoder(of.source, of.entry), affine_of(of.source, of.entry)


def _set(values: RawValues) -> frozenset[Any]:
    return frozenset(values) if values else _NOTHING


class CompiledSource:
    __slots__ = ("absent", "decode", "doubtful", "form", "oid", "picky", "reached", "sentinels", "source", "told")

    def __init__(self, source: Source, entry: Metric) -> None:
        self.source = source
        self.decode, self.form = _decoder(_SourceOf(source, entry))
        self.sentinels = _set(source.sentinels)
        self.absent = _set(source.absent)
        self.doubtful = _set(source.doubtful)
        self.reached = 0  # steps of scale_by; a step once reached holds
        self.told = False  # whether all that tells the scale was answered once
        # The object, where nothing but its own value says what it means: most points, and these at each poll.
        beside = (source.unit_from, source.scale_from, source.scale_by, source.sentinel_when, source.wraps_at)
        self.picky = bool(source.sentinels or source.absent or source.doubtful)
        self.oid = source.oid if beside == (None,) * len(beside) and not (source.contains or source.passes) else None

    def number(self, view: View) -> float | None:
        """The value of a plain source, None where there is more to it."""
        raw = view.snmp.get(self.oid or "")
        if type(raw) is not int or self.form is None:
            return None
        a, b, c = self.form
        try:
            return (raw * a + b) / c
        except OverflowError:
            return None

    def read(self, view: View, row: Row) -> Found | Absent:
        if self.oid is not None and (known := view.snmp.get(self.oid)) is not None:
            text = text_of(known)
            if text in self.absent or text == "":
                return ABSENT
            if text in self.sentinels:
                return Found(QualityReason.SENTINEL, self.oid, text)
            return Found(self.decode(known, _NO_EXTRAS), self.oid, text, text in self.doubtful)
        source = self.source
        if source.contains:
            return self._contains(view)
        raw, name = view.look(source, row)
        if isinstance(raw, QualityReason):
            return Found(raw, name, None)
        text = text_of(raw)
        if text in self.absent or text == "":
            return ABSENT
        if text in self.sentinels or self._sentinel_now(text, view, row):
            return Found(QualityReason.SENTINEL, name, text)
        step = self._step(view, row)
        if isinstance(step, QualityReason):
            return Found(step, name, text)
        extras = Extras(view.raw_text(source.unit_from, row), view.raw_text(source.scale_from, row), step)
        value = self.decode(raw, extras)
        if source.passes and value == UNKNOWN:
            return ABSENT
        span = None if source.wraps_at is None else self._turn(source.wraps_at, extras)
        return Found(value, name, text, weak=text in self.doubtful, span=span)

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

    def _contains(self, view: View) -> Found | Absent:
        column = self.source.column or ""
        reason = view.failed.get(column)
        if reason is not None and reason is not QualityReason.NO_SUCH_OBJECT:  # an empty table is a good answer
            return Found(reason, column, None)
        where = self.source.where
        rows = [
            (suffix, text_of(raw))
            for suffix, raw in view.columns.get(column, ())
            if where is None or view.holds(where, row_of(suffix))
        ]
        for wanted, word in self.source.contains.items():
            for suffix, text in rows:
                if text == wanted or text.startswith(wanted + "."):
                    return Found(word, f"{column}.{suffix}", text)
        return ABSENT if self.source.passes else Found(self.source.otherwise or UNKNOWN, column, None)


# A column's names by index, each once among the rows that are alike in these sub-identifiers.
Uniques = Callable[[str, tuple[int, ...]], Mapping[str, str]]


class CompiledPoint:
    __slots__ = (
        "counts_slew",
        "entry",
        "high",
        "key",
        "low",
        "most",
        "plain",
        "point",
        "seen",
        "slew",
        "sources",
        "subjects",
    )

    def __init__(self, point: Point) -> None:
        self.point = point
        self.entry = point.entry
        self.key = point.metric, point.subject
        self.sources = [CompiledSource(source, self.entry) for source in point.sources]
        low, high = point.range or (self.entry.minimum, self.entry.maximum)
        self.low, self.high = -inf if low is None else low, inf if high is None else high
        self.slew = point.slew or self.entry.slew
        self.counts_slew = self.slew is not None and not self.entry.counter
        self.subjects = Subjects(point.subject) if point.is_table else _NO_ROWS
        self.most = 0  # rows that are real, as the device counted them last; 0: all
        self.seen: Set[str] = _NOTHING  # subjects of the table's rows in the answer before
        # One object whose number means what it says: most points of most devices.
        lone = self.sources[0] if len(self.sources) == 1 and not (point.is_table or point.when or point.name) else None
        self.plain = None if lone is None or self.entry.states or self.entry.counter or lone.picky else lone

    def rows(self, view: View, uniques: Uniques) -> Iterator[tuple[str, Row]]:
        """Subject and row of every instance in this answer; uniques: a column's names by index, each once."""
        if not self.point.is_table:
            yield self.point.subject, SCALAR
            return
        seen: set[str] = set()
        if self.point.rows is not None and view.weather(self.point.rows, SCALAR) is None:
            counted = view.raw_text(self.point.rows, SCALAR)
            self.most = whole_of(counted or "") or 0
        most = self.most
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

    def _subject(self, view: View, row: Row, uniques: Uniques) -> str | None:
        """None where the row's name was not answered: nobody knows whose value this is."""
        place = self.point.name
        if place is None or not self.subjects.by_name:
            return self.subjects.of(row, None)
        if place.column is None:
            return self.subjects.of(row, plain(view.raw_text(place, row) or ""))
        # A name that has an index of its own is not told apart by ours.
        within = () if place.index else self.subjects.beside
        name = uniques(place.column, within).get(row.pick(place.index))
        if name is None and view.weather(place, row) is not None:
            return None
        return self.subjects.of(row, name)

    def lost(self, view: View) -> QualityReason:
        """Why rows of this table are not there: what went wrong, or that they left."""
        names = self.point.name.column if self.point.name is not None and self.subjects.by_name else None
        failures = [view.failed.get(column) for column in (names, *(s.column for s in self.point.sources)) if column]
        return next((r for r in failures if r not in (None, GONE)), None) or GONE

    def read(self, view: View, row: Row) -> Found | Absent:
        """The best of the sources: the first good one, a doubtful one if none is better, else the first refusal."""
        weak: Found | None = None
        refused: Found | None = None
        for source in self.sources:
            found = source.read(view, row)
            if isinstance(found, Absent):
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
        return weak or refused or ABSENT

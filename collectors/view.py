"""One answer of a device as a profile's points look at it: by object, by column, by row."""

from collections.abc import Mapping

from collectors.decode import decode_words, number_of, text_of
from collectors.exchange import Cell, ModbusAnswer, SnmpAnswer, SnmpValue, Table
from collectors.subjects import Row
from facility.reading import QualityReason
from facility.sources import Condition, Place, ScaleBy, Source


class View:
    """One answer, its objects grouped by the walked column they belong to."""

    __slots__ = ("columns", "failed", "offset", "sizes", "snmp", "words", "words_failed")

    def __init__(self, answer: SnmpAnswer | ModbusAnswer, roots: Mapping[str, str], offset: int) -> None:
        self.snmp: Mapping[str, SnmpValue] = {}
        self.failed: Mapping[str, QualityReason] = {}
        self.words: Mapping[Cell, int] = {}
        self.words_failed: Mapping[Cell, QualityReason] = {}
        self.columns: dict[str, list[tuple[str, SnmpValue]]] = {}
        self.sizes: dict[int, tuple[list[float], QualityReason | None]] = {}
        self.offset = offset
        if isinstance(answer, ModbusAnswer):
            self.words, self.words_failed = answer.values, answer.failed
            return
        self.snmp, self.failed = answer.values, answer.failed
        if not roots:
            return
        for oid, value in answer.values.items():
            root = roots.get(oid)
            if root:
                self.columns.setdefault(root, []).append((oid[len(root) + 1 :], value))

    def look(self, place: Place, row: Row) -> tuple[SnmpValue | QualityReason, str]:
        """The raw value of a place (or why there is none) and its name."""
        if place.oid is not None or place.column is not None:
            oid = place.oid or f"{place.column}.{row.pick(place.index)}"
            value = self.snmp.get(oid)
            if value is not None:
                return value, oid
            return self.failed.get(oid) or self.failed.get(place.column or oid, QualityReason.NO_SUCH_OBJECT), oid
        table, address = place.cell
        name = f"{table}:{address + self.offset}"
        words: list[int] = []
        source = place if isinstance(place, Source) else None
        for at in range(address + self.offset, address + self.offset + (source.type.words if source else 1)):
            word = self.words.get((Table(table), at))
            if word is None:
                return self.words_failed.get((Table(table), at), QualityReason.NO_SUCH_OBJECT), name
            words.append(word)
        return (decode_words(words, source) if source else words[0]), name

    def weather(self, place: Place, row: Row) -> QualityReason | None:
        """Why a place was not answered, None where it was, be it by "no such object"."""
        raw, _ = self.look(place, row)
        return raw if isinstance(raw, QualityReason) and raw is not QualityReason.NO_SUCH_OBJECT else None

    def numbers(self, by: ScaleBy, row: Row) -> tuple[list[float], QualityReason | None]:
        """All numbers that stand where a scale is told by, and why one is missing; asked once per answer."""
        known = self.sizes.get(id(by))
        if known is None:
            raws = [raw for place in by.of if place.column for _, raw in self.columns.get(place.column, ())]
            raws += [self.look(place, row)[0] for place in by.of if not place.column]
            missed = next((reason for place in by.of if (reason := self._unanswered(place, row))), None)
            numbers = [number_of(raw) for raw in raws if not isinstance(raw, QualityReason)]
            known = self.sizes[id(by)] = ([float(number) for number in numbers if number is not None], missed)
        return known

    def _unanswered(self, place: Place, row: Row) -> QualityReason | None:
        if place.column is None:
            return self.weather(place, row)
        reason = self.failed.get(place.column)
        return reason if reason is not QualityReason.NO_SUCH_OBJECT else None

    def raw_text(self, place: Place | None, row: Row) -> str | None:
        if place is None:
            return None
        raw, _ = self.look(place, row)
        return None if isinstance(raw, QualityReason) else text_of(raw)

    def holds(self, condition: Condition, row: Row) -> bool:
        return condition.accepts(self.raw_text(condition, row))

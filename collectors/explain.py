"""Why a replay came out as it did, for whoever writes a profile: which rule recognised the device, what was skipped.

Pure. Says nothing that scripts rely on; `coldaisle profile replay --json` does not carry it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from collectors.convert import Sourced
from collectors.decode import text_of
from collectors.exchange import SnmpValue
from collectors.identify import SYS_DESCR, SYS_OBJECT_ID, first_text, recognises
from collectors.subjects import Row, row_of
from facility.profile import Point, Profile, Recognition
from facility.sources import Condition, Place, Source


class Skipped(StrEnum):
    """Why a point of the profile made no reading."""

    NOT_THERE = "the device has no such object"
    NO_ROWS = "the device has no row of it"
    CONDITION = "its condition is not met"
    NO_SENSOR = "the device says that it has no such sensor"
    REPLACED = "another point gave it"
    NOTHING = "no source had anything to say"


@dataclass(frozen=True, slots=True)
class Silence:
    """A point that made no reading, and why; detail names the objects and what stood there."""

    metric: str
    subject: str
    why: Skipped
    detail: str

    def __str__(self) -> str:
        return f"{self.metric} {self.subject}".rstrip() + f": {self.why} ({self.detail})"


def why_recognised(profile: Profile, values: Mapping[str, SnmpValue]) -> list[str]:
    """The tests of the rule that recognises the device, each with what stood there; of the nearest one if none does.

    A line that begins with "not:" is a test that failed.
    """
    rules = profile.identify.any_of
    if not rules:
        return ["not: the profile says no way to recognise it"]
    holding = [rule for rule in rules if recognises(rule, values)]
    told = [_tests(rule, values) for rule in holding or rules]
    return min(told, key=lambda lines: (sum(line.startswith("not:") for line in lines), -len(lines)))


def silent_points(profile: Profile, values: Mapping[str, SnmpValue], readings: Sequence[Sourced]) -> list[Silence]:
    """The points of a profile without any reading of their own, in the profile's order."""
    sources = [each.source for each in readings]
    given = {(each.reading.metric, each.reading.subject) for each in readings}
    rows = _Rows(values)
    return [
        Silence(point.metric, point.subject, *_why(point, values, rows, given))
        for point in profile.points
        if not any(_reads(point, source) for source in sources)
    ]


def unread(profile: Profile, values: Mapping[str, SnmpValue]) -> int:
    """How many objects of the walk no point of the profile looks at."""
    places = [place for point in profile.points for place in point.places()]
    oids = {place.oid for place in places}
    columns = {place.column for place in places if place.column is not None}
    return sum(1 for oid in values if oid not in oids and not any(above in columns for above in _above(oid)))


def _above(oid: str) -> Iterable[str]:
    while "." in oid:
        oid = oid.rpartition(".")[0]
        yield oid


class _Rows:
    """The rows of columns, looked up once."""

    def __init__(self, values: Mapping[str, SnmpValue]) -> None:
        self._values = values
        self._known: dict[str, list[Row]] = {}

    def of(self, column: str) -> list[Row]:
        if column not in self._known:
            prefix = f"{column}."
            self._known[column] = [row_of(oid[len(prefix) :]) for oid in self._values if oid.startswith(prefix)]
        return self._known[column]


def _reads(point: Point, source: str) -> bool:
    return any(
        source in (each.oid, each.column) or (each.column is not None and source.startswith(f"{each.column}."))
        for each in point.sources
    )


def _why(
    point: Point, values: Mapping[str, SnmpValue], rows: _Rows, given: set[tuple[str, str]]
) -> tuple[Skipped, str]:
    if (point.metric, point.subject) in given:
        return Skipped.REPLACED, "the first that has a value is it"
    if point.is_table:
        found = [row for source in point.sources for row in rows.of(source.column or "")]
        if not found:
            return Skipped.NO_ROWS, ", ".join(_name(source) for source in point.sources)
    else:
        found = [Row("", ())]
    for condition in point.when:
        texts = {_at(condition, row, values) for row in found}
        if not any(condition.accepts(text) for text in texts):
            return Skipped.CONDITION, f"{_wanted(condition)}; there: {_some(texts)}"
    raws = [(source, _at(source, row, values)) for source in point.sources for row in found]
    there = [(source, text) for source, text in raws if text is not None]
    if not there:
        return Skipped.NOT_THERE, ", ".join(_name(source) for source in point.sources)
    if all(text in source.absent or text == "" for source, text in there):
        return Skipped.NO_SENSOR, f"{_name(point.sources[0])} is {_some({text for _, text in there})}"
    return Skipped.NOTHING, f"{_name(point.sources[0])} is {_some({text for _, text in there})}"


def _tests(rule: Recognition, values: Mapping[str, SnmpValue]) -> list[str]:
    lines = []
    for name, oid, wanted, how in (
        ("sysObjectID", SYS_OBJECT_ID, rule.sys_object_id, "begins with"),
        ("sysDescr", SYS_DESCR, rule.sys_descr, "matches"),
    ):
        if wanted is None:
            continue
        said = _at(Place(oid=oid), Row("", ()), values)
        alone = Recognition(sys_object_id=wanted) if oid == SYS_OBJECT_ID else Recognition(sys_descr=wanted)
        lines.append(_test(recognises(alone, values), f"{name} {_quoted(said)} {how} {wanted}"))
    for probe in rule.probes:
        text = first_text(values, probe) or None
        lines.append(_test(probe.accepts(text), f"{_wanted(probe)}; there: {_quoted(text)}"))
    return lines


def _test(held: bool, line: str) -> str:
    return line if held else f"not: {line}"


def _wanted(condition: Condition) -> str:
    name = _name(condition)
    if condition.present is not None:
        return f"{name} {'is there' if condition.present else 'is not there'}"
    if condition.one_of:
        return f"{name} is {' or '.join(condition.one_of)}"
    if condition.not_in:
        return f"{name} is not {' or '.join(condition.not_in)}"
    if condition.matches is not None:
        return f"{name} matches {condition.matches}"
    return f"{name} does not match {condition.not_matches}"


def _name(place: Place | Source) -> str:
    return place.oid or (f"{place.column}.*" if place.column is not None else ":".join(map(str, place.cell)))


def _at(place: Place, row: Row, values: Mapping[str, SnmpValue]) -> str | None:
    raw = values.get(place.oid or f"{place.column}.{row.pick(place.index)}")
    return None if raw is None else text_of(raw)


def _some(texts: Iterable[str | None]) -> str:
    shown = sorted({_quoted(text) for text in texts})
    return ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "")


def _quoted(text: str | None) -> str:
    if text is None:
        return "nothing"
    return repr(text if len(text) <= 60 else text[:57] + "...")

"""A point table made into the text of a profile file, with everything a person must know of it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from collectors.convert import MAX_POINTS
from collectors.exchange import Table
from collectors.pointtable.addresses import Notation, place_all
from collectors.pointtable.columns import Told, find_layout
from collectors.pointtable.points import PointMaker
from collectors.pointtable.rows import Remark, Weight, registers_of
from collectors.pointtable.sheets import Sheet, TableError
from collectors.pointtable.words import kind_of
from facility.config import ConfigErrors, parse_yaml, validate
from facility.profile import DeviceKind, Profile


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller says of the table. kind None: found from the names."""

    profile_id: str
    vendor: str = ""
    model: str = ""
    kind: DeviceKind | None = None
    told: Told = field(default_factory=Told)
    notation: Notation = Notation.AUTO
    base: int | None = None
    function: Table | None = None
    gap: int = 8
    max_block: int = 50  # what slow controllers stand; Modbus allows 125 (profiles.md)
    pause_ms: int = 50


@dataclass(frozen=True, slots=True)
class Imported:
    """text: the profile file, "" where no point could be made. columns: how each sheet was understood."""

    text: str
    points: int
    unmapped: int
    kind: DeviceKind
    columns: tuple[str, ...]
    hints: tuple[str, ...]
    remarks: tuple[Remark, ...]

    @property
    def errors(self) -> tuple[Remark, ...]:
        return tuple(remark for remark in self.remarks if remark.weight is Weight.ERROR)


def import_table(sheets: Sequence[Sheet], wish: Wish, *, source: str) -> Imported:
    """The profile of the sheets that have a heading; source names the table in `provenance`.

    TableError where it has more rows than a device can have points.
    """
    remarks: list[Remark] = []
    hints: list[str] = []
    registers = registers_of(sheets, wish.told, remarks, hints, hexadecimal=wish.notation is Notation.HEX)
    if len(registers) > MAX_POINTS:
        raise TableError(f"{len(registers)} rows; a device has at most {MAX_POINTS} points: pick sheets, or split it")
    kind = wish.kind or kind_of([f"{each.name} {each.name_en}" for each in registers])
    counted = place_all(registers, remarks, notation=wish.notation, base=wish.base, function=wish.function)
    vendor, _, model = wish.profile_id.partition("/")
    maker = PointMaker(vendor, kind, remarks)
    made = maker.make(counted.placed)
    hints += counted.hints
    if maker.wordless:
        hints.append(
            f"{maker.wordless} bits have no words beside them: 1 is taken for alarm (or on), 0 for normal (or off)"
        )
    by_text = sum(each.by_text for each in registers)
    if by_text:
        hints.append(f'{by_text} points have values that mean "no data", named in their texts: see `sentinels`')
    columns = tuple(
        f"{sheet.name}: {layout.describe()}"
        for sheet in sheets
        if (layout := find_layout(sheet, wish.told)) is not None and not layout.missing
    )
    text = ""
    if made:
        text = _text(_head(wish, vendor, model, kind, source), [dict(each.data) for each in made])
        _check(text, wish.profile_id)
    return Imported(text, len(made), maker.unmapped, kind, columns, tuple(hints), tuple(remarks))


def _head(wish: Wish, vendor: str, model: str, kind: DeviceKind, source: str) -> dict[str, Any]:
    name = f"{wish.vendor or vendor} {wish.model or model}"
    return {
        "title": {"en": name, "zh": name},
        "vendor": wish.vendor or vendor,
        "model": wish.model or model,
        "kind": kind.value,
        "protocol": "modbus",
        "maturity": "documented",
        "provenance": f"Imported from the maker's point table {source}; not yet proved against a device.",
        "interval": 30,
        "modbus": {"gap": wish.gap, "max_block": wish.max_block, "pause_ms": wish.pause_ms},
    }


def _text(head: dict[str, Any], points: list[dict[str, Any]]) -> str:
    """One point a few lines, as profiles are written by hand."""
    lines = [_yaml(head), "points:\n"]
    for point in points:
        rest = {key: value for key, value in point.items() if key != "from"}
        block = _yaml(rest) + f"from: {_flow(point['from'])}\n"
        first, *others = block.splitlines()
        lines.append(f"  - {first}\n" + "".join(f"    {line}\n" for line in others))
    return "".join(lines)


def _yaml(data: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(data, allow_unicode=True, sort_keys=False, default_flow_style=None, width=110)
    return text


def _flow(data: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(data, allow_unicode=True, sort_keys=False, default_flow_style=True, width=1_000_000)
    return text.strip()


def _check(text: str, profile_id: str) -> None:
    """The written text, read back: a profile that would not load is a fault of this program, not of the table."""
    document = parse_yaml(text, profile_id)
    try:
        validate(type(document)(document.file, {"id": profile_id, **document.data}, document.lines), Profile)
    except ConfigErrors as errors:
        raise AssertionError(f"the imported profile does not load: {errors}") from errors

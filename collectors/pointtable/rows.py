"""From the rows of the sheets to registers: every cell understood or complained of by its place. Pure."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from openpyxl.utils import get_column_letter

from collectors.exchange import Table
from collectors.pointtable.bases import Base, base_of
from collectors.pointtable.cells import (
    CellError,
    Factor,
    NoReading,
    Typed,
    WriteOnly,
    Written,
    blank,
    decimals,
    parse_address,
    parse_factor,
    parse_function,
    parse_type,
    parse_words,
    plain,
)
from collectors.pointtable.columns import Field, Layout, Told, find_layout, is_heading, layout_at
from collectors.pointtable.lists import bits_in, states_in
from collectors.pointtable.sentinels import no_data
from collectors.pointtable.sheets import Sheet
from collectors.pointtable.units import Measured, parse_unit

T = TypeVar("T")

# A name is a few words; what is longer is a paragraph in the wrong column.
MAX_NAME = 200


class Weight(StrEnum):
    """ERROR: the row is left out. WARNING: it is taken, with a doubt. LEFT_OUT: on purpose, nothing is read there."""

    ERROR = "error"
    WARNING = "warning"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to say of one place of the table, `Sheet1!C7`."""

    weight: Weight
    place: str
    message: str

    def __str__(self) -> str:
        word = "" if self.weight is Weight.ERROR else f"{self.weight}: "
        return f"{self.place}: {word}{self.message}"


@dataclass(frozen=True, slots=True)
class Register:
    """One row, understood, its address still as the table counts. function None: the table does not say."""

    place: str
    name_place: str
    name: str
    name_en: str
    written: Written
    function: Table | None
    address_place: str
    type: Typed | None = None
    words: int | None = None
    bit: int | None = None
    factor: Factor | None = None
    measured: Measured | None = None
    unit_text: str = ""
    states: dict[int, str] = field(default_factory=dict)
    bits: dict[int, str] = field(default_factory=dict)
    sentinels: tuple[int, ...] = ()
    by_text: bool = False  # the sentinels are named in a text, no column says them
    metric: str = ""
    subject: str = ""
    note: str = ""


_RESERVED = re.compile(r"^(保留|预留|备用|未用|空|RESERVED?|SPARE|UNUSED|NOTUSED|N/A)\w*$")
_SECTION = re.compile(r"(?:功能码|FUNCTION(?:CODE)?|FC)[:=(]*(?:0X)?0?([1-4])H?(?![0-9])|(?:0X)?0([1-4])H?功能码")
_WRITE_ONLY = frozenset({"W", "WO", "只写", "写", "WRITE", "WRITEONLY", "遥控", "控制"})


def registers_of(
    sheets: Iterable[Sheet], told: Told, remarks: list[Remark], hints: list[str], *, hexadecimal: bool = False
) -> list[Register]:
    """Every row that can be read, of every sheet with a heading; problems are added to `remarks`.

    hexadecimal: the caller says that bare addresses are; what was decided of a column is added to `hints`.
    """
    found: list[Register] = []
    for sheet in sheets:
        layout = find_layout(sheet, told)
        if layout is None or layout.missing:
            continue
        found.extend(_SheetReader(sheet, layout, told, remarks, hints, hexadecimal).read())
    return found


class _SheetReader:
    """Walks one sheet from its heading down; what a blank cell inherits from above is kept here."""

    def __init__(
        self, sheet: Sheet, layout: Layout, told: Told, remarks: list[Remark], hints: list[str], hexadecimal: bool
    ) -> None:
        self._sheet = sheet
        self._layout = layout
        self._told = told
        self._remarks = remarks
        self._hints = hints
        self._all_hexadecimal = hexadecimal
        above = [sheet.name, *(cell for row in sheet.rows[: layout.row] for cell in row)]
        self._function = next((function for text in above if (function := _section(text)) is not None), None)
        self._address = ""
        self._base = Base()
        self._address_row = 0
        self._whole = False

    def read(self) -> Iterator[Register]:
        self._begin(self._layout)
        for row in range(self._layout.row + 1, len(self._sheet.rows)):
            cells = self._sheet.rows[row]
            if not any(cells):
                continue
            if is_heading(cells, self._told):
                self._begin(layout_at(row, cells, self._told))
                continue
            try:
                register = self._row(row)
            except _Said as said:
                self._remarks.append(said.remark)
                continue
            if register is not None:
                yield register

    def _begin(self, layout: Layout) -> None:
        self._layout = layout
        self._address = ""
        self._base = base_of(list(self._below(Field.ADDRESS)), heading=layout.hexadecimal, told=self._all_hexadecimal)
        if self._base.why is not None:
            letters = f" ({self._base.letters} with A to F)" if self._base.letters else ""
            place = f"{self._sheet.name}!{get_column_letter(layout.columns[Field.ADDRESS] + 1)}"
            self._hints.append(f"{place}: addresses are read as hexadecimal: {self._base.why}{letters}")
        # A column of 精度 with whole numbers only may count decimals as well as units.
        heading = layout.headings[layout.columns[Field.SCALE]] if Field.SCALE in layout.columns else ""
        self._whole = "精度" in heading and all(text.isdecimal() for text in self._below(Field.SCALE) if text)

    def _below(self, column: Field) -> Iterator[str]:
        """The cells of a column, row by row to the next heading."""
        at = self._layout.columns[column]
        for row in self._sheet.rows[self._layout.row + 1 :]:
            if is_heading(row, self._told):
                return
            yield row[at] if at < len(row) else ""

    def _text(self, row: int, column: Field) -> str:
        at = self._layout.columns.get(column)
        cells = self._sheet.rows[row]
        text = cells[at] if at is not None and at < len(cells) else ""
        return "" if blank(text) else text

    def _place(self, row: int, column: Field) -> str:
        return self._sheet.place(row, self._layout.columns.get(column))

    def _row(self, row: int) -> Register | None:
        name, address = self._text(row, Field.NAME), self._text(row, Field.ADDRESS)
        bit_text = self._text(row, Field.BIT)
        if address:
            self._address_row = row
        elif bit_text:
            address = self._address  # the address cell is merged over the rows of its bits
        if not address or not (name or re.search(r"[0-9A-Fa-f]", address)):
            self._section_row(row, name)
            return None
        self._address = address
        if self._text(row, Field.FUNCTION):
            self._function = self._parsed(row, Field.FUNCTION, parse_function)
        if plain(self._text(row, Field.ACCESS)) in _WRITE_ONLY:
            raise _Said(Weight.LEFT_OUT, self._place(row, Field.ACCESS), "is only written, not read")
        name_en = self._text(row, Field.NAME_EN)
        if not (name or name_en):
            raise _Said(Weight.ERROR, self._place(row, Field.NAME), "has an address and no name")
        if _RESERVED.match(plain(name or name_en)):
            return None
        if len(name) > MAX_NAME:
            raise _Said(Weight.ERROR, self._place(row, Field.NAME), f"is longer than a name ({len(name)} characters)")
        written = self._written(row, address)
        measured, unit_text = self._unit(row)
        sentinels, by_text = self._sentinels(row)
        states, bits = self._lists(row, sentinels)
        return Register(
            place=self._sheet.place(row),
            name_place=self._place(row, Field.NAME),
            name=_one_line(name or name_en),
            name_en=_one_line(name_en),
            written=written,
            function=self._function,
            address_place=self._place(row, Field.ADDRESS),
            type=self._parsed(row, Field.TYPE, parse_type) if self._text(row, Field.TYPE) else None,
            words=self._parsed(row, Field.WORDS, parse_words) if self._text(row, Field.WORDS) else _span(written),
            bit=self._parsed(row, Field.BIT, _bit) if bit_text else written.bit,
            factor=self._factor(row),
            measured=measured,
            unit_text=unit_text,
            states=states,
            bits=bits,
            sentinels=sentinels,
            by_text=by_text,
            metric=self._text(row, Field.METRIC).strip(),
            subject=self._text(row, Field.SUBJECT).strip(),
            note=_one_line(self._text(row, Field.NOTE)),
        )

    def _section_row(self, row: int, name: str) -> None:
        cells = [cell for cell in self._sheet.rows[row] if cell]
        section = next((function for cell in cells if (function := _section(cell)) is not None), None)
        if section is not None:
            self._function = section
        elif name and len(cells) >= 4 and not _RESERVED.match(plain(name)):
            raise _Said(Weight.ERROR, self._place(row, Field.ADDRESS), "has no address")

    def _written(self, row: int, address: str) -> Written:
        at = (row, self._layout.columns[Field.ADDRESS])
        if at in self._sheet.numeric:
            raise _Said(
                Weight.ERROR,
                self._sheet.place(*at),
                f"{address} is a number: 40010.1 and 40010.10 are the same there; format the column as text",
            )
        doubt = self._base.doubts.get(self._address_row - self._layout.row - 1)
        if doubt is not None and doubt.lost:
            raise _Said(Weight.ERROR, self._sheet.place(*at), doubt.message)
        if doubt is not None:
            self._remarks.append(Remark(Weight.WARNING, self._sheet.place(*at), doubt.message))
        try:
            return parse_address(address, hexadecimal=self._base.hexadecimal)
        except CellError as error:
            raise _Said(Weight.ERROR, self._sheet.place(*at), str(error)) from error

    def _unit(self, row: int) -> tuple[Measured | None, str]:
        text = self._text(row, Field.UNIT)
        if not text or states_in(text):
            return None, ""
        try:
            return parse_unit(text), text
        except CellError as error:
            self._remarks.append(Remark(Weight.WARNING, self._place(row, Field.UNIT), str(error)))
            return None, text

    def _sentinels(self, row: int) -> tuple[tuple[int, ...], bool]:
        """Raw values that mean "no data", and whether only a text names them."""
        if self._text(row, Field.SENTINELS):
            return self._parsed(row, Field.SENTINELS, _numbers), False
        texts = (self._text(row, column) for column in (Field.NOTE, Field.STATES, Field.UNIT, Field.NAME))
        found = tuple(dict.fromkeys(value for text in texts for value in no_data(text)))
        return found, bool(found)

    def _lists(self, row: int, sentinels: tuple[int, ...]) -> tuple[dict[int, str], dict[int, str]]:
        """States and bits, from the column for them, else from the remarks where there are plainly several."""
        told = self._text(row, Field.STATES)
        for text, least in ((told, 1), (self._text(row, Field.UNIT), 2), (self._text(row, Field.NOTE), 2)):
            bits = bits_in(text)
            if len(bits) >= least and re.search(r"BIT|位|第|^[BD]0", plain(text)):
                return {}, bits
            states = {value: label for value, label in states_in(text).items() if value not in sentinels}
            if len(states) >= least:
                return states, {}
        return {}, {}

    def _factor(self, row: int) -> Factor | None:
        offset = Decimal(0)
        if self._text(row, Field.OFFSET):
            offset = self._parsed(row, Field.OFFSET, _signed)
        if self._text(row, Field.DIVISOR):
            by = self._parsed(row, Field.DIVISOR, parse_factor)
            return Factor(1 / by.scale if by.bare else by.scale, offset)  # "/10" says by itself which way
        if self._text(row, Field.DECIMALS):
            return Factor(self._parsed(row, Field.DECIMALS, lambda text: decimals(int(_signed(text)))), offset)
        if not self._text(row, Field.SCALE):
            return Factor(Decimal(1), offset) if offset else None
        factor = self._parsed(row, Field.SCALE, parse_factor)
        if factor.bare and Field.SCALE not in self._layout.sure and (factor.scale > 1 or self._whole):
            text, place = self._text(row, Field.SCALE), self._place(row, Field.SCALE)
            raise _Said(
                Weight.ERROR,
                place,
                f"{text!r} may mean that the device sends {text} times the value, or that it must be multiplied by it;"
                " say which: --map COLUMN=divisor, =scale, or =decimals for a number of decimals",
            )
        return Factor(factor.scale, factor.offset + offset)

    def _parsed(self, row: int, column: Field, parse: Callable[[str], T]) -> T:
        text, place = self._text(row, column), self._place(row, column)
        try:
            return parse(text)
        except (WriteOnly, NoReading) as error:
            raise _Said(Weight.LEFT_OUT, place, str(error)) from error
        except CellError as error:
            raise _Said(Weight.ERROR, place, str(error)) from error


class _Said(Exception):
    """The row is done with: what is to be said of it."""

    def __init__(self, weight: Weight, place: str, message: str) -> None:
        super().__init__(message)
        self.remark = Remark(weight, place, message)


def _section(text: str) -> Table | None:
    """The function a title or section row names, `模拟量（功能码 04）`."""
    found = _SECTION.search(plain(text))
    return None if found is None else parse_function(found[1] or found[2])


def _one_line(text: str) -> str:
    return " ".join(text.split())[:MAX_NAME]


def _span(written: Written) -> int | None:
    if written.last is None:
        return None
    words = written.last - written.number + 1
    return words if words in (1, 2, 4) else None


def _bit(text: str) -> int:
    found = re.search(r"([0-9]{1,2})", plain(text))
    if found is None or int(found[1]) > 15:
        raise CellError(f"{text!r} is no bit; a register has bits 0 to 15")
    return int(found[1])


def _signed(text: str) -> Decimal:
    found = re.fullmatch(r"[+-]?[0-9]{1,6}(\.[0-9]{1,6})?", plain(text))
    if found is None:
        raise CellError(f"{text!r} is no number")
    return Decimal(found[0])


def _numbers(text: str) -> tuple[int, ...]:
    words = re.findall(r"0X[0-9A-F]{1,16}|-?[0-9]{1,20}", plain(text.replace("/", " , ")))
    if not words:
        raise CellError(f"{text!r} names no raw value; write 65535 or 0x7FFF, several with a comma")
    return tuple(int(word, 0) if word.startswith("0X") else int(word) for word in words)

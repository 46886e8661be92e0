"""Which column of a sheet says what: guessed from Chinese and English headings, or told by `COLUMN=FIELD`. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from openpyxl.utils import column_index_from_string, get_column_letter

from collectors.pointtable.cells import plain
from collectors.pointtable.sheets import Sheet
from facility.config import did_you_mean

# Vendors put a title, a revision table and serial settings above their table.
HEADING_ROWS = 60


class Field(StrEnum):
    """What a column may say. IGNORE: nothing, although its heading looks as if it did."""

    NAME = "name"
    NAME_EN = "name_en"
    ADDRESS = "address"
    FUNCTION = "function"
    TYPE = "type"
    WORDS = "words"
    BIT = "bit"
    SCALE = "scale"
    DIVISOR = "divisor"
    DECIMALS = "decimals"
    OFFSET = "offset"
    UNIT = "unit"
    STATES = "states"
    SENTINELS = "sentinels"
    ACCESS = "access"
    METRIC = "metric"
    SUBJECT = "subject"
    NOTE = "note"
    IGNORE = "ignore"


REQUIRED = (Field.NAME, Field.ADDRESS)

# The first pattern that fits a heading says what the column is; an earlier column keeps a field.
_HEADINGS: tuple[tuple[str, Field], ...] = (
    (r"设备地址|从站|站号|通[讯信]地址|SLAVE|UNITID|DEVICEID|DEVICEADDR|^序号|^NO\.?$|^#$|^ID$", Field.IGNORE),
    (r"METRIC|指标", Field.METRIC),
    (r"SUBJECT|子对象", Field.SUBJECT),
    (r"无效值|SENTINEL|INVALID", Field.SENTINELS),
    (r"英文|ENGLISH|NAME_?\(?EN\)?$|名称\(?EN\)?$", Field.NAME_EN),
    (r"功能码|FUNCTION|^FC$|寄存器类型|REGISTERTYPE|存储区|数据区|寄存器区", Field.FUNCTION),
    (r"位偏移|位地址|位号|^位$|^BIT|比特|BITNO|BITOFFSET", Field.BIT),
    (r"放大|扩大|除数|DIVISOR|^GAIN|增益", Field.DIVISOR),
    (r"小数|DECIMAL(?!ADDR)", Field.DECIMALS),
    (r"个数|字数|长度|寄存器数|字节数|LENGTH|SIZE|^WORDS|QUANTITY|^数量|NUMBEROFREG", Field.WORDS),
    (r"地址|ADDR|^寄存器(号|编号)?$|^REG(ISTER)?(NO\.?|NUMBER|S)?$", Field.ADDRESS),
    (r"偏移量|偏置|^OFFSET$|^OFFSET偏移$", Field.OFFSET),
    (r"倍率|系数|比例|精度|分辨率|换算|倍数|SCALE|SCALING|RATIO|FACTOR|MULTIPLIER|RESOLUTION", Field.SCALE),
    (r"单位|^UNITS?", Field.UNIT),
    (r"数据类型|类型|TYPE|FORMAT|格式", Field.TYPE),
    (r"读写|权限|ACCESS|R/W|^RW$|属性", Field.ACCESS),
    (r"取值|枚举|状态说明|状态定义|状态描述|值(说明|定义|描述|含义|域)|数据说明|ENUM|VALUES?$|STATES", Field.STATES),
    (r"备注|说明|注释|REMARK|NOTE|COMMENT", Field.NOTE),
    (r"名称|参数|信号|测点|点名|点位|描述|变量|内容|定义|含义|数据项", Field.NAME),
    (r"NAME|DESCRIPTION|PARAMETER|SIGNAL|POINT|TAG|ITEM", Field.NAME),
)  # fmt: skip
_PATTERNS = tuple((re.compile(pattern), found) for pattern, found in _HEADINGS)
# Which way a factor goes is only sure where the heading says it; elsewhere a factor over 1 is refused.
_MULTIPLIES = re.compile(r"乘|^SCALE$")
_HEXADECIMAL = re.compile(r"HEX|十六进制|16进制")


class MappingError(ValueError):
    """A `COLUMN=FIELD` that fits nothing; says what there is."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of the rows below `row`. sure: fields whose meaning was told, or is plain from the heading."""

    row: int
    columns: Mapping[Field, int]
    headings: tuple[str, ...]
    sure: frozenset[Field] = frozenset()
    hexadecimal: bool = False

    @property
    def missing(self) -> tuple[Field, ...]:
        return tuple(each for each in REQUIRED if each not in self.columns)

    def describe(self) -> str:
        """`address=C 寄存器地址, name=B 名称`, for people."""
        return ", ".join(
            f"{name}={get_column_letter(at + 1)} {self.headings[at] if at < len(self.headings) else ''}".rstrip()
            for name, at in sorted(self.columns.items(), key=lambda item: item[1])
        )


@dataclass(frozen=True, slots=True)
class Told:
    """What `--map` said: headings or column letters to fields."""

    fields: Mapping[str, Field] = field(default_factory=dict)

    def of(self, heading: str, at: int) -> Field | None:
        return self.fields.get(plain(heading)) or self.fields.get(f"@{at}")

    @property
    def width(self) -> int:
        """One more than the last column told by its letter."""
        return max((int(key[1:]) + 1 for key in self.fields if key.startswith("@")), default=0)


def parse_map(texts: Sequence[str], sheets: Sequence[Sheet]) -> Told:
    """`倍率=scale`, `C=address`. MappingError for a field or a column that is not there."""
    known = {plain(cell) for sheet in sheets for row in sheet.rows[:HEADING_ROWS] for cell in row if cell}
    fields: dict[str, Field] = {}
    for text in texts:
        column, separator, name = (part.strip() for part in text.rpartition("="))
        if not separator or not column:
            raise MappingError(f"{text!r}: write COLUMN=FIELD, like 倍率=scale or C=address")
        if name not in set(Field):
            near = did_you_mean(name, [each.value for each in Field])
            raise MappingError(f"{text!r}: {name!r} is no field{near}; fields: {', '.join(Field)}")
        if plain(column) in known:
            fields[plain(column)] = Field(name)
        elif re.fullmatch(r"[A-Za-z]{1,2}", column):
            fields[f"@{column_index_from_string(column.upper()) - 1}"] = Field(name)
        else:
            near = did_you_mean(plain(column), sorted(known))
            raise MappingError(
                f"{text!r}: no heading is {column!r}{near if 'mean' in near else ''}; a letter (C) will do too"
            )
    return Told(fields)


def layout_at(row: int, cells: Sequence[str], told: Told) -> Layout:
    """What the cells of a heading row say, what was told coming first."""
    columns: dict[Field, int] = {}
    sure: set[Field] = set()
    taken: set[int] = set()
    for at in range(max(len(cells), told.width)):
        named = told.of(cells[at] if at < len(cells) else "", at)
        if named is not None:
            columns[named] = at
            sure.add(named)
            taken.add(at)
    address_in_hex = False
    for at, heading in enumerate(cells):
        found = None if at in taken else heading_field(heading)
        if found is None or found is Field.IGNORE or found in sure:
            continue
        hexed = _HEXADECIMAL.search(plain(heading)) is not None
        if found not in columns or (found is Field.ADDRESS and address_in_hex and not hexed):
            # Of two address columns the decimal one needs no guess.
            columns[found] = at
            if found is Field.ADDRESS:
                address_in_hex = hexed
            if found is Field.SCALE and _MULTIPLIES.search(plain(heading)):
                sure.add(found)
        elif found is Field.NAME and Field.NOTE not in columns:
            columns[Field.NOTE] = at  # "name" and "description": the second one explains
    columns.pop(Field.IGNORE, None)
    at = columns.get(Field.ADDRESS, -1)
    return Layout(
        row,
        columns,
        tuple(cells),
        frozenset(sure),
        hexadecimal=0 <= at < len(cells) and _HEXADECIMAL.search(plain(cells[at])) is not None,
    )


def heading_field(heading: str) -> Field | None:
    """What a heading means, None for one that is no heading known here. A long text is no heading."""
    word = plain(heading)
    if not word or len(word) > 40:
        return None
    return next((found for pattern, found in _PATTERNS if pattern.search(word)), None)


def is_heading(cells: Sequence[str], told: Told) -> bool:
    """A row that names at least a name and an address column, and holds no number as a data row does."""
    layout = layout_at(0, cells, told)
    named = sum(1 for at, cell in enumerate(cells) if cell and (told.of(cell, at) or heading_field(cell)))
    filled = sum(1 for cell in cells if cell)
    has_address = Field.ADDRESS in layout.columns and layout.columns[Field.ADDRESS] < len(cells)
    digits = has_address and re.search(r"^[0-9]+$|^0[xX]", cells[layout.columns[Field.ADDRESS]]) is not None
    return not layout.missing and not digits and filled >= 2 and named * 2 >= filled


def find_layout(sheet: Sheet, told: Told) -> Layout | None:
    """The first heading row of a sheet; one that lacks a required column if there is none better, None without any."""
    best: Layout | None = None
    for row, cells in enumerate(sheet.rows[:HEADING_ROWS]):
        if is_heading(cells, told):
            return layout_at(row, cells, told)
        layout = layout_at(row, cells, told)
        if len([cell for cell in cells if cell]) >= 3 and (best is None or len(layout.columns) > len(best.columns)):
            best = layout
    return best

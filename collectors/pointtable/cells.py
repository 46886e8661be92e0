"""What people write into the cells of a point table: addresses, function codes, types, factors, units. Pure.

Each parser takes one cell's text and raises CellError with what would be understood. Where a text can be read in two
ways that give different values (a factor of 10, a bare "little endian") it refuses instead of choosing.
"""

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from collectors.exchange import Table
from facility.sources import NumberType


class CellError(ValueError):
    """A cell that is not understood; the message says what would be."""


class WriteOnly(CellError):
    """A register that is for writing: nothing to read."""


@dataclass(frozen=True, slots=True)
class Written:
    """An address as it stands in the table, before it is known how the table counts.

    last: the end of a written range; letter: the table a `4x0001` names, where numbers count from 1; digits: a plain
    decimal number that may be in 40001 notation.
    """

    number: int
    last: int | None = None
    bit: int | None = None
    letter: Table | None = None
    digits: bool = False


_LETTERS = {"4": Table.HOLDING, "3": Table.INPUT, "1": Table.DISCRETE}
_BIT = re.compile(r"(?:[.:_]?(?:BIT|B|位)|[.:])([0-9]{1,2})$")
_HEX = re.compile(r"(?:0X|16#|&H|\$)([0-9A-F]{1,5})|([0-9A-F]{1,5})H")
_LETTERED = re.compile(r"([134])X:?([0-9]{1,6})")
_RANGE = re.compile(r"[~～至到—-]|TO")
_HEX_DIGITS = re.compile(r"[0-9A-F]{1,5}")
_BLANK = frozenset({"", "-", "--", "/", "—", "——", "无", "N/A", "NA", "NONE", "NULL", "\\"})


def plain(text: str) -> str:
    """Upper case, full-width forms made ordinary, without blanks: what the patterns here are written for."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).upper()


def blank(text: str) -> bool:
    """True for a cell that says nothing, also by a dash."""
    return plain(text) in _BLANK


def address_word(text: str) -> str:
    """The address of a cell without its bit and the end of its range, as the patterns here read it."""
    word, _ = _without_bit(plain(text), hexadecimal=False)
    return _RANGE.split(word)[0]


def parse_address(text: str, *, hexadecimal: bool = False) -> Written:
    """`100`, `0x64`, `64H`, `40101`, `4x0101`, `40101.3`, `40101-40102`; bare digits are hex in a hex column."""
    word, bit = _without_bit(plain(text), hexadecimal=hexadecimal)
    if bit is not None and bit > 15:
        raise CellError(f"{text!r}: a register has bits 0 to 15")
    parts = _RANGE.split(word)
    if len(parts) == 2 and all(parts):
        first, last = _number(parts[0], hexadecimal, text), _number(parts[1], hexadecimal, text)
        if not 0 <= last.number - first.number < 4:
            raise CellError(f"{text!r}: a value has 1, 2 or 4 registers; one row a value")
        return Written(first.number, last.number, bit, first.letter, first.digits)
    number = _number(word, hexadecimal, text)
    return Written(number.number, None, bit, number.letter, number.digits)


def _without_bit(word: str, *, hexadecimal: bool) -> tuple[str, int | None]:
    """The word before its bit, and the bit; the B of 0x00B1 is a digit and no bit."""
    if _HEX.fullmatch(word) or (hexadecimal and _HEX_DIGITS.fullmatch(word)):
        return word, None
    found = _BIT.search(word)
    if found is None or not found.start():
        return word, None
    return word[: found.start()], int(found[1])


def _number(word: str, hexadecimal: bool, text: str) -> Written:
    lettered = _LETTERED.fullmatch(word)
    if lettered is not None:
        return Written(int(lettered[2]), letter=_LETTERS[lettered[1]])
    hexed = _HEX.fullmatch(word)
    if hexed is not None:
        return Written(int(hexed[1] or hexed[2], 16))
    if hexadecimal and _HEX_DIGITS.fullmatch(word):
        return Written(int(word, 16))
    if word.isascii() and word.isdecimal() and len(word) <= 6:
        return Written(int(word), digits=True)
    raise CellError(f"{text!r} is no register address; write 100, 0x0064, 40101, or 40101.3 for a bit")


_FUNCTION_WORDS = (
    (("保持", "HOLDING", "4X", "AO"), Table.HOLDING),
    (("输入寄存", "INPUTREG", "3X", "模拟量输入"), Table.INPUT),
    (("离散", "DISCRETE", "INPUTSTATUS", "1X", "输入状态"), Table.DISCRETE),
    (("线圈", "COIL", "0X"), Table.COIL),
)
_BY_CODE = {table.function: table for table in Table}
_WRITING = {5, 6, 15, 16}


def parse_function(text: str) -> Table:
    """`03`, `0x03`, `FC3`, `03/06`, `holding`, `保持寄存器`, `4x`; WriteOnly where nothing but writing is named."""
    word = plain(text)
    if not re.fullmatch(r"0X[0-9A-F]{2}(?:[,/、][0-9A-FX]+)*", word):
        for words, table in _FUNCTION_WORDS:
            if any(each in word for each in words):
                return table
    codes = [_code(each) for each in re.findall(r"0X[0-9A-F]{1,2}|[0-9A-F]{1,2}H|[0-9]{1,2}", word)]
    for code in codes:
        if code in _BY_CODE:
            return _BY_CODE[code]
    if any(code in _WRITING for code in codes):
        raise WriteOnly(f"{text!r} only writes; nothing is read there")
    raise CellError(f"{text!r} is no reading function; write 1, 2, 3 or 4, or coil, discrete, holding, input")


def _code(word: str) -> int:
    if word.startswith("0X"):
        return int(word, 16)
    return int(word[:-1], 16) if word.endswith("H") else int(word)


@dataclass(frozen=True, slots=True)
class Typed:
    """A data type as written. exact: its width was said, not only implied by a word like INT."""

    number: NumberType | None = None
    exact: bool = False
    little_words: bool = False
    little_bytes: bool = False
    bit: bool = False


class NoReading(CellError):
    """A register that holds no number: text, a version, a clock. Known, and left out on purpose."""


_TEXTS = ("STRING", "ASCII", "CHAR", "字符", "文本")
_CLOCKS = ("DATETIME", "TIMESTAMP", "日期", "时间戳")
_FLOATS = ("FLOAT", "REAL", "浮点", "单精度", "双精度", "DOUBLE", "F32", "F64")


def parse_type(text: str) -> Typed:
    """`int16`, `UINT32`, `有符号16位`, `float CDAB`, `bit`, `无符号整型`; NoReading for text and clocks."""
    word = re.sub(r"[_\s-]", "", plain(text))
    if any(each in word for each in _TEXTS):
        raise NoReading(f"{text!r} is a text, which is no reading")
    if any(each in word for each in _CLOCKS):
        raise NoReading(f"{text!r} is a clock, which is no reading")
    if "BCD" in word:
        raise CellError(f"{text!r}: BCD is not read; ask the maker for a binary register")
    little_words, little_bytes = _order(word, text)
    word = re.sub(r"ABCD|CDAB|BADC|DCBA", "", word)
    if word in ("BIT", "BOOL", "BOOLEAN", "位", "开关量", "布尔", "布尔型", "开关", "DI", "遥信", "状态位", "告警位"):
        return Typed(bit=True)
    if any(each in word for each in _FLOATS):
        number = NumberType.F64 if "64" in word or "双精度" in word or "DOUBLE" in word else NumberType.F32
        return Typed(number, True, little_words, little_bytes)
    unsigned = re.search(r"^U|UNSIGNED|无符号|WORD|ENUM|枚举|BITMAP|BITFIELD|位域|HEX", word) is not None
    signed = re.search(r"INT|SIGNED|SHORT|LONG|^S\d|^I\d|有符号|带符号|整", word) is not None
    width = _width(word)
    if width is None and not (unsigned or signed):
        raise CellError(f"{text!r} is no data type; write one of int16, uint16, int32, uint32, float32, bit")
    if width == 8 and not unsigned:
        raise CellError(f"{text!r}: one signed byte of a register is not read; take the whole register as int16")
    sign = "u" if unsigned or not signed else "s"
    exact = re.search(r"(64|32|16|8)", word) is not None
    return Typed(NumberType(f"{sign}{max(width or 16, 16)}"), exact, little_words, little_bytes)


def _width(word: str) -> int | None:
    found = re.search(r"(64|32|16|8)", word)
    if found is not None:
        return int(found[1])
    if re.search(r"QWORD|LINT|LONGLONG|四字", word):
        return 64
    if re.search(r"DWORD|DINT|LONG|双字", word):
        return 32
    if re.search(r"BYTE|单字节", word):
        return 8
    return 16 if re.search(r"WORD|INT|SHORT|单字|^字$|ENUM|枚举|BITMAP|BITFIELD|位域|HEX|整", word) else None


def _order(word: str, text: str) -> tuple[bool, bool]:
    """(low word first, low byte first within a word)."""
    found = re.search(r"ABCD|CDAB|BADC|DCBA", word)
    if found is not None:
        return found[0] in ("CDAB", "DCBA"), found[0] in ("BADC", "DCBA")
    if re.search(r"低字在前|低位在前|低字先|LSW|LOWWORDFIRST|WORDSWAP", word):
        return True, False
    if re.search(r"小端|LITTLE", word):
        raise CellError(f"{text!r} does not say whether words or bytes are swapped; write ABCD, CDAB, BADC or DCBA")
    return False, False


def parse_words(text: str) -> int:
    """How many registers a value has: `2`, `2 registers`, `4字节`."""
    found = re.match(r"([0-9]{1,3})(字节|BYTE)?", plain(text))
    if found is None:
        raise CellError(f"{text!r} is no number of registers; write 1, 2 or 4")
    words = int(found[1]) // (2 if found[2] else 1)
    if words > 4:
        raise NoReading(f"{text!r}: so many registers hold a text or a record, which is no reading")
    if words not in (1, 2, 4):
        raise CellError(f"{text!r} registers make no number; write 1, 2 or 4")
    return words


@dataclass(frozen=True, slots=True)
class Factor:
    """value = raw * scale + offset. bare: a number alone, which may also be meant as a divisor when it is over 1."""

    scale: Decimal
    offset: Decimal = Decimal(0)
    bare: bool = False


_FORMULA = re.compile(r"(?:.*=)?[^0-9.*×/÷]*([*×/÷])([0-9.]+)(?:([+-])([0-9.]+))?")
_POWER = re.compile(r"10(?:\^|\*\*|E)([+-]?[0-9]{1,2})")
_PLACES = re.compile(r"(?:保留)?([0-9一二三])位小数(?:点)?|([0-9])DECIMALS?")
_GROWN = re.compile(r"(扩大|放大|缩小)([0-9]+)倍?")
_ZH_DIGITS = {"一": 1, "二": 2, "三": 3}


def parse_factor(text: str) -> Factor:
    """`0.1`, `/10`, `1/10`, `×0.1`, `10^-1`, `1位小数`, `放大10倍`, `x*0.1-40`, `0.1℃`."""
    word = re.sub(r"X(?![*×/÷])", "×", plain(text)).replace("−", "-")
    if found := _POWER.fullmatch(word):
        return Factor(_sound(Decimal(10) ** int(found[1]), text))
    if found := _PLACES.search(word):
        return Factor(decimals(_ZH_DIGITS.get(found[1] or found[2]) or int(found[1] or found[2])))
    if found := _GROWN.search(word):
        by = _decimal(found[2], text)
        return Factor(_sound(by if found[1] == "缩小" else 1 / by, text))
    if found := re.fullmatch(r"([0-9.]+)/([0-9.]+)", word):
        return Factor(_sound(_decimal(found[1], text) / _decimal(found[2], text), text))
    if found := _FORMULA.fullmatch(word):
        by = _decimal(found[2], text)
        scale = by if found[1] in "*×" else 1 / by
        offset = Decimal(f"{found[3]}{_decimal(found[4], text)}") if found[3] else Decimal(0)
        # "x10" says that something is multiplied, not whether by the device or by the reader.
        return Factor(_sound(scale, text), offset, bare=word[0] in "*×" and not found[3])
    found = re.match(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?![0-9.^E*/])", word)
    if found is None:
        raise CellError(f"{text!r} is no factor; write 0.1 for a device that sends tenths")
    return Factor(_sound(_decimal(found[1], text), text), bare=True)


def decimals(places: int) -> Decimal:
    """The factor of a value sent as an integer with so many decimals."""
    if not 0 <= places <= 9:
        raise CellError(f"{places} decimals leave nothing of a register's value")
    return Decimal(1).scaleb(-places)


def _decimal(word: str, text: str) -> Decimal:
    try:
        value = Decimal(word)
    except InvalidOperation as error:
        raise CellError(f"{text!r} is no factor; write 0.1 for a device that sends tenths") from error
    if not value:
        raise CellError(f"{text!r}: a factor of 0 makes every value 0")
    return value


def _sound(scale: Decimal, text: str) -> Decimal:
    if not Decimal("1e-9") <= scale <= Decimal("1e9"):
        raise CellError(f"{text!r} is no factor a device has; write 0.1 for a device that sends tenths")
    return scale

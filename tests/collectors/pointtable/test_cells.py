"""What makers write into cells: each spelling that is understood, each that is refused because it says two things."""

from decimal import Decimal

import pytest

from collectors.exchange import Table
from collectors.pointtable.cells import (
    CellError,
    Factor,
    NoReading,
    Typed,
    WriteOnly,
    Written,
    parse_address,
    parse_factor,
    parse_function,
    parse_type,
    parse_words,
)
from collectors.pointtable.lists import bits_in, state_word, states_in
from collectors.pointtable.units import parse_unit
from facility.sources import NumberType
from facility.states import STATES
from facility.units import Unit


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("100", Written(100, digits=True)),
        ("４０１０１", Written(40101, digits=True)),
        ("0x0064", Written(100)),
        ("64H", Written(100)),
        ("16#1F", Written(31)),
        ("4x0101", Written(101, letter=Table.HOLDING)),
        ("3X00007", Written(7, letter=Table.INPUT)),
        ("40030.3", Written(40030, bit=3, digits=True)),
        ("40030.10", Written(40030, bit=10, digits=True)),
        ("30 Bit7", Written(30, bit=7, digits=True)),
        ("40010-40011", Written(40010, last=40011, digits=True)),
        ("1000~1001", Written(1000, last=1001, digits=True)),
    ],
)
def test_addresses(text: str, written: Written) -> None:
    assert parse_address(text) == written


def test_bare_digits_of_a_hex_column_are_hex() -> None:
    assert parse_address("0010", hexadecimal=True) == Written(16)
    assert parse_address("1F", hexadecimal=True) == Written(31)


@pytest.mark.parametrize("text", ["", "4004x", "1F", "D100", "-5", "1.16", "40001-40020", "回风温度", "1" * 40])
def test_no_addresses(text: str) -> None:
    with pytest.raises(CellError):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("03", Table.HOLDING),
        ("0x04", Table.INPUT),
        ("03H", Table.HOLDING),
        ("FC2", Table.DISCRETE),
        ("03/06", Table.HOLDING),
        ("读03 写16", Table.HOLDING),
        ("保持寄存器", Table.HOLDING),
        ("Input Register", Table.INPUT),
        ("4x", Table.HOLDING),
        ("线圈", Table.COIL),
        ("01", Table.COIL),
    ],
)
def test_functions(text: str, table: Table) -> None:
    assert parse_function(text) is table


def test_what_is_only_written_is_told_from_what_is_not_understood() -> None:
    for text in ("06", "0x10", "5", "10H"):
        with pytest.raises(WriteOnly):
            parse_function(text)
    with pytest.raises(CellError, match="write 1, 2, 3 or 4"):
        parse_function("读")


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("INT16", Typed(NumberType.S16, True)),
        ("uint16_t", Typed(NumberType.U16, True)),
        ("无符号16位", Typed(NumberType.U16, True)),
        ("有符号整型", Typed(NumberType.S16)),
        ("UNSIGNED LONG", Typed(NumberType.U32)),
        ("DWORD", Typed(NumberType.U32)),
        ("WORD", Typed(NumberType.U16)),
        ("float", Typed(NumberType.F32, True)),
        ("FLOAT32 CDAB", Typed(NumberType.F32, True, little_words=True)),
        ("uint32(BADC)", Typed(NumberType.U32, True, little_bytes=True)),
        ("int32 DCBA", Typed(NumberType.S32, True, little_words=True, little_bytes=True)),
        ("双精度浮点", Typed(NumberType.F64, True)),
        ("枚举", Typed(NumberType.U16)),
        ("BOOL", Typed(bit=True)),
    ],
)
def test_types(text: str, typed: Typed) -> None:
    assert parse_type(text) == typed


def test_types_that_are_no_reading_or_say_two_things() -> None:
    for text in ("STRING", "ASCII码", "DateTime"):
        with pytest.raises(NoReading):
            parse_type(text)
    with pytest.raises(CellError, match="write ABCD, CDAB, BADC or DCBA"):
        parse_type("float 小端")
    for text in ("BCD", "int8", "温度"):
        with pytest.raises(CellError):
            parse_type(text)
    assert (parse_words("2"), parse_words("4字节")) == (2, 2)
    with pytest.raises(NoReading):
        parse_words("20")


@pytest.mark.parametrize(
    ("text", "scale", "offset"),
    [
        ("0.1", "0.1", "0"),
        ("/10", "0.1", "0"),
        ("1/100", "0.01", "0"),
        ("10^-2", "0.01", "0"),
        ("一位小数", "0.1", "0"),
        ("2位小数", "0.01", "0"),
        ("放大10倍", "0.1", "0"),
        ("实际值=上送值/10", "0.1", "0"),
        ("X*0.1-40", "0.1", "-40"),
        ("0.1℃", "0.1", "0"),
    ],
)
def test_factors(text: str, scale: str, offset: str) -> None:
    factor = parse_factor(text)
    assert (factor.scale, factor.offset) == (Decimal(scale), Decimal(offset))


def test_a_factor_that_may_be_a_divisor_is_marked_as_bare() -> None:
    assert parse_factor("10") == Factor(Decimal(10), bare=True)
    assert parse_factor("×10").bare
    assert not parse_factor("/10").bare
    for text in ("0", "abc", "1e99", "..", "/0", "1/0"):
        with pytest.raises(CellError):
            parse_factor(text)


def test_units_with_their_factors() -> None:
    found = {text: parse_unit(text) for text in ("℃", "%RH", "0.1V", "MPa", "kvar", "小时", "MW", "mW", "mΩ", "—")}
    assert {text: each and (each.unit, float(each.multiple), each.written) for text, each in found.items()} == {
        "℃": (Unit.CELSIUS, 1, None),
        "%RH": (Unit.PERCENT, 1, None),
        "0.1V": (Unit.VOLT, 1, Decimal("0.1")),
        "MPa": (Unit.KILOPASCAL, 1000, None),
        "kvar": (Unit.VAR, 1000, None),
        "小时": (Unit.HOUR, 1, None),
        "MW": (Unit.KILOWATT, 1000, None),
        "mW": (Unit.WATT, 0.001, None),
        "mΩ": (Unit.MILLIOHM, 1, None),
        "—": None,
    }
    with pytest.raises(CellError):
        parse_unit("furlong")


def test_enumerations_and_bits() -> None:
    assert states_in("0：停机；1：运行；2~5：保留") == {0: "停机", 1: "运行"}
    assert states_in("0=Off;1=On") == {0: "Off", 1: "On"}
    assert states_in("0-停止,1-运行") == {0: "停止", 1: "运行"}
    assert states_in("0x0001:开机 0x0000:关机") == {1: "开机", 0: "关机"}
    assert states_in("0~100") == {}
    assert states_in("2024-01-01") == {}
    assert bits_in("Bit0:高温告警\nBit1：低温告警") == {0: "高温告警", 1: "低温告警"}
    assert bits_in("B0 市电异常; B15 过载") == {0: "市电异常", 15: "过载"}
    assert bits_in("第3位：漏水") == {3: "漏水"}


def test_words_of_states() -> None:
    def word(label: str, states: str) -> str | None:
        return state_word(label, STATES[states].words)

    assert word("故障停机", "crac_mode") == "shutdown"
    assert word("无漏水", "leak") == "dry"
    assert word("漏水", "leak") == "leak"
    assert word("未运行", "on_off") == "off"
    assert word("市电逆变供电", "output_source") == "normal"
    assert word("电池供电", "output_source") == "battery"
    assert word("旁路供电", "output_source") == "bypass"
    assert word("正常", "supply") == "normal"
    assert word("异常", "supply") == "abnormal"
    assert word("放电", "charging") == "discharging"
    assert word("紫色", "on_off") is None

"""Whether the addresses of a column are decimal or hexadecimal: by evidence, told, and never turned by one odd cell."""

from collections.abc import Iterable

import pytest

from collectors.pointtable.addresses import Notation
from collectors.pointtable.cells import Written, parse_address
from collectors.pointtable.importing import Imported
from tests.collectors.pointtable.tables import imported, points, said

HEAD = "名称,地址,功能码,类型,倍率,单位\n"


def column(addresses: Iterable[str], head: str = HEAD) -> str:
    return head + "".join(f"测点{chr(0x4E00 + at)},{text},3,INT16,0.1,℃\n" for at, text in enumerate(addresses))


def doubts(done: Imported) -> list[str]:
    """What is said of addresses; the names here are none that is known."""
    return [line for line in said(done) if "no metric is known" not in line]


def read(addresses: Iterable[str], head: str = HEAD, notation: Notation = Notation.AUTO) -> list[object]:
    return [each["holding"] for each in points(imported(column(addresses, head), notation=notation)).values()]


def test_one_odd_cell_is_a_problem_of_its_own_and_changes_no_other() -> None:
    addresses = [str(at) for at in range(100, 120)]
    addresses[10] = "10A"
    done = imported(column(addresses))
    assert [each["holding"] for each in points(done).values()] == [*range(100, 110), *range(111, 120)]
    (problem,) = doubts(done)
    assert problem.startswith("t!B12: '10A' can only be hexadecimal, and the column is read as decimal")
    assert "--notation hex" in problem


def test_a_prefixed_cell_in_a_column_of_decimals_is_itself_and_doubted() -> None:
    done = imported(column(["10", "11", "12", "0x10", "17"]))
    assert [each["holding"] for each in points(done).values()] == [10, 11, 12, 16, 17]
    assert doubts(done) == ["t!B5: warning: '0x10' is hexadecimal (16), the other addresses of the column are decimal"]


def test_a_bare_cell_in_a_column_of_prefixed_ones_is_not_guessed_at() -> None:
    done = imported(column(["0x0010", "0x0011", "0x0012", "20", "7"]))
    assert [each["holding"] for each in points(done).values()] == [16, 17, 18, 7]
    (problem,) = doubts(done)
    assert problem.startswith("t!B5: '20' may be 20 or 0x20; the other addresses of the column say 0x")


@pytest.mark.parametrize(
    ("addresses", "wanted"),
    [
        (["0009", "000A", "000B", "0010"], [9, 10, 11, 16]),  # written as words of four digits
        ([f"{at:X}" for at in range(0x60, 0x80)], list(range(0x60, 0x80))),  # counts through A to F
        (["1A", "1B"], [26, 27]),  # nothing here could be decimal
    ],
)
def test_hexadecimal_by_evidence_is_told(addresses: list[str], wanted: list[int]) -> None:
    done = imported(column(addresses))
    assert [each["holding"] for each in points(done).values()] == wanted
    assert any("t!B: addresses are read as hexadecimal: " in hint for hint in done.hints)


def test_a_heading_or_the_caller_says_it() -> None:
    addresses = ["10", "1A", "20"]
    assert read(addresses, HEAD.replace("地址", "地址(HEX)")) == [16, 26, 32]
    assert read(addresses, notation=Notation.HEX) == [16, 26, 32]
    assert read(["10", "11"], notation=Notation.HEX) == [16, 17]


def test_padded_words_that_also_count_as_decimals_are_not_decided_by_one_letter() -> None:
    addresses = [f"{at:04}" for at in range(1, 31)]
    addresses[25] = "002A"
    done = imported(column(addresses))
    assert [each["holding"] for each in points(done).values()] == [*range(1, 26), *range(27, 31)]
    assert doubts(done)[0].startswith("t!B27: '002A' can only be hexadecimal")


def test_each_table_of_a_sheet_is_decided_by_its_own_cells() -> None:
    text = column(["10", "11", "12"]) + column(["001A", "001B", "0020"]).replace("测点", "信号")
    assert [each["holding"] for each in points(imported(text)).values()] == [10, 11, 12, 26, 27, 32]


@pytest.mark.parametrize(("text", "number"), [("0x00B1", 0xB1), ("00B1", 0xB1), ("B12", 0xB12), ("0xB1", 0xB1)])
def test_the_digit_b_is_no_sign_of_a_bit_where_digits_are_hexadecimal(text: str, number: int) -> None:
    assert parse_address(text, hexadecimal=True) == Written(number)

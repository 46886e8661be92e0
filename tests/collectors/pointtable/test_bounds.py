"""A file from a stranger: bombs, lies and noise end in a plain word, never in a crash, a hang or a full memory."""

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.convert import MAX_POINTS
from collectors.pointtable.cells import CellError, parse_address, parse_factor, parse_function, parse_type, parse_words
from collectors.pointtable.importing import Wish, import_table
from collectors.pointtable.lists import bits_in, states_in
from collectors.pointtable.sheets import (
    MAX_CELL,
    MAX_COLUMNS,
    MAX_FILE_BYTES,
    MAX_ROWS,
    TableError,
    parse_table,
    read_table,
)
from collectors.pointtable.units import parse_unit
from collectors.pointtable.words import take_apart
from facility.config import parse_yaml
from facility.profile import Profile
from tests.collectors.pointtable.tables import workbook

TABLE: list[list[object]] = [["名称", "地址", "功能码"], ["回风温度", 0, 3]]


def repacked(raw: bytes, name: str, content: bytes) -> bytes:
    """The workbook with one part replaced."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(member.filename, content if member.filename == name else old.read(member))
    return file.getvalue()


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    raw = repacked(workbook({"s": TABLE}), "xl/worksheets/sheet1.xml", b" " * (40 * 1024 * 1024))
    assert len(raw) < 100_000
    with pytest.raises(TableError, match="zip bomb"):
        parse_table(raw, "t")
    with pytest.raises(TableError, match="unpacks to more than"):
        parse_table(repacked(workbook({"s": TABLE}), "xl/worksheets/sheet1.xml", b" " * (70 * 1024 * 1024)), "t")


def test_entities_are_refused() -> None:
    bomb = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><worksheet>&c;</worksheet>'
    with pytest.raises(TableError, match="declares a document type"):
        parse_table(repacked(workbook({"s": TABLE}), "xl/worksheets/sheet1.xml", bomb), "t")
    with pytest.raises(TableError, match="declares a document type"):
        parse_table(repacked(workbook({"s": TABLE}), "xl/workbook.xml", bomb.decode().encode("utf-16")), "t")


def test_a_sheet_that_claims_to_be_huge_is_read_as_it_is() -> None:
    raw = workbook({"s": TABLE})
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        part = archive.read("xl/worksheets/sheet1.xml")
    lying = part.replace(b'ref="A1:C2"', b'ref="A1:XFD1048576"')
    assert lying != part
    assert parse_table(repacked(raw, "xl/worksheets/sheet1.xml", lying), "t")[0].rows[1] == ("回风温度", "0", "3")
    far = part.replace(b"</sheetData>", b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>')
    with pytest.raises(TableError, match=f"at most {MAX_ROWS} rows"):
        parse_table(repacked(raw, "xl/worksheets/sheet1.xml", far), "t")


def test_rows_columns_cells_and_bytes_are_bounded(tmp_path: Path) -> None:
    for raw in (b"a\n" * (MAX_ROWS + 1), b"," * MAX_COLUMNS, b"a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a\n" * 19_000):
        with pytest.raises(TableError, match="too large"):
            parse_table(raw, "t")
    with pytest.raises(TableError, match=f"more than {MAX_CELL} characters"):
        parse_table(b"x" * (MAX_CELL + 1), "t")
    large = tmp_path / "large.csv"
    large.write_bytes(b"a" * (MAX_FILE_BYTES + 1))
    with pytest.raises(TableError, match="which is no point table"):
        read_table(large)


@pytest.mark.parametrize("cut", [0, 1, 4, 30, 100, 1000, -1, -30])
def test_a_broken_workbook_is_said_to_be_one(cut: int) -> None:
    raw = workbook({"s": TABLE})[:cut]
    if raw.startswith(b"PK\x03\x04"):
        with pytest.raises(TableError):
            parse_table(raw, "t")
    else:
        parse_table(raw, "t")


@given(st.binary(max_size=600))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_a_table_or_no_table(raw: bytes) -> None:
    for data in (raw, b"PK\x03\x04" + raw):
        try:
            sheets = parse_table(data, "t")
        except TableError:
            continue
        import_table(sheets, Wish("acme/x"), source="t")


@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_a_damaged_workbook_is_a_table_or_no_table(damage: list[tuple[int, int]]) -> None:
    raw = bytearray(workbook({"s": TABLE}))
    for at, byte in damage:
        raw[at % len(raw)] = byte
    try:
        sheets = parse_table(bytes(raw), "t")
    except TableError:
        return
    import_table(sheets, Wish("acme/x"), source="t")


# Pieces that tables are made of, so that noise reaches the parsers behind the headings.
WORDS = (
    "40001 0x1F Bit bit0: 0:停机 1:运行 保持寄存器 INT16 float CDAB ℃ kW 相 温度 告警 压缩机 电池 电压 回风 "
    "小数 放大 位 /10 1/ 10^ E9"
)
PIECES = st.sampled_from([*"0123456789.-~:：;，,/×*%#()x \n", *WORDS.split()])
CELL = st.one_of(st.text(max_size=12), st.lists(PIECES, max_size=8).map("".join))


@given(st.lists(st.lists(CELL, min_size=1, max_size=12), max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_rows_below_a_heading_make_a_profile_that_loads(rows: list[list[str]]) -> None:
    head = "名称,地址,功能码,类型,长度,位,倍率,偏移量,单位,取值,无效值,metric"
    quoted = ["".join(f'"{cell.replace(chr(34), "")}",' for cell in row) for row in rows]
    text = "\n".join([head, *quoted, "回风温度,0,3,int16,,,0.1,,℃"]).replace("\0", "")
    try:
        sheets = parse_table(text.encode("utf-8", "ignore"), "t")
    except TableError:
        return
    done = import_table(sheets, Wish("acme/x"), source="t")
    if done.text:
        Profile.model_validate({"id": "acme/x", **parse_yaml(done.text, "t").data})


@given(CELL)
@settings(max_examples=200, deadline=None)
def test_any_cell_is_understood_or_refused(text: str) -> None:
    for parse in (parse_address, parse_factor, parse_function, parse_type, parse_words, parse_unit):
        try:
            parse(text)
        except CellError:
            continue
    states_in(text)
    bits_in(text)
    take_apart(text)


@pytest.mark.parametrize(
    "text", ["1" * MAX_CELL, "0:" * 2000, "x*" * 2000, "a相" * 1000, "Bit1" * 1000, "压缩机" * 1300]
)
@pytest.mark.timeout(10)
def test_a_long_cell_costs_no_time(text: str) -> None:
    test_any_cell_is_understood_or_refused.hypothesis.inner_test(text)  # type: ignore[attr-defined]
    import_table(parse_table(f"名称,地址,取值\n{text[:200]},1,{text}\n".encode(), "t"), Wish("a/b"), source="t")


def test_more_points_than_a_device_can_have_are_refused() -> None:
    rows = "".join(f"测点{at},{at},3\n" for at in range(MAX_POINTS + 1))
    with pytest.raises(TableError, match=f"{MAX_POINTS + 1} rows; a device has at most {MAX_POINTS} points"):
        import_table(parse_table(f"名称,地址,功能码\n{rows}".encode(), "t"), Wish("acme/x"), source="t")

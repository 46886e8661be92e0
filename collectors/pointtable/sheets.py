"""Reads Excel and CSV tables as sheets of plain text, within bounds: the file comes from a stranger.

A workbook is a zip of XML: its sizes are looked at before anything is unpacked, document type declarations (the way of
entity bombs) are refused, and only cells within the bounds are looked at, whatever dimensions the file claims.
"""

import csv
import io
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils import get_column_letter

# What reading an archive that is none, is cut off or has a password ends in.
DAMAGED = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError, ValueError)
# The largest point tables seen (a modular UPS with every module's bits) have some 4,000 rows and 200 kB.
MAX_FILE_BYTES = 10 * 1024 * 1024
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
# Deflate reaches 1032:1 on zeros alone; tables of text stay below 30:1.
MAX_RATIO = 200
MAX_MEMBERS = 500
MAX_SHEETS = 50
MAX_ROWS = 20_000
MAX_COLUMNS = 60
MAX_CELL = 4000
MAX_CELLS = 400_000

_ENCODINGS = ("utf-8-sig", "gb18030")
# Open Packaging (ECMA-376 part 2): the parts of a workbook are stored or deflated.
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DECLARATIONS = ("<!DOCTYPE", "<!ENTITY")


class TableError(ValueError):
    """A file that is no table, or one out of bounds; says what would be accepted."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows of trimmed text; row and column numbers in messages count from 1 as a spreadsheet shows them.

    numeric: cells (row, column, both from 0) a spreadsheet holds as a number with a fraction: 40010.10 and 40010.1
    are the same there.
    """

    name: str
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[tuple[int, int]] = frozenset()

    def place(self, row: int, column: int | None = None) -> str:
        """`Sheet1!C7` for the row and column counted from 0; the whole row where no column is given."""
        return f"{self.name}!{get_column_letter(column + 1) if column is not None else ''}{row + 1}"


def read_table(path: Path) -> tuple[Sheet, ...]:
    """The sheets of an .xlsx or .csv file; TableError says what is wrong with it."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return parse_table(raw, path.stem)
    except TableError as error:
        raise TableError(f"{path}: {error}") from error


def parse_table(raw: bytes, name: str) -> tuple[Sheet, ...]:
    """As `read_table`, of bytes at hand; `name` names the sheet of a CSV."""
    if len(raw) > MAX_FILE_BYTES:
        raise TableError(f"larger than {MAX_FILE_BYTES} bytes, which is no point table")
    if raw.startswith(b"PK\x03\x04"):
        return _workbook(raw)
    if raw.startswith(b"\xd0\xcf\x11\xe0"):
        raise TableError("is an old .xls (or a protected) workbook; save it as .xlsx or CSV and import that")
    return (_csv(raw, name),)


def _csv(raw: bytes, name: str) -> Sheet:
    text = _decoded(raw)
    if "\0" in text:
        raise TableError("is no text: it holds zero bytes")
    head = text[:4096]
    delimiter = max(",;\t", key=head.count)
    cells = 0
    rows: list[tuple[str, ...]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in reader:
            cells += len(row)
            if len(rows) >= MAX_ROWS or len(row) > MAX_COLUMNS or cells > MAX_CELLS:
                raise TableError(_too_large(name))
            rows.append(_bounded(name, (cell.strip() for cell in row)))
    except csv.Error as error:
        raise TableError(f"line {reader.line_num}: is no CSV: {error}") from error
    return Sheet(name, tuple(rows))


def _decoded(raw: bytes) -> str:
    """UTF-8 with or without a mark, else GB18030, in which Excel of a Chinese Windows saves CSV."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return raw.decode("utf-16")
        except UnicodeDecodeError as error:
            raise TableError(f"is no UTF-16 although it begins so: {error.reason} at byte {error.start}") from error
    for encoding in _ENCODINGS:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise TableError("is neither UTF-8 nor GB18030 text; save it as CSV UTF-8 or .xlsx")


def _workbook(raw: bytes) -> tuple[Sheet, ...]:
    _check_zip(raw)
    try:
        book = load_workbook(io.BytesIO(raw), read_only=True, data_only=True, keep_links=False)
        try:
            if len(book.worksheets) > MAX_SHEETS:
                raise TableError(f"{len(book.worksheets)} sheets; at most {MAX_SHEETS} are read")
            return _sheets(book.worksheets)
        finally:
            book.close()
    except TableError:
        raise
    # A broken workbook comes out of the library as nearly any exception; there is nothing to do but say so.
    except Exception as error:
        raise TableError(f"is no workbook that can be read ({type(error).__name__}: {error})") from error


def _sheets(worksheets: Iterable[Any]) -> tuple[Sheet, ...]:
    cells = 0
    found: list[Sheet] = []
    for worksheet in worksheets:
        # What the file says of its size may be a lie or missing; the rows are counted instead.
        worksheet.reset_dimensions()
        rows: list[tuple[str, ...]] = []
        numeric: set[tuple[int, int]] = set()
        bounded = worksheet.iter_rows(max_row=MAX_ROWS + 1, max_col=MAX_COLUMNS, values_only=True)
        for number, row in enumerate(bounded):
            cells += len(row)
            if number >= MAX_ROWS or cells > MAX_CELLS:
                raise TableError(_too_large(worksheet.title))
            numeric.update(
                (number, at) for at, value in enumerate(row) if isinstance(value, float) and not value.is_integer()
            )
            rows.append(_bounded(worksheet.title, map(_text, row)))
        found.append(Sheet(worksheet.title, tuple(rows), frozenset(numeric)))
    return tuple(found)


def _bounded(name: str, cells: Iterable[str]) -> tuple[str, ...]:
    """The cells of a row without empty ones at its end."""
    texts = list(cells)
    if any(len(text) > MAX_CELL for text in texts):
        raise TableError(f"sheet {name!r} holds a cell of more than {MAX_CELL} characters; keep the point table only")
    while texts and not texts[-1]:
        texts.pop()
    return tuple(texts)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value).strip()


def _too_large(name: str) -> str:
    return (
        f"sheet {name!r} is too large: at most {MAX_ROWS} rows, {MAX_COLUMNS} columns and {MAX_CELLS} cells in all "
        "are read; keep the point table only"
    )


def _check_zip(raw: bytes) -> None:
    """TableError for a bomb. The real unpacked bytes are counted, since the directory may lie about them."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                raise TableError(f"holds {len(members)} parts; at most {MAX_MEMBERS} are read")
            if any(member.compress_type not in _PACKINGS for member in members):
                raise TableError("is packed in a way no spreadsheet program uses")
            if sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
                raise TableError(f"unpacks to more than {MAX_UNPACKED_BYTES} bytes, which is no point table")
            left = min(MAX_UNPACKED_BYTES, max(len(raw) * MAX_RATIO, 1024 * 1024))
            for member in members:
                left -= _unpacked(archive, member, left)
    except TableError:
        raise
    except DAMAGED as error:
        raise TableError(f"is no workbook: {error}") from error


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, left: int) -> int:
    size = 0
    before = b""
    with archive.open(member) as part:
        while chunk := part.read(256 * 1024):
            size += len(chunk)
            if size > left:
                raise TableError("unpacks to far more than it holds: a zip bomb, or no point table")
            if member.filename.endswith((".xml", ".rels", ".vml")):
                seen = (before + chunk).replace(b"\0", b"")  # also as UTF-16
                if any(word.encode() in seen for word in _DECLARATIONS):
                    raise TableError(f"{member.filename} declares a document type: no spreadsheet program writes that")
                before = chunk[-32:]
    return size

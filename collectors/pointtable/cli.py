"""`coldaisle profile import`: a maker's point table into a profile file."""

import re
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from openpyxl.utils import get_column_letter

from collectors.exchange import Table
from collectors.pointtable.addresses import Notation
from collectors.pointtable.cells import CellError, parse_function
from collectors.pointtable.columns import Field, Layout, MappingError, Told, find_layout, parse_map
from collectors.pointtable.importing import Imported, Wish, import_table
from collectors.pointtable.rows import Weight
from collectors.pointtable.sheets import Sheet, TableError, read_table
from collectors.pointtable.template import write_template
from facility.config import did_you_mean
from facility.profile import ID_PATTERN, DeviceKind

# What a person reads at one go; the rest is counted. A wrong column gives the same complaint of every row.
MAX_SHOWN = 40


def import_profile(
    table: Annotated[Path | None, typer.Argument(help="The point table, .xlsx or .csv.")] = None,
    profile_id: Annotated[str, typer.Option("--id", help="vendor/model; from the file's name if left out.")] = "",
    vendor: Annotated[str, typer.Option(help="The maker's name for people.")] = "",
    model: Annotated[str, typer.Option(help="The model's name for people.")] = "",
    kind: Annotated[DeviceKind | None, typer.Option(help="What the device is; from the names if left out.")] = None,
    mapping: Annotated[
        list[str] | None, typer.Option("--map", help="COLUMN=FIELD: a heading or a letter; may be given again.")
    ] = None,
    sheet: Annotated[list[str] | None, typer.Option("--sheet", help="Only this sheet; may be given again.")] = None,
    base: Annotated[int | None, typer.Option(min=0, max=1, help="What the table calls the first register.")] = None,
    notation: Annotated[
        Notation,
        typer.Option(
            help="modicon: 40001 is holding 0; plain: as on the wire; hex: so, and bare digits are hexadecimal."
        ),
    ] = Notation.AUTO,
    function: Annotated[str, typer.Option(help="Where the table names none: 1, 2, 3, 4 or its name.")] = "",
    partial: Annotated[bool, typer.Option("--partial", help="Write what is good although rows are left out.")] = False,
    out: Annotated[Path | None, typer.Option(help="File, or folder of profiles; the screen if left out.")] = None,
    template: Annotated[Path | None, typer.Option(help="Write an empty table to fill in, and do nothing else.")] = None,
) -> None:
    """Turn a maker's point table (点表, Excel or CSV) into a profile; every problem is named by its cell."""
    if template is not None:
        _write_template(template)
        return
    if table is None:
        _fail("name a table to import, or --template FILE.xlsx for an empty one")
    try:
        sheets = _picked(read_table(table), sheet)
        wish = Wish(
            profile_id=_id(profile_id, table),
            vendor=vendor,
            model=model,
            kind=kind,
            told=_columns(sheets, list(mapping or [])),
            notation=notation,
            base=base,
            function=_function(function),
        )
        done = import_table(sheets, wish, source=table.name)
    except (TableError, MappingError, CellError) as error:
        _fail(str(error))
    _report(done)
    if not done.points:
        _fail("no point could be made; nothing is written")
    if done.errors and not partial:
        _fail(f"{len(done.errors)} rows are not understood; nothing is written (--partial writes the other points)")
    _write(done, wish.profile_id, out)


def _picked(sheets: tuple[Sheet, ...], wanted: list[str] | None) -> tuple[Sheet, ...]:
    names = [each.name for each in sheets]
    for name in wanted or []:
        if name not in names:
            raise TableError(f"there is no sheet {name!r}{did_you_mean(name, names)}")
    return tuple(each for each in sheets if not wanted or each.name in wanted)


def _id(told: str, table: Path) -> str:
    if told:
        if not re.fullmatch(ID_PATTERN, told):
            raise TableError(f"--id {told!r}: write vendor/model in a-z, 0-9 and - (dots in models)")
        return told
    slug = re.sub(r"[^a-z0-9]+", "-", table.stem.lower()).strip("-")
    return f"imported/{slug or 'table'}"


def _function(text: str) -> Table | None:
    return parse_function(text) if text else None


def _columns(sheets: tuple[Sheet, ...], mapping: list[str]) -> Told:
    """What was told of the columns; a person at a terminal is asked for what is missing."""
    told = parse_map(mapping, sheets)
    layouts = [(each, find_layout(each, told)) for each in sheets]
    if any(layout is not None and not layout.missing for _, layout in layouts):
        return told
    for each, layout in layouts:
        if layout is None:
            continue
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            known = ", ".join(
                f"{get_column_letter(at + 1)} {text!r}" for at, text in enumerate(layout.headings) if text
            )
            raise MappingError(
                f"{each.place(layout.row)}: no column is seen to hold {' or '.join(layout.missing)}; "
                f"say it with --map COLUMN=FIELD. The columns: {known}"
            )
        return parse_map([*mapping, *_asked(each, layout)], sheets)
    raise MappingError("no sheet has a row of headings; the table needs one with at least a name and an address")


def _asked(sheet: Sheet, layout: Layout) -> list[str]:
    typer.echo(f"{sheet.name}, row {layout.row + 1}:")
    for at, heading in enumerate(layout.headings):
        below = next((row[at] for row in sheet.rows[layout.row + 1 :] if at < len(row) and row[at]), "")
        typer.echo(f"  {get_column_letter(at + 1)}: {heading}  (e.g. {below})")
    answers = []
    for field in layout.missing:
        letter = typer.prompt(f"Which column holds the {field}? Its letter")
        answers.append(f"{letter.strip()}={field}")
    function = typer.prompt(f"Which holds the {Field.FUNCTION} code? Its letter, or nothing", default="")
    if function.strip() and Field.FUNCTION not in layout.columns:
        answers.append(f"{function.strip()}={Field.FUNCTION}")
    return answers


def _report(done: Imported) -> None:
    for line in done.columns:
        typer.echo(f"columns of {line}", err=True)
    for line in done.hints:
        typer.echo(f"note: {line}", err=True)
    order = list(Weight)
    remarks = sorted(done.remarks, key=lambda remark: order.index(remark.weight))
    for remark in remarks[:MAX_SHOWN]:
        typer.echo(str(remark), err=True)
    if len(remarks) > MAX_SHOWN:
        typer.echo(f"... and {len(remarks) - MAX_SHOWN} more", err=True)
    typer.echo(
        f"{done.points} points of kind {done.kind}, {done.unmapped} of them unmapped; "
        f"{len(done.errors)} rows not understood",
        err=True,
    )


def _write(done: Imported, profile_id: str, out: Path | None) -> None:
    if out is None:
        typer.echo(done.text, nl=False)
        return
    path = out / f"{profile_id}.yaml" if out.is_dir() or out.suffix not in (".yaml", ".yml") else out
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(done.text)
    except FileExistsError:
        _fail(f"{path} is there already; move it away first")
    except OSError as error:
        _fail(f"{path}: cannot be written: {error.strerror}")
    typer.echo(f"written: {path}. Now: coldaisle profile validate {path}", err=True)


def _write_template(path: Path) -> None:
    if path.suffix != ".xlsx":
        _fail(f"{path}: a template is an .xlsx file")
    if path.exists():
        _fail(f"{path} is there already; move it away first")
    try:
        write_template(path)
    except OSError as error:
        _fail(f"{path}: cannot be written: {error.strerror}")
    typer.echo(f"written: {path}. Fill in the sheet 'points', then: coldaisle profile import {path}", err=True)


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)

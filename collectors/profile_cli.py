"""`coldaisle profile`: list, show, validate the device profiles; replay a recorded walk."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from collectors.convert import Converter
from collectors.exchange import ModbusNeeds
from collectors.library import Library, ProfileErrors, UnknownProfileError, file_schema, read_file
from collectors.pointtable.cli import import_profile
from collectors.replay import ReplayError, replayed
from collectors.replay_print import print_replay
from collectors.walk import WalkError, read_walk
from facility.config import ConfigErrors
from facility.profile import Profile
from facility.sources import Place
from facility.units import symbol

app = typer.Typer(no_args_is_help=True, help="Device profiles: list, show, validate, replay a walk, import a table.")
app.command("import")(import_profile)

Folder = Annotated[
    list[Path] | None,
    typer.Option("--profiles", help="A further folder of profiles (VENDOR/MODEL.yaml); may be given again."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_profiles(profiles: Folder = None, as_json: AsJson = False) -> None:
    """Every profile with what it is for and how it was proved."""
    library = _library(profiles)
    if as_json:
        _print_json([_summary(profile) for profile in library.all()])
        return
    table = Table(box=None, pad_edge=False)
    for title in ("id", "kind", "protocol", "maturity", "points", "title"):
        table.add_column(title, no_wrap=True)
    for profile in library.all():
        table.add_row(
            profile.id, profile.kind, profile.protocol, profile.maturity, str(len(profile.points)), profile.title.en
        )
    _console().print(table)


@app.command()
def show(profile_id: str, profiles: Folder = None, as_json: AsJson = False) -> None:
    """One profile: what it reads, from where, in which unit."""
    try:
        profile = _library(profiles).get(profile_id)
    except UnknownProfileError as error:
        _fail([str(error)])
    if as_json:
        _print_json(profile.model_dump(mode="json", by_alias=True, exclude_defaults=True))
        return
    console = _console()
    console.print(f"{profile.id}  {profile.title.en} / {profile.title.zh}", highlight=False)
    console.print(
        f"{profile.vendor} {profile.model}; {profile.kind}, {profile.protocol}, {profile.maturity}", highlight=False
    )
    console.print(profile.provenance, highlight=False)
    needs = Converter(profile, device="show").needs()
    asked = (
        f"{len(needs.spans)} register spans"
        if isinstance(needs, ModbusNeeds)
        else f"{len(needs.gets)} objects and {len(needs.walks)} columns"
    )
    console.print(f"every {profile.interval} s: {asked}; revision {profile.revision}", highlight=False)
    table = Table(box=None, pad_edge=False)
    for title in ("metric", "subject", "unit", "from"):
        table.add_column(title, overflow="fold")
    for point in profile.points:
        places = ", then ".join(_place(source) for source in point.sources)
        table.add_row(point.metric, point.subject, symbol(point.entry.unit), places)
    console.print(table)


@app.command()
def validate(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files or folders; the shipped library if none.")] = None,
) -> None:
    """Check profiles and print every error with file, line and what was expected."""
    problems: list[str] = []
    count = 0
    try:
        library = Library.load()
        count = 0 if paths else len(library.all())
    except ConfigErrors as errors:
        _fail([str(problem) for problem in errors.problems])
    for path in paths or []:
        try:
            if path.is_dir():
                count += len(_checked_folder(path))
            else:
                read_file(path, library)
                count += 1
        except ConfigErrors as errors:
            problems.extend(str(problem) for problem in errors.problems)
    if problems:
        _fail(problems)
    typer.echo(f"{count} profiles are valid")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a profile file, for editors that complete and check while typing."""
    _print_json(file_schema())


@app.command("replay")
def replay_walk(
    walk: Annotated[Path, typer.Argument(help="A recorded walk (.snmprec).")],
    as_json: AsJson = False,
    profile: Annotated[str | None, typer.Option(help="Use this profile instead of the one recognised.")] = None,
    profiles: Folder = None,
) -> None:
    """Recognise the device of a walk and print what would be read of it, by which rule, and what not and why."""
    try:
        result = replayed(read_walk(walk), _library(profiles), profile_id=profile)
    except (WalkError, UnknownProfileError, ReplayError) as error:
        _fail([str(error)])
    if as_json:
        _print_json(result.as_json())
        return
    print_replay(_console(), result)


def _console() -> Console:
    """Piped output is not folded at 80 columns: object identifiers are long and get searched for."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def _checked_folder(folder: Path) -> tuple[Profile, ...]:
    """The profiles of a site's folder, which may extend shipped ones."""
    own = {path.relative_to(folder).as_posix().removesuffix(".yaml") for path in folder.rglob("*.yaml")}
    return tuple(profile for profile in Library.load([folder]).all() if profile.id in own)


def _library(folders: Iterable[Path] | None) -> Library:
    try:
        return Library.load(folders or ())
    except ProfileErrors as errors:
        _fail([str(problem) for problem in errors.problems])


def _summary(profile: Profile) -> dict[str, Any]:
    fields = {"id", "title", "vendor", "model", "kind", "protocol", "maturity", "interval"}
    return profile.model_dump(mode="json", include=fields) | {
        "points": len(profile.points),
        "revision": profile.revision,
    }


def _place(place: Place) -> str:
    if place.oid is not None:
        return place.oid
    if place.column is not None:
        return f"{place.column}.*"
    table, address = place.cell
    return f"{table}:{address}"


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _fail(lines: list[str]) -> NoReturn:
    for line in lines:
        typer.echo(line, err=True)
    raise typer.Exit(1)

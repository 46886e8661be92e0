"""`coldaisle server backtest`: what rules would have raised over the history the centre keeps of a site."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from facility.config import ConfigErrors
from facility.reading import COMMUNICATION
from rules.backtest import Chunk, Report, backtest
from rules.files import load_rules
from rules.model import RuleSet
from rules.showing import bar, show
from server.alarms.record import SiteRecord, record_of
from server.app import rules_of
from server.config import ServerConfig, load_config
from server.customers import repository as customers
from server.db import migrate
from server.db.session import Database, async_url
from server.fleet import repository as fleet
from server.history.rollup import DAY_MS, HOUR_MS
from server.history.stores import SqlStore
from server.history.tables import MIGRATIONS, history_url
from server.kit.scope import Scope

FAILED, USAGE = 1, 2
_SYSTEM = Scope.system()
app = typer.Typer()


class NoRecord(Exception):
    """There is nothing to play; says why."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What is to be played, in [start, end) ms UTC."""

    record: SiteRecord
    start: int
    end: int


@app.command("backtest")
def run(
    rule_files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Rules to try over the centre's; those of a site's own files are at its agents: give them."
        ),
    ] = None,
    site: Annotated[str | None, typer.Option(help="Code of the site, where there are several.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="YAML file with the settings.")] = None,
    database_url: Annotated[str | None, typer.Option(help="Instead of the configuration's.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Instead of the configuration's.")] = None,
    days: Annotated[float, typer.Option(min=0.01, help="How far back from the newest reading.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Play a site's history through rules and say what they would have raised. Nothing is sent to anyone."""
    given = {"database_url": database_url, "data_dir": None if data_dir is None else str(data_dir)}
    try:
        settings = load_config(config, overrides={name: value for name, value in given.items() if value is not None})
        rules = rules_of(settings)
        rules = load_rules(rule_files, over=rules) if rule_files else rules
    except ConfigErrors as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(USAGE) from exc
    try:
        report = play(settings, rules, site, round(days * DAY_MS), Console(stderr=True))
    except (NoRecord, OSError) as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(FAILED) from exc
    if as_json:
        print(json.dumps(asdict(report)))
    else:
        show(report, Console(highlight=False))


def play(settings: ServerConfig, rules: RuleSet, site: str | None, back_ms: int, console: Console) -> Report:
    """The report over the last `back_ms` of a site. OSError, or `NoRecord` says why there is none."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            _check_versions(settings, runner)
            main = Database(settings.url)
            stack.push_async_callback(main.close)
            kept = main
            if main.dialect == "sqlite":
                kept = Database(history_url(settings))
                stack.push_async_callback(kept.close)
            history = SqlStore(kept)
            found = runner.run(_find(main, history, site, rules, back_ms))
            with bar(console) as progress:
                task = progress.add_task("hours", total=len(_hours(found)))

                def chunks() -> Iterator[Chunk]:
                    for hour in _hours(found):
                        yield runner.run(found.record.chunk(history, hour, min(hour + HOUR_MS, found.end)))
                        progress.advance(task)

                return backtest(rules, found.record.facts, chunks(), agents=found.record.agents)
        finally:
            runner.run(stack.aclose())


def _hours(found: _Found) -> range:
    return range(found.start, found.end, HOUR_MS)


def _check_versions(settings: ServerConfig, runner: asyncio.Runner) -> None:
    """A look at history changes nothing: a database of another version is refused, not brought to this one."""
    for url, migrations in ((settings.url, migrate.MAIN), (history_url(settings), MIGRATIONS)):
        place = async_url(url)
        if place.get_backend_name() == "sqlite" and not Path(str(place.database)).is_file():
            raise NoRecord(f"there is no database at {place.database}")
        at = runner.run(migrate.current(url, migrations))
        if at not in migrate.heads(migrations):
            name = place.render_as_string(hide_password=True)
            raise NoRecord(f"{name} is at {at or 'nothing'}, not of this version: start the server once")


async def _find(main: Database, history: SqlStore, code: str | None, rules: RuleSet, back_ms: int) -> _Found:
    async with main.read() as session:
        codes = sorted({site for site, _ in await fleet.topic_codes(session, _SYSTEM)})
        if code is None:
            if len(codes) != 1:
                raise NoRecord(f"say which --site: {', '.join(codes)}" if codes else "no site has an agent")
            (code,) = codes
        site = await customers.site_by_code(session, _SYSTEM, code)
        if site is None:
            raise NoRecord(f"there is no site {code!r}; there are {', '.join(codes)}")
        # Whether a device answers is looked at by every absence rule.
        record = await record_of(session, site.id, rules.metrics | {COMMUNICATION})
    newest = await record.newest_at(history)
    return _Found(record, 0, 0) if newest is None else _Found(record, newest + 1 - back_ms, newest + 1)

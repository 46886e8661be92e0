"""`coldaisle rules backtest`: what rules would have raised over the history an agent has kept."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from agent.inspect_cli import DEFAULT_CONFIG
from agent.journal.reading import JournalReader, JournalUnreadable
from agent.site import Site, read_site
from facility.config import ConfigErrors
from facility.reading import QUALITY_CODES, PointKey, Quality
from rules.backtest import Chunk, Report, backtest
from rules.facts import DeviceFacts
from rules.files import load_rules
from rules.model import RuleSet
from rules.parts import Where
from rules.showing import bar, show

FAILED, USAGE = 1, 2
DAY_MS = 86_400_000
GOOD = QUALITY_CODES[Quality.GOOD]
app = typer.Typer()


@app.command("backtest")
def run(
    rule_files: Annotated[
        list[Path] | None, typer.Argument(help="Rules to try over the site's own; the site's own alone when none.")
    ] = None,
    config: Annotated[Path, typer.Option("--config", "-c", help="The agent's configuration.")] = DEFAULT_CONFIG,
    journal: Annotated[Path | None, typer.Option(help="The journal file, when it is not the configuration's.")] = None,
    days: Annotated[float, typer.Option(min=0.01, help="How far back from the newest reading.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Play recorded history through rules and say what they would have raised. Nothing is sent to anyone."""
    try:
        site = read_site(config)
        rules = site.rules if not rule_files else load_rules(rule_files, over=site.rules)
    except ConfigErrors as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(USAGE) from exc
    reader = JournalReader(journal or site.loaded.folder / site.loaded.config.journal.path)
    try:
        report = _play(reader, site, rules, round(days * DAY_MS), Console(stderr=True))
    except JournalUnreadable as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(FAILED) from exc
    if as_json:
        print(json.dumps(asdict(report)))
        return
    console = Console(highlight=False)
    show(report, console)
    centre = [rule.id for rule in rules if rule.enabled and rule.where is Where.CENTRE]
    if centre and report.samples:
        console.print(f"rules of the centre, over the devices of this agent alone: {', '.join(centre)}", soft_wrap=True)


def _play(reader: JournalReader, site: Site, rules: RuleSet, back_ms: int, console: Console) -> Report:
    end = reader.newest_at() or 0
    start = end - back_ms
    points, total = reader.points(), reader.count(from_ms=start)
    with bar(console) as progress:
        task = progress.add_task("readings", total=total)
        return backtest(
            rules,
            _facts(site, points),
            _chunks(reader, start),
            progress=lambda count: progress.advance(task, count),
        )


def _facts(site: Site, points: set[PointKey]) -> list[DeviceFacts]:
    """The site's devices with the points the record has."""
    by_device: dict[str, list[PointKey]] = {}
    for point in sorted(points, key=lambda point: (point.device, point.metric, point.subject)):
        by_device.setdefault(point.device, []).append(point)
    return site.facts(by_device)


def _chunks(reader: JournalReader, start: int) -> Iterator[Chunk]:
    """Blocks as a whole, point by point."""
    for stretch in reader.stretches(from_ms=start):
        yield Chunk(
            [
                (each.point, each.at, each.value, [code == GOOD for code in each.quality] if each.quality else None)
                for each in stretch.series
                if each.at
            ]
        )

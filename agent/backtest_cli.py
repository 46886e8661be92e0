"""`coldaisle rules backtest`: what rules would have raised over the history an agent has kept."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from agent.inspect_cli import DEFAULT_CONFIG
from agent.journal.merging import OVERLAP_MS
from agent.journal.reading import JournalReader, JournalUnreadable
from agent.site import Site, read_site
from facility.clock import from_ms
from facility.config import ConfigErrors
from facility.reading import QUALITY_CODES, PointKey, Quality
from rules.backtest import Chunk, Column, Report, backtest
from rules.facts import DeviceFacts
from rules.files import RuleErrors, load_rules
from rules.model import RuleSet
from rules.roster import COMMUNICATION

FAILED, USAGE = 1, 2
DAY_MS = 86_400_000
MOST_LINES = 50
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
    except (ConfigErrors, RuleErrors) as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(USAGE) from exc
    reader = JournalReader(journal or site.loaded.folder / site.loaded.config.journal.path)
    try:
        report = _play(reader, site, rules, round(days * DAY_MS), quiet=as_json)
    except JournalUnreadable as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(FAILED) from exc
    if as_json:
        print(json.dumps(asdict(report)))
    else:
        _show(report)


def _play(reader: JournalReader, site: Site, rules: RuleSet, back_ms: int, *, quiet: bool) -> Report:
    end = reader.newest_at() or 0
    start = end - back_ms
    points, total = reader.points(), reader.count(from_ms=start)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
    ) as progress:
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
    """Blocks as a whole, point by point: how one is judged depends on no other but on whether its device answers.

    Where a device fell silent or came back within a wide block it is played in time, or what its absence rules judge
    would be past its return.
    """
    words: dict[str, float | str | None] = {}
    for stretch in reader.stretches(from_ms=start):
        columns = [
            (each.point, each.at, each.value, [code == GOOD for code in each.quality] if each.quality else None)
            for each in stretch.series
        ]
        changes = False
        for point, _, values, _ in columns:
            if point.metric == COMMUNICATION:
                changes |= values.count(words.setdefault(point.device, "ok")) != len(values)
                words[point.device] = values[-1]
        if changes and stretch.last_at - stretch.first_at > OVERLAP_MS:
            yield from _in_time(columns)
        else:
            yield Chunk(columns, stretch.first_at, stretch.last_at)


def _in_time(columns: Sequence[Column]) -> Iterator[Chunk]:
    """A block second by second, as its readings were judged."""
    seconds: dict[int, list[Column]] = {}
    for point, at, values, good in columns:
        start = 0
        for end in range(1, len(at) + 1):
            if end == len(at) or at[end] // 1000 != at[start] // 1000:
                part = (point, at[start:end], values[start:end], None if good is None else good[start:end])
                seconds.setdefault(at[start] // 1000, []).append(part)
                start = end
    for _, parts in sorted(seconds.items()):
        yield Chunk(parts, min(min(part[1]) for part in parts), max(max(part[1]) for part in parts))


def _show(report: Report) -> None:
    console = Console(highlight=False)
    if not report.samples:
        console.print("no readings in that time")
        return
    span = timedelta(milliseconds=report.last_ms - report.first_ms)
    console.print(f"{report.samples:,} readings, {from_ms(report.first_ms):%Y-%m-%d %H:%M} and {span} on")
    by_rule = Table("rule", "alarms", box=None, header_style="bold")
    for rule, count in sorted(report.raised.items(), key=lambda pair: -pair[1]):
        by_rule.add_row(rule, str(count))
    console.print(by_rule if report.raised else "no alarm")
    lines = Table("raised", "lasted", "severity", "device", "rule", "reason", box=None, header_style="bold")
    for would in report.alarms[:MOST_LINES]:
        lasted = "stands" if would.ended_ms is None else str(timedelta(milliseconds=would.ended_ms - would.raised_ms))
        device = escape(would.device + (f"#{would.subject}" if would.subject else ""))
        lines.add_row(
            f"{from_ms(would.raised_ms):%m-%d %H:%M:%S}", lasted, would.severity, device, would.rule, would.reason
        )
    if report.alarms:
        console.print(lines)
    if sum(report.raised.values()) > MOST_LINES:
        console.print(f"the first {MOST_LINES} of {sum(report.raised.values())}; all of them with --json")

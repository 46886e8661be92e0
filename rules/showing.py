"""How a backtest is shown to the person who asked for it: a bar while it runs, then what would have been raised."""

from datetime import timedelta

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from facility.clock import from_ms
from rules.backtest import Report

MOST_LINES = 50
MOST_HOLES = 5


def bar(console: Console) -> Progress:
    """A progress bar; none is drawn where nobody looks on, as into a pipe or a file."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def show(report: Report, console: Console) -> None:
    """The report for people."""
    if not report.samples:
        console.print("no readings in that time")
        return
    console.print(
        f"{report.samples:,} readings, {from_ms(report.first_ms):%Y-%m-%d %H:%M} "
        f"and {_lasted(report.first_ms, report.last_ms)} on"
    )
    _show_holes(report, console)
    by_rule = Table("rule", "alarms", box=None, header_style="bold")
    for rule, count in sorted(report.raised.items(), key=lambda pair: -pair[1]):
        by_rule.add_row(rule, str(count))
    console.print(by_rule if report.raised else "no alarm")
    lines = Table("raised", "lasted", "severity", "device", "rule", "reason", box=None, header_style="bold")
    for would in report.alarms[:MOST_LINES]:
        lasted = "stands" if would.ended_ms is None else _lasted(would.raised_ms, would.ended_ms)
        device = escape(would.device + (f"#{would.subject}" if would.subject else ""))
        lines.add_row(
            f"{from_ms(would.raised_ms):%m-%d %H:%M:%S}", lasted, would.severity, device, would.rule, would.reason
        )
    if report.alarms:
        console.print(lines)
    if sum(report.raised.values()) > MOST_LINES:
        console.print(f"the first {MOST_LINES} of {sum(report.raised.values())}; all of them with --json")


def _show_holes(report: Report, console: Console) -> None:
    for hole in report.holes[:MOST_HOLES]:
        whose = escape(f" of {hole.agent}") if hole.agent else ""
        lasted = _lasted(hole.from_ms, hole.until_ms)
        console.print(
            f"no record{whose} from {from_ms(hole.from_ms):%m-%d %H:%M:%S} for {lasted}: it counts for nobody"
        )
    if len(report.holes) > MOST_HOLES:
        silent = timedelta(milliseconds=report.silent_ms)
        console.print(f"and {len(report.holes) - MOST_HOLES} more holes; {silent} in all")


def _lasted(from_: int, until: int) -> str:
    return str(timedelta(milliseconds=until - from_))

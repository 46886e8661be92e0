"""`coldaisle rules`: check rule files and run their tests. Exit codes: 0 good, 1 something is wrong, 2 wrong usage."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from facility.severity import COLOURS, worst
from rules.files import LIBRARY, RuleErrors, library, load_rules, rule_paths
from rules.model import Rule, RuleSet
from rules.testing import CaseResult, run_files

# Piped output has no window to fit in: rule ids must come out whole for grep.
PIPE_WIDTH = 220

app = typer.Typer(no_args_is_help=True, help="Alarm rules: check files, run their tests.")

Paths = Annotated[
    list[Path] | None, typer.Argument(help="Rule files or folders; the shipped library when none is given.")
]


@app.callback()
def rules() -> None:
    """Alarm rules: check files, run their tests."""


@app.command()
def check(paths: Paths = None) -> None:
    """Read rule files and say everything that is wrong with them, or list their rules.

    They are read over the shipped rules, as an agent does; of those only the ones they change are listed.
    """
    console = Console()
    shipped = library() if paths else RuleSet()
    try:
        made = load_rules(paths or [LIBRARY], over=shipped)
    except RuleErrors as exc:
        _complain(exc)
        raise typer.Exit(1) from exc
    if paths and made.idle:
        errors = RuleErrors(list(made.idle))
        _complain(errors)
        raise typer.Exit(1) from errors
    found = [rule for rule in made if shipped.get(rule.id) is not rule]
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    table = Table("rule", "severity", "metric", "judges", "set", "revision", box=None, header_style="bold")
    for rule in found:
        table.add_row(
            rule.id, _severity(rule), rule.metric, escape(rule.summary()), rule.thresholds_set or "", rule.revision
        )
    console.print(table)
    count = len(rule_paths(paths or [LIBRARY]))
    console.print(f"[green]{len(found)} rules in {count} files, nothing wrong[/]")


@app.command("test")
def run_tests(paths: Paths = None) -> None:
    """Run the tests (*.test.yaml) beside rule files."""
    console = Console()
    try:
        results = run_files(paths or [LIBRARY])
    except RuleErrors as exc:
        _complain(exc)
        raise typer.Exit(1) from exc
    failed = [result for result in results if not result.passed]
    for result in failed:
        _show_failure(console, result)
    colour = "red" if failed else "green"
    console.print(f"[{colour}]{len(results) - len(failed)} of {len(results)} rule tests passed[/]")
    if failed:
        raise typer.Exit(1)


def _show_failure(console: Console, result: CaseResult) -> None:
    console.print(f"[red]failed[/] {escape(result.place)}: {escape(result.name)}", soft_wrap=True)
    for difference in result.differences:
        console.print(f"    {escape(difference)}", soft_wrap=True)


def _severity(rule: Rule) -> str:
    if rule.state is not None:
        severities = list(rule.state.values())
    elif rule.absent is not None:
        severities = [rule.absent.severity]
    else:
        severities = [level.severity for level in rule.thresholds]
    strongest = worst(severities)
    return f"[{COLOURS[strongest].replace('orange', 'dark_orange')}]{strongest}[/]"


def _complain(errors: RuleErrors) -> None:
    console = Console(stderr=True)
    for problem in errors.problems:
        console.print(escape(str(problem)), style="red", soft_wrap=True, highlight=False)
    count = len(errors.problems)
    console.print(f"{count} problem{'s' if count != 1 else ''}", style="bold red")

"""The command line. A sub-command is imported only when it is asked for, so an absent extra can name its install.

`coldaisle agent` on an edge machine never touches the web framework, and `coldaisle --help` starts at once.
"""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated

import typer

NEEDS_EXTRA = 3


@dataclass(frozen=True, slots=True)
class SubCommand:
    """The module whose `app` is the sub-command, the extra it needs ("" for none) and what it is for.

    more: a module whose `app` adds commands to it where what it needs is installed.
    """

    module: str
    extra: str
    help: str
    more: str = ""


SUB_COMMANDS: dict[str, SubCommand] = {
    "demo": SubCommand("coldaisle.demo.cli", "demo", "Run a simulated machine room, a broker, an agent and a server."),
    "drill": SubCommand("coldaisle.drill", "demo", "Cause a fault in the simulated room."),
    "simulator": SubCommand("simulator.cli", "demo", "A simulated machine room of its own, for drills and tests."),
    "agent": SubCommand("agent.cli", "agent", "The edge program: poll devices, judge alarms, keep and send."),
    "profile": SubCommand("collectors.profile_cli", "agent", "Device profiles: list, show, validate, replay a walk."),
    "rules": SubCommand("rules.cli", "", "Alarm rules: check, test, try over history.", "agent.backtest_cli"),
    "server": SubCommand(
        "server.cli", "server", "The centre: run, migrate, check, tokens and users.", "server.backtest_cli"
    ),
}
OUR_PACKAGES = {entry.module.partition(".")[0] for entry in SUB_COMMANDS.values()} | {"facility", "simulator"}


def main() -> None:
    """The console script."""
    build(sys.argv[1:])()


def build(arguments: Sequence[str]) -> typer.Typer:
    """The command with the sub-command that `arguments` name loaded, the others listed only."""
    wanted = next((word for word in arguments if not word.startswith("-")), None)
    app = typer.Typer(help="Watches data-centre machine rooms and looks after them.")
    app.callback(invoke_without_command=True)(_options)
    for name, entry in SUB_COMMANDS.items():
        app.add_typer(_load(name, entry) if name == wanted else typer.Typer(), name=name, help=entry.help)
    return app


def _options(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if show_version:
        typer.echo(version("coldaisle"))
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _load(name: str, entry: SubCommand) -> typer.Typer:
    try:
        module = importlib.import_module(entry.module)
    except ModuleNotFoundError as exc:
        # One of our own modules missing is a broken installation, not an absent extra: it must be seen as such.
        if exc.name is None or exc.name.partition(".")[0] in OUR_PACKAGES or not entry.extra:
            raise
        typer.echo(
            f"'coldaisle {name}' needs the extra [{entry.extra}] ({exc.name} is not installed). Install it with:\n"
            f"  pip install 'coldaisle[{entry.extra}]'",
            err=True,
        )
        sys.exit(NEEDS_EXTRA)
    app = module.app
    if entry.more:
        try:
            app.add_typer(importlib.import_module(entry.more).app)
        except ModuleNotFoundError as exc:
            if exc.name is None or exc.name.partition(".")[0] in OUR_PACKAGES:
                raise
    if not isinstance(app, typer.Typer):
        raise TypeError(f"{entry.module}.app is no Typer application")
    return app

"""`coldaisle demo`: everything at once, on this machine."""

import asyncio
import contextlib
import logging
import signal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.panel import Panel

from coldaisle.demo.app import Demo, Options, Say
from facility.clock import SystemClock

app = typer.Typer(help="Run a simulated machine room, a broker, an agent and a server.")
console = Console()


class _Terminal(Say):
    def where(self, facts: dict[str, Any]) -> None:
        password = facts["password"] or "(from the first run in this folder)"
        console.print(
            Panel(
                f"Pages    [bold]{facts['server_url']}[/]\n"
                f"Login    [bold]{facts['login']}[/]   password [bold]{password}[/]\n"
                f"API      {facts['server_url']}/api/v1   token in demo.json\n"
                f"Metrics  {facts['agent_metrics_url']}\n"
                f"Room     {facts['simulator_url']}   faults: coldaisle drill list",
                title="Coldaisle demo",
            )
        )

    def devices(self, seen: int, expected: int) -> None:
        style = "green" if seen == expected else "yellow"
        console.print(f"[{style}]{seen} of {expected} devices are seen by the centre.[/]")

    def fault(self, name: str, device: str) -> None:
        console.print(f"Fault caused: [bold]{name}[/] at [bold]{device}[/]. Waiting for the ticket ...")

    def ticket(self, ticket: dict[str, Any] | None, server_url: str) -> None:
        if ticket is None:
            console.print("[red]No ticket came within 60 s: see server.log and agent.log in the data folder.[/]")
            return
        console.print(f"[green]Ticket {ticket['number']}[/]: {ticket['title']}\n  {server_url}/tickets/{ticket['id']}")


@app.callback(invoke_without_command=True)
def demo(
    port: Annotated[int, typer.Option(help="Port of the pages; a free one when it is taken.")] = 8080,
    data: Annotated[Path, typer.Option(help="Folder of the demo's data and demo.json.")] = Path("demo-data"),
    exit_after: Annotated[float, typer.Option(help="End after so many seconds; 0 runs until Ctrl-C.")] = 0.0,
    no_fault: Annotated[bool, typer.Option("--no-fault", help="Cause no fault.")] = False,
    database_url: Annotated[str, typer.Option(help="postgresql://USER@HOST/NAME instead of the embedded SQLite.")] = "",
) -> None:
    """Simulated room, broker, one agent and a server on loopback, with one scripted fault."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    options = Options(folder=data.resolve(), port=port, database_url=database_url, with_fault=not no_fault)
    try:
        asyncio.run(_run(options, exit_after))
    except ExceptionGroup as group:
        expected, others = group.split((OSError, ValueError))
        if others is not None:
            raise others from None
        for error in expected.exceptions if expected else ():
            console.print(f"[red]{error}[/]")
        raise typer.Exit(1) from None
    except (OSError, ValueError) as error:
        console.print(f"[red]{error}[/]")
        raise typer.Exit(1) from None


async def _run(options: Options, exit_after: float) -> None:
    running = Demo(options, SystemClock(asyncio.sleep))
    task = asyncio.create_task(running.run(_Terminal()), name="demo")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    if exit_after:
        loop.call_later(exit_after, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task

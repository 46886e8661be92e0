"""`coldaisle simulator` and `python -m simulator`: run the room and show where its devices answer."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from simulator.app import RoomServer

app = typer.Typer(help="A simulated machine room on loopback.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """A simulated machine room on loopback: SNMP and Modbus devices with physics and faults."""


@app.command()
def run(
    http_port: Annotated[int, typer.Option(help="Port of the control API; 0 picks a free one.")] = 0,
    speed: Annotated[float, typer.Option(help="Physics acceleration; 1 is real time.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Same seed, same room.")] = 0,
    trap_sink: Annotated[str, typer.Option(help="HOST:PORT the UPS send their SNMP traps to.")] = "",
) -> None:
    """Run the room until interrupted, after printing where every device answers."""
    console = Console()
    try:
        asyncio.run(_run(console, http_port=http_port, speed=speed, seed=seed, trap_sink=_endpoint(trap_sink)))
    except (OSError, ValueError) as error:
        console.print(f"[red]The room cannot start:[/red] {error}")
        raise typer.Exit(1) from error


def _endpoint(text: str) -> tuple[str, int] | None:
    host, _, port = text.rpartition(":")
    if not text:
        return None
    if not host or not port.isdigit():
        raise ValueError(f"--trap-sink {text!r} is not HOST:PORT, such as 127.0.0.1:162")
    return host, int(port)


async def _run(console: Console, *, http_port: int, speed: float, seed: int, trap_sink: tuple[str, int] | None) -> None:
    # Before anything is printed: whoever reads the table may end the program at once.
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with RoomServer(http_port=http_port, speed=speed, seed=seed, trap_sink=trap_sink) as room:
        console.print(_table(room))
        console.print(f"Control API {room.url}   faults: coldaisle drill list --simulator {room.url}")
        await stop.wait()


def _table(room: RoomServer) -> Table:
    table = Table(title="Simulated machine room")
    for heading in ("id", "name", "family", "protocol", "address", "access"):
        table.add_column(heading)
    for device in room.devices:
        if device.protocol == "snmp":
            secrets = " ".join(f"{key}={value}" for key, value in device.credentials.items())
            access = f"{device.snmp_version} {secrets}"
        else:
            access = f"unit {device.unit}"
        table.add_row(device.id, device.name_en, device.family, device.protocol, f"{device.host}:{device.port}", access)
    return table

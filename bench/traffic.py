"""What a site costs on a 4G link: `python -m bench.traffic [--minutes 3] [--budget 500]`.

500 points (20 Modbus units of 25, values that drift) polled each 30 s by the true agent, a real mosquitto, a ledger
that answers as the centre does. A proxy between agent and broker counts the bytes of both directions as MQTT has them;
TCP/IP adds 40 bytes a segment, counted as one per read of the proxy plus one acknowledgement. A month is the measured
minutes, without the first, times what is left of 30 days. Without --budget: once without, once with a budget.
"""

import asyncio
import platform
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from facility.wire import Kind
from tests.agent.counting import write_profile
from tests.agent.ledger import Ledger
from tests.agent.running import running, write_config
from tests.collectors.speaking.gateway import Frame, Say, odd_gateway
from tests.support.mosquitto import Mosquitto

console = Console(width=140)
UNITS, POINTS = 20, 25
# IPv4 and TCP headers without options; a segment of data is answered by one without.
HEADERS = 40
WARM_S = 60.0
MONTH_S = 30 * 86_400


@dataclass
class Wire:
    """Bytes and segments through the proxy, both directions together."""

    payload: int = 0
    segments: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.payload + self.segments * 2 * HEADERS

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            self.payload += len(data)
            # A segment of a phone network carries some 1,400 bytes.
            self.segments += -(-len(data) // 1_400)
            writer.write(data)
        writer.close()


@asynccontextmanager
async def proxy(port: int, wire: Wire) -> AsyncIterator[int]:
    """A port that leads to the broker, counted."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        wire.writers += [writer, back]
        async with asyncio.TaskGroup() as group:
            group.create_task(wire.pass_on(reader, back))
            group.create_task(wire.pass_on(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for writer in wire.writers:
            writer.close()
        server.close()


def site(folder: Path, gateway: int, broker: int, budget: float | None) -> Path:
    profiles = write_profile(folder)
    path = profiles / "test" / "counter.yaml"
    profile: dict[str, Any] = yaml.safe_load(path.read_text())
    profile["points"] = profile["points"][:POINTS]
    path.write_text(yaml.safe_dump(profile, allow_unicode=True))
    uplink: dict[str, Any] = {"broker": f"mqtt://127.0.0.1:{broker}"}
    if budget is not None:
        uplink["budget_mb_month"] = budget
    devices = [
        {"id": f"unit-{i}", "profile": "test/counter", "address": "127.0.0.1", "port": gateway, "unit": i,
         "interval": "30s"} for i in range(1, UNITS + 1)
    ]  # fmt: skip
    return write_config(
        folder,
        devices=devices,
        profiles={"folders": [str(profiles)]},
        journal={"path": "journal.db", "group_commit": "1s"},
        uplink=uplink,
    )


async def measure(folder: Path, minutes: float, budget: float | None) -> tuple[str, ...]:
    chance, wire = random.Random(1), Wire()
    values: dict[int, list[int]] = {}

    async def reply(frame: Frame, say: Say) -> None:
        """Tenths of a degree: one in three polls a step of the sensor up or down."""
        row = values.setdefault(frame.unit, [chance.randint(180, 300) for _ in range(POINTS)])
        row[:] = [each + chance.choice((0, 0, 0, 0, 1, -1)) for each in row]
        await say(frame.answer(values=row[: frame.count]))

    with Mosquitto(folder / "mosquitto") as broker:
        async with (
            Ledger(broker.host, broker.port) as ledger,
            odd_gateway(reply) as (port, _),
            proxy(broker.port, wire) as way,
            running(site(folder, port, way, budget)) as agent,
        ):
            await asyncio.sleep(WARM_S)
            began, payload, segments, blocks = wire.total, wire.payload, wire.segments, len(ledger.blocks)
            cpu = time.process_time()
            await asyncio.sleep(minutes * 60)
            spent, cpu = wire.total - began, time.process_time() - cpu
            sent = len(ledger.blocks) - blocks
            kinds = [header["kind"] for header, _ in ledger.blocks.values()]
            thinned = agent.figures.thinned
            around = (spent - _bodies(ledger, blocks)) / max(sent, 1)
            of_mqtt, of_tcp = wire.payload - payload, (wire.segments - segments) * 2 * HEADERS
    month = MONTH_S / (minutes * 60) / 1e6
    return (
        "none" if budget is None else f"{budget:g}", f"{spent * month:,.0f}", f"{of_mqtt * month:,.0f}",
        f"{of_tcp * month:,.0f}", str(sent), f"{kinds.count(Kind.READINGS)} of {len(kinds)}", f"{around:,.0f}",
        str(thinned), f"{cpu:.1f}",
    )  # fmt: skip


def _bodies(ledger: Ledger, since: int) -> int:
    """Bytes of the measured blocks as the agent made them."""
    return sum(ledger.sizes[name] for name in list(ledger.blocks)[since:])


def main(
    minutes: Annotated[float, typer.Option(help="Measured, after a minute of warming up.")] = 3.0,
    budget: Annotated[float | None, typer.Option(help="MB a month; default: without, then with 500.")] = None,
) -> None:
    title = f"{UNITS * POINTS} points each 30 s, coldaisle {version('coldaisle')}, Python {platform.python_version()}"
    table = Table(
        "budget", "MB a month", "of it MQTT", "of it TCP/IP", "blocks", "readings blocks", "B around a block",
        "thinned", "CPU s", title=title,
    )  # fmt: skip
    for each in [None, 500.0] if budget is None else [budget]:
        with tempfile.TemporaryDirectory(prefix="coldaisle-traffic-") as folder:
            table.add_row(*asyncio.run(measure(Path(folder), minutes, each)))
    console.print(table)


if __name__ == "__main__":
    typer.run(main)

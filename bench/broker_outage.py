"""The broker is away for minutes under 500 values a second and the true agent is killed in between: what is lost?

`python bench/broker_outage.py [--outage 120] [--units 10] [--registers 50]`. A Modbus gateway counts the reads of each
unit and answers that count in every register: an independent counter per point. True mosquitto, agent and server run as
programs. Afterwards each point's history must hold every count once; a hole is a lost reading. Prints one table.
"""

import argparse
import asyncio
import json
import platform
import re
import signal
import sqlite3
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from coldaisle.demo.ports import choose

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
WARM_S, DRAIN_LIMIT_S = 20.0, 120.0


@dataclass(slots=True)
class Counting:
    """A unit that answers, in every register, how often it was read."""

    reads: int = 0

    async def action(
        self, function: int, start: int, address: int, count: int, registers: list[int], written: object
    ) -> ExcCodes | None:
        if written is None:
            self.reads += 1
            registers[:] = [self.reads % 65536] * len(registers)
        return None


@asynccontextmanager
async def gateway(units: dict[int, Counting], registers: int) -> AsyncIterator[int]:
    data = [SimData(0, values=[0] * (registers + 1), datatype=DataType.REGISTERS)]
    devices = [SimDevice(number, simdata=data, action=unit.action) for number, unit in units.items()]
    server = ModbusTcpServer(devices, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        listening: Any = server.transport
        yield listening.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]


def write_site(folder: Path, port: int, units: int, registers: int, broker: int, metrics: int) -> Path:
    profiles = folder / "profiles" / "bench"
    profiles.mkdir(parents=True)
    profile = {
        "title": {"en": "Counting unit", "zh": "计数单元"}, "vendor": "bench", "model": "counting", "kind": "meter",
        "protocol": "modbus", "maturity": "verified", "provenance": "made for this measurement", "interval": 1,
        "modbus": {"gap": 0, "max_block": 125},
        "points": [{"metric": f"unmapped.bench.r{number:03d}", "from": {"input": number, "type": "u16"}}
                   for number in range(registers)],
    }  # fmt: skip
    (profiles / "counting.yaml").write_text(yaml.safe_dump(profile, allow_unicode=True))
    site = {
        "version": 1, "site": "bench", "agent": "edge-1",
        "devices": [{"id": f"unit-{number}", "profile": "bench/counting", "address": "127.0.0.1", "port": port,
                     "unit": number, "interval": "1s"} for number in range(1, units + 1)],
        "profiles": {"folders": [str(folder / "profiles")]},
        "polling": {"max_rate": 1000},  # the broker is measured, not the gateway
        "journal": {"path": str(folder / "journal.db")},
        "uplink": {"broker": f"mqtt://127.0.0.1:{broker}"},
        "http": {"port": metrics},
    }  # fmt: skip
    path = folder / "agent.yaml"
    path.write_text(yaml.safe_dump(site))
    return path


class Programs:
    """mosquitto, server and agent, each by name."""

    def __init__(self, folder: Path, broker: int) -> None:
        self.folder = folder
        self.running: dict[str, asyncio.subprocess.Process] = {}
        (folder / "mosquitto.conf").write_text(f"listener {broker} 127.0.0.1\nallow_anonymous true\n")

    async def start(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)

    async def end(self, name: str, how: signal.Signals) -> None:
        process = self.running.pop(name)
        process.send_signal(how)
        await process.wait()

    async def start_broker(self) -> None:
        await self.start("mosquitto", "mosquitto", "-c", str(self.folder / "mosquitto.conf"))

    async def start_agent(self, config: Path) -> None:
        await self.start("agent", sys.executable, "-m", "coldaisle", "agent", "run", "--config", str(config))


async def figure(port: int, name: str) -> float:
    """The sum of a metric's series; -1 while the agent does not answer."""

    def read() -> float:
        try:
            with DIRECT.open(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return -1.0
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))

    return await asyncio.to_thread(read)


async def drained(port: int) -> float:
    """Seconds until nothing is unsent but what is on its way."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() - began < DRAIN_LIMIT_S:
        if 0 <= await figure(port, "coldaisle_agent_unsent_blocks") <= 3:
            return loop.time() - began
        await asyncio.sleep(0.5)
    return float("inf")


def count_history(folder: Path) -> dict[str, list[int]]:
    """Every value of every counting point, by point, in order of time."""
    query = (
        "SELECT s.point, r.value FROM history_readings r JOIN history_series s ON s.id = r.series"
        " JOIN central.points p ON p.id = s.point"
        " WHERE p.metric LIKE 'unmapped.bench.%' AND r.value IS NOT NULL ORDER BY 1, r.taken_at"
    )
    found: dict[str, list[int]] = {}
    with sqlite3.connect(folder / "history.db") as connection:
        connection.execute("ATTACH ? AS central", (str(folder / "main.db"),))
        for point, value in connection.execute(query):
            found.setdefault(point, []).append(int(value))
    return found


def unclean_stops(folder: Path) -> list[str]:
    """What the centre was told of the kill: the stated bound of each."""
    with sqlite3.connect(folder / "main.db") as connection:
        rows = connection.execute("SELECT payload FROM agent_events WHERE kind = 'journal'").fetchall()
    told = [json.loads(row[0]) for row in rows]
    return [each["lost_at_most_s"] for each in told if each.get("what") == "unclean_stop"]


async def measure(options: argparse.Namespace, folder: Path) -> None:
    broker, metrics, http = choose(18930), choose(19470), choose(18980)
    units = {number: Counting() for number in range(1, options.units + 1)}
    programs = Programs(folder, broker)
    environment = ["env", f"COLDAISLE_SERVER_MQTT__PORT={broker}", "COLDAISLE_SERVER_MQTT__HOST=127.0.0.1",
                   "COLDAISLE_SERVER_MQTT__AUTO_ENROL=true"]  # fmt: skip
    async with gateway(units, options.registers) as port:
        config = write_site(folder, port, options.units, options.registers, broker, metrics)
        await programs.start_broker()
        await programs.start("server", *environment, sys.executable, "-m", "coldaisle", "server", "run",
                             "--data-dir", str(folder / "server"), "--port", str(http))  # fmt: skip
        await programs.start_agent(config)
        await asyncio.sleep(WARM_S)
        await programs.end("mosquitto", signal.SIGKILL)
        await asyncio.sleep(options.outage / 2)
        await programs.end("agent", signal.SIGKILL)
        await programs.start_agent(config)
        await asyncio.sleep(options.outage / 2)
        backlog = await figure(metrics, "coldaisle_agent_unsent_blocks")
        await programs.start_broker()
        seconds = await drained(metrics)
        dropped = await figure(metrics, "coldaisle_agent_dropped_total")
        # A graceful end commits what the agent still gathers and sends it; what remains unsent is in its journal.
        await asyncio.sleep(5)
        await programs.end("agent", signal.SIGTERM)
        await asyncio.sleep(2)
        await programs.end("server", signal.SIGTERM)
        await programs.end("mosquitto", signal.SIGTERM)
    said = unclean_stops(folder / "server")
    report(options, count_history(folder / "server"), backlog, seconds, dropped, said)


def report(
    options: argparse.Namespace,
    history: dict[str, list[int]],
    backlog: float,
    seconds: float,
    dropped: float,
    said: list[str],
) -> None:
    steps = {point: [later - earlier for earlier, later in pairwise(values)] for point, values in history.items()}
    per_point = [sum(step - 1 for step in found if step > 1) for found in steps.values()]
    lost, doubled = sum(per_point), sum(1 for found in steps.values() for step in found if step < 1)
    stored = sum(len(values) for values in history.values())
    rows = {
        "values a second": options.units * options.registers,
        "broker away s": options.outage,
        "points": len(history),
        "values in history": stored,
        "lost (holes in the counts)": lost,
        "lost per point, worst": max(per_point, default=0),
        "kills the centre was told of": f"{len(said)}, each losing at most {', '.join(said)} s",
        "stored twice": doubled,
        "counted as dropped by the agent": round(dropped),
        "backlog at return, blocks": round(backlog),
        "backlog gone after s": round(seconds, 1),
    }
    print(f"coldaisle {version('coldaisle')}, Python {platform.python_version()}, {platform.machine()}")
    for name, value in rows.items():
        print(f"{name:<34} {value}")
    print(json.dumps(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outage", type=float, default=120.0)
    parser.add_argument("--units", type=int, default=10)
    parser.add_argument("--registers", type=int, default=50)
    with tempfile.TemporaryDirectory(prefix="coldaisle-outage-") as folder:
        asyncio.run(measure(parser.parse_args(), Path(folder)))


if __name__ == "__main__":
    main()

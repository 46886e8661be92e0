"""Many SNMP devices, some of them dead: what share of their cycles do the living keep, and what does it cost?

`python -m bench.snmp_dead [--devices 300] [--dead 30] [--seconds 60] [--interval 10] [--v3]`. The true agent, whole
(poll, convert, judge, journal), on as many loopback addresses; net-snmp's agent answers at the living ones in a process
of its own, a socket that says nothing is bound at the dead ones. A cycle is kept when it brought every value.
"""

import argparse
import asyncio
import os
import platform
import resource
import socket
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from agent.app import build
from agent.site import read_site
from collectors.exchange import PollOutcome
from collectors.schedule import TICK_MS, missed_slots
from facility.clock import SystemClock, now_ms
from tests.support.peers import free_port, require
from tests.support.snmpd import Snmpd

VALUES = 20
ROOT = "1.3.6.1.4.1.99999.1"
ENVIRON = {"COMMUNITY": "public"}


class ManyAddresses(Snmpd):
    """One agent that listens at many addresses."""

    def __init__(self, folder: Path, addresses: list[str], port: int) -> None:
        served = [(f"{ROOT}.{number}.0", "integer", 200 + number) for number in range(VALUES)]
        super().__init__(folder, overrides=served, port=port)
        self._config.write_text(self._config.read_text() + "rocommunity public 127.0.0.0/8\n")
        self.command = self.command[:-1] + [f"udp:{address}:{port}" for address in (self.host, *addresses)]


def write_site(folder: Path, addresses: list[str], port: int, *, interval_s: int, user: Any) -> Path:
    """An agent.yaml with a device at each address, d0, d1, ..., and a profile of `VALUES` temperatures."""
    profile = {
        "title": {"en": "Bench", "zh": "台架"},
        "vendor": "Bench",
        "model": "Twenty",
        "kind": "environment",
        "protocol": "snmp",
        "maturity": "documented",
        "provenance": "made for a measurement",
        "points": [
            {
                "metric": "room.temperature",
                "subject": f"probe/{number}",
                "from": {"oid": f"{ROOT}.{number}.0", "unit": "Cel", "scale": 0.1},
            }
            for number in range(VALUES)
        ],
    }
    (folder / "profiles" / "bench").mkdir(parents=True)
    (folder / "profiles" / "bench" / "twenty.yaml").write_text(yaml.safe_dump(profile, allow_unicode=True))
    credentials: dict[str, Any] = {"snmp": "v2c", "community": {"env": "COMMUNITY"}}
    if user is not None:
        credentials = {
            "snmp": "v3",
            "user": user.name,
            "auth": "sha256",
            "auth_password": {"env": "AUTH"},
            "priv": "aes128",
            "priv_password": {"env": "PRIV"},
        }
    config = {
        "version": 1,
        "site": "bench",
        "agent": "edge-1",
        "credentials": {"all": credentials},
        "profiles": {"folders": ["profiles"]},
        "journal": {"path": "journal.db"},
        "http": {"port": 0},
        "devices": [
            {
                "id": f"d{number}",
                "profile": "bench/twenty",
                "address": address,
                "port": port,
                "credentials": "all",
                "interval": f"{interval_s}s",
            }
            for number, address in enumerate(addresses)
        ],
    }
    path = folder / "agent.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


async def measure(
    config: Path, environ: dict[str, str], *, devices: int, seconds: int, interval_s: int
) -> dict[str, Any]:
    """Polls of the agent in the window, which begins when every device has been asked once."""
    clock = SystemClock(asyncio.sleep)
    kept: Counter[str] = Counter()
    problems: Counter[str] = Counter()
    requests = 0
    counting = False
    agent = build(read_site(config, environ=environ), clock=clock)
    async with agent:
        take = agent._poller._take

        def count(outcome: PollOutcome) -> None:
            nonlocal requests
            take(outcome)
            if counting:
                good = sum(reading.good for reading in outcome.readings)
                kept[outcome.device] += outcome.problem is None and good == VALUES + 1
                problems[str(outcome.problem or "answered")] += 1
                requests += outcome.requests

        agent._poller._take = count
        task = asyncio.create_task(agent.run())
        # Three intervals: keys are derived, catalogs written, the dead found out.
        await asyncio.sleep(3 * interval_s)
        # Half a tick off the ticks, so that a window holds whole ones.
        await asyncio.sleep((1.5 * TICK_MS - now_ms(clock) % TICK_MS) / 1000)
        counting, first, cpu, wall = True, now_ms(clock) // TICK_MS, time.process_time(), time.monotonic()
        await asyncio.sleep(seconds)
        counting, last = False, now_ms(clock) // TICK_MS
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    slots = {
        f"d{number}": missed_slots(f"d{number}", interval_s * 1000, after=first, until=last + 1)
        for number in range(devices)
    }
    return {"kept": kept, "slots": slots, "problems": problems, "requests": requests, "cpu": cpu, "wall": wall}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=300)
    parser.add_argument("--dead", type=int, default=30)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--interval", type=int, default=10)
    parser.add_argument("--v3", action="store_true", help="SHA-256 and AES-128 in place of v2c")
    asked = parser.parse_args()
    addresses = [f"127.0.{1 + number // 200}.{1 + number % 200}" for number in range(asked.devices)]
    every = asked.devices // asked.dead if asked.dead else asked.devices + 1
    dead = {number for number in range(asked.devices) if number % every == every - 1}
    port = free_port("udp")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        living = [address for number, address in enumerate(addresses) if number not in dead]
        agent = stack.enter_context(ManyAddresses(folder / "snmpd", living, port))
        for number in dead:
            silent = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            silent.bind((addresses[number], port))
        environ = ENVIRON | {"AUTH": agent.v3.auth_password, "PRIV": agent.v3.priv_password}
        config = write_site(folder, addresses, port, interval_s=asked.interval, user=agent.v3 if asked.v3 else None)
        found = asyncio.run(
            measure(config, environ, devices=asked.devices, seconds=asked.seconds, interval_s=asked.interval)
        )
    slots = sum(count for device, count in found["slots"].items() if int(device[1:]) not in dead)
    kept = sum(count for device, count in found["kept"].items() if int(device[1:]) not in dead)
    spoken = subprocess.run([require("snmpd"), "-v"], capture_output=True, text=True, check=True).stdout.split()[2]
    print(
        f"python {platform.python_version()}, gufo-snmp {version('gufo-snmp')}, snmpd {spoken}, {os.cpu_count()} cores"
    )
    print(f"{asked.devices} devices x {VALUES} values every {asked.interval} s, {len(dead)} dead, {asked.seconds} s, "
          f"{'v3 authPriv' if asked.v3 else 'v2c'}")  # fmt: skip
    print(f"cycles of the living kept whole: {kept} of {slots} ({100 * kept / slots:.2f} %)")
    print(f"polls: {dict(found['problems'])}, requests {found['requests']}")
    cost, peak = 10_000 * found["cpu"] / (kept * VALUES), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"CPU {found['cpu']:.2f} s in {found['wall']:.0f} s: {cost:.3f} s per 10,000 values; peak memory {peak} MiB")


if __name__ == "__main__":
    main()

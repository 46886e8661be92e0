"""How long 30 days of history take through the rules: `python -m bench.backtest [--days 30] [--units 20]`.

Writes a journal as an agent's stands after merging (blocks of up to 5,000 values), then runs `coldaisle rules
backtest` on it as a user would.
"""

import argparse
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import yaml

from agent.journal import Store
from agent.journal.block import Draft, seal_draft
from agent.journal.packing import MAX_PACKED
from facility.catalog import Catalog, CatalogDevice, CatalogPoint
from facility.ids import new_id
from facility.reading import Reading
from facility.wire import Kind

BEGIN_MS = 1_790_000_000_000
SENSORS = ("room.temperature", "room.humidity")
# What numbers of the shipped rules are made of: judged poll by poll, not by the column.
UNIT = ("crac.supply_air.temperature", "crac.return_air.temperature")


def write(folder: Path, days: int, points: int, units: int, step_s: int) -> int:
    """points: in all; units: how many air conditioners are among the devices, three points each."""
    cracs = [f"crac-{number:02d}" for number in range(units)]
    devices = [f"th-{number:03d}" for number in range((points - 3 * units) // len(SENSORS))]
    site = {
        "version": 1, "site": "bench", "agent": "edge-1", "journal": {"path": "journal.db"},
        "devices": [{"id": device, "profile": "generic/xy-md02", "address": "127.0.0.1", "unit": 1, "port": 1502 + i,
                     "zone": "cold-aisle", "interval": f"{step_s}s"} for i, device in enumerate(devices)]
        + [{"id": device, "profile": "santak/scc-modbus", "address": "127.0.0.2", "unit": 1, "port": 1502 + i,
            "room": "hall", "interval": f"{step_s}s"} for i, device in enumerate(cracs)],
        "rooms": [{"id": "hall"}],
    }  # fmt: skip
    (folder / "agent.yaml").write_text(yaml.safe_dump(site))
    store = Store(folder / "journal.db", max_bytes=1 << 40, max_age_ms=1 << 50)
    store.open()
    catalog = Catalog("1", devices=tuple(
        CatalogDevice(device, kind, points=tuple(CatalogPoint(metric) for metric in metrics))
        for kind, names, metrics in (("sensor", devices, SENSORS), ("crac", cracs, ("crac.state", *UNIT)))
        for device in names
    ))  # fmt: skip
    stream, seq = new_id(BEGIN_MS), 0

    def number() -> int:
        nonlocal seq
        seq += 1
        return seq

    def put(kind: Kind, items: list[object], first: int, last: int, names: str = "") -> None:
        blocks, _ = seal_draft(Draft(kind, items, first, last, "", names), stream=stream, number=number, now_ms=last)
        store.commit(blocks, now_ms=BEGIN_MS)

    put(Kind.CATALOG, [catalog], BEGIN_MS, BEGIN_MS, catalog.digest())
    made = 0
    per_block = max(1, MAX_PACKED // points)
    for block in range(days * 86400 // (per_block * step_s)):
        readings: list[object] = []
        for i in range(block * per_block, (block + 1) * per_block):
            at = BEGIN_MS + i * step_s * 1000
            day = 2 * math.pi * (i * step_s % 86400) / 86400
            for n, device in enumerate(devices):
                # Every hundredth aisle swings through its limit once a day.
                swing = 4.0 if n % 100 == 0 else 1.0
                readings.append(Reading(device, SENSORS[0], "", round(23.5 + swing * math.sin(day + n), 1), at + n))
                readings.append(Reading(device, SENSORS[1], "", round(45 + 3 * math.cos(day + n), 1), at + n))
            for n, device in enumerate(cracs):
                taken = at + len(devices) + n
                readings.append(
                    Reading(device, "crac.state", "", "standby" if (i // 600 + n) % 4 == 0 else "on", taken)
                )
                readings += [
                    Reading(device, metric, "", round(warm + math.sin(day + n), 1), taken)
                    for metric, warm in zip(UNIT, (15.0, 24.0), strict=True)
                ]
        made += len(readings)
        width = per_block * step_s * 1000
        put(Kind.READINGS, readings, BEGIN_MS + block * width, BEGIN_MS + (block + 1) * width - 1)
    store.close()
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--units", type=int, default=0, help="air conditioners among the devices, three points each")
    parser.add_argument("--step", type=int, default=60, help="seconds between two readings of a point")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coldaisle-backtest-") as name:
        folder = Path(name)
        made = write(folder, options.days, options.points, options.units, options.step)
        size = (folder / "journal.db").stat().st_size
        began, spent = time.monotonic(), os.times()
        command = [sys.executable, "-m", "coldaisle", "rules", "backtest", "-c", str(folder / "agent.yaml")]
        shown = subprocess.run([*command, "--days", str(options.days)], check=True, capture_output=True, text=True)
        seconds, after = time.monotonic() - began, os.times()
        cpu = after.children_user + after.children_system - spent.children_user - spent.children_system
    print(f"coldaisle {version('coldaisle')}, Python {platform.python_version()}, {platform.machine()}")
    print(shown.stdout.splitlines()[0])
    print(f"{made:,} readings, {size / made:.2f} bytes each on disk: {seconds:.1f} s, CPU {cpu:.1f} s, "
          f"{made / seconds:,.0f} readings/s")  # fmt: skip


if __name__ == "__main__":
    main()

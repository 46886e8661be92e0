"""How fast the journal takes and gives back: `python -m bench.journal [--values 500000]`.

500 points whose values drift as a room's do, through the true `Journal` on this machine's disk: taken and committed
with `synchronous=FULL` in groups of so many values, small blocks merged as the running journal does (not yet sent, as
when the centre is away), then offered as the outbox does, unpacked and decoded to readings. CPU seconds are this
process's; bytes are what the file's pages hold a value, without merging and with it.
"""

import asyncio
import platform
import random
import sqlite3
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from agent.journal import BlockState, InlineOffload, Journal, Store
from facility.clock import ManualClock, from_ms, now_ms
from facility.ids import new_id
from facility.items import decode_series
from facility.reading import Reading
from facility.wire import Kind, decode

console = Console(width=130)
START = from_ms(1_790_000_000_000)
POINTS = 500
DEVICES = 20


def drifting(chance: random.Random) -> list[float]:
    return [round(20 + chance.random() * 10, 1) for _ in range(POINTS)]


async def append(journal: Journal, clock: ManualClock, values: int, group: int, *, merging: bool) -> None:
    """`values` readings, each point read each 10 s of the journal's clock, `group` of them in one commit."""
    chance = random.Random(1)
    now = drifting(chance)
    taken = 0
    while taken < values:
        readings = []
        for _ in range(group):
            point = taken % POINTS
            if point == 0:
                clock.advance(10)
            # One step of the sensor's resolution in three polls.
            now[point] = round(now[point] + chance.choice((0, 0, 0.1, -0.1, 0, 0)), 1)
            device, probe = divmod(point, POINTS // DEVICES)
            readings.append(
                Reading(f"unit-{device}", "room.temperature", f"probe/{probe}", now[point], now_ms(clock) + point)
            )
            taken += 1
        journal.take(readings)
        await journal.commit()
        if merging:
            await journal.merge()


async def replay(journal: Journal) -> int:
    """Every unsent block, a window at a time, down to readings, and answered for."""
    given = 0
    while blocks := await journal.unsent(Kind.READINGS, limit=28):
        for each in blocks:
            series, refused = decode_series(decode(each.block.payload()).items, now_ms=1 << 60)
            assert not refused
            given += sum(len(one.readings()) for one in series)
            journal.settle(each.block.key, BlockState.COMMITTED)
        await journal.commit()
    return given


async def measure(folder: Path, values: int, group: int) -> tuple[str, ...]:
    # What making readings costs is not the journal's.
    began, cpu = time.perf_counter(), time.process_time()
    await append(_Nowhere(), ManualClock(START), values, group, merging=False)
    making, making_cpu = time.perf_counter() - began, time.process_time() - cpu
    plain = await kept(folder / "plain.db", values, group)
    clock = ManualClock(START)
    journal = await opened(folder / "journal.db", clock)
    began, cpu = time.perf_counter(), time.process_time()
    await append(journal, clock, values, group, merging=True)
    took, took_cpu = time.perf_counter() - began - making, time.process_time() - cpu - making_cpu
    used = journal.stats().used_bytes
    began, cpu = time.perf_counter(), time.process_time()
    given = await replay(journal)
    gave, gave_cpu = time.perf_counter() - began, time.process_time() - cpu
    await journal.close()
    assert given == values
    return (
        f"{group:,}", f"{values / took:,.0f}", f"{took_cpu / values * 1e6:.1f}", f"{values / gave:,.0f}",
        f"{gave_cpu / values * 1e6:.1f}", f"{plain / values:.1f}", f"{used / values:.1f}",
    )  # fmt: skip


async def opened(path: Path, clock: ManualClock) -> Journal:
    store = Store(path, max_bytes=8 << 30, max_age_ms=3650 * 86_400_000)
    journal = Journal(store, clock=clock, offload=InlineOffload(), new_id=new_id)
    await journal.open()
    return journal


async def kept(path: Path, values: int, group: int) -> int:
    """Bytes of a journal that merges nothing."""
    clock = ManualClock(START)
    journal = await opened(path, clock)
    await append(journal, clock, values, group, merging=False)
    used = journal.stats().used_bytes
    await journal.close()
    return used


class _Nowhere(Journal):
    """Takes and forgets."""

    def __init__(self) -> None:
        pass

    def take(self, readings: object) -> None:
        pass

    async def commit(self, *, readings: bool = True) -> None:
        pass


def main(values: Annotated[int, typer.Option(help="Readings in each run.")] = 500_000) -> None:
    programs = f"SQLite {sqlite3.sqlite_version}, Python {platform.python_version()}, coldaisle {version('coldaisle')}"
    title = f"journal: {programs}"
    table = Table("values a commit", "append/s", "CPU us", "replay/s", "CPU us", "unmerged B", "B a value", title=title)
    for group in (20, 50, 200, 1_000, 5_000):
        with tempfile.TemporaryDirectory(prefix="coldaisle-journal-") as folder:
            table.add_row(*asyncio.run(measure(Path(folder), values, group)))
    console.print(table)


if __name__ == "__main__":
    typer.run(main)

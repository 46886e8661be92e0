"""A journal whose disk is really full for an hour: a small file system of its own, filled to the last byte."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.journal import DropReason, InlineOffload, Journal, Store
from facility.clock import SystemClock, now_ms
from facility.ids import new_id
from facility.items import EventItem, EventKind
from facility.reading import Reading
from facility.wire import Kind
from tests.agent.journals import MIB, START
from tests.support.virtual_loop import run_virtual

MEMORY_BYTES = 256 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small tmpfs needs root and is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass


async def hour(folder: Path) -> None:
    loop = asyncio.get_running_loop()
    clock = SystemClock(asyncio.sleep, monotonic=loop.time, wall=lambda: START)
    store = Store(folder / "j.db", max_bytes=64 * MIB, max_age_ms=86_400_000)
    journal = Journal(store, clock=clock, offload=InlineOffload(), new_id=new_id, memory_bytes=MEMORY_BYTES)
    await journal.open()
    running = asyncio.create_task(journal.run())
    taken = events = 0

    async def seconds(count: int) -> None:
        nonlocal taken, events
        for second in range(count):
            at = now_ms(clock)
            noise = os.urandom(20).hex()
            journal.take([Reading(f"unit-{i}", "room.temperature", "", 21.5, at, raw=f"{i}{noise}") for i in range(20)])
            taken += 20
            if second % 60 == 0:
                item = EventItem(new_id(at), at, EventKind.JOURNAL, "", {"n": str(events)})
                journal.append(Kind.EVENTS, [item], at=at)
                events += 1
            await asyncio.sleep(1.0)

    await seconds(30)
    assert not journal.stats().degraded
    fill(folder / "filler")
    await seconds(3600)
    stats = journal.stats()
    assert stats.degraded
    assert stats.memory_bytes <= MEMORY_BYTES
    assert len(await journal.unsent(Kind.EVENTS, limit=1000)) > 0, "the centre is told all the while"
    (folder / "filler").unlink()
    freed = loop.time()
    while journal.stats().degraded:
        await asyncio.sleep(1.0)
        assert loop.time() - freed < 60, "it heals without hands"
    await seconds(5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await journal.commit()
    kept = sum(each.block.count for each in await journal.unsent(Kind.READINGS, limit=100_000))
    told = sum(each.block.count for each in await journal.unsent(Kind.EVENTS, limit=100_000))
    assert told == events, "no event was lost for a reading"
    assert kept + journal.stats().drops[DropReason.MEMORY_FULL] == taken, "every reading is there or counted"
    assert all(each.position for each in await journal.unsent(Kind.EVENTS, limit=100_000))
    await journal.close()


def test_an_hour_on_a_full_disk_costs_counted_readings_only(small_disk: Path) -> None:
    run_virtual(hour(small_disk))

"""A journal whose disk is really full for an hour: a small file system of its own, filled to the last byte."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.app import Agent
from agent.journal import DropReason, InlineOffload, Journal, Store
from agent.uplink import LAST_S
from facility.alarms import AlarmEventKind
from facility.clock import SystemClock, now_ms, to_ms
from facility.ids import new_id
from facility.items import EventItem, EventKind, decode_alarms, decode_events
from facility.reading import Reading
from facility.wire import Kind, decode
from tests.agent.journals import MIB, START
from tests.agent.ledger import Ledger
from tests.agent.running import running, write_config
from tests.agent.test_clock_guard import Machine, booted, configured, poll
from tests.support.mosquitto import Mosquitto
from tests.support.peers import until_async
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


async def said(agent: Agent) -> list[dict[str, str]]:
    """What the journal tells operators."""
    await agent.journal.commit()
    blocks = await agent.journal.unsent(Kind.EVENTS, limit=1000)
    items = [item for each in blocks for item in decode_events(decode(each.block.payload()).items)[0]]
    return [dict(item.detail) for item in items if item.kind is EventKind.JOURNAL]


async def alarm_kinds(agent: Agent) -> list[AlarmEventKind]:
    blocks = await agent.journal.unsent(Kind.ALARMS, limit=1000)
    items = [item for each in blocks for item in decode_alarms(decode(each.block.payload()).items)[0]]
    return [item.event.kind for item in items if item.event is not None]


def contents(folder: Path) -> dict[Path, bytes]:
    """The journal's files as a kill in this moment would leave them."""
    return {path: path.read_bytes() for path in folder.glob("journal.db*")}


def put_back(folder: Path, files: dict[Path, bytes]) -> None:
    for path in folder.glob("journal.db*"):
        path.unlink()
    for path, content in files.items():
        path.write_bytes(content)


@pytest.mark.parametrize("stopped", ["killed", "stopped while full", "stopped before"])
async def test_a_start_on_a_full_disk_knows_what_stands(small_disk: Path, stopped: str) -> None:
    machine = Machine(wall=START)
    config = configured(small_disk, hold="0s")
    async with booted(config, machine) as agent:
        machine.pass_time(10)
        poll(agent, machine, 60.0)
        await agent.journal.commit()
        standing = agent.engine.active()
        assert len(standing) == 1
        if stopped == "stopped while full":
            fill(small_disk / "filler")
            machine.pass_time(10)
        files = contents(small_disk)
    if stopped == "killed":
        put_back(small_disk, files)
    fill(small_disk / "filler")
    machine.pass_time(60)
    async with booted(config, machine) as agent:
        assert agent.journal.stats().degraded
        assert agent.engine.active() == standing
        poll(agent, machine, 60.0)
        await agent.journal.commit()
        assert await alarm_kinds(agent) == [], "it is not raised anew"
        poll(agent, machine, 20.0)
        await agent.journal.commit()
        assert await alarm_kinds(agent) == [AlarmEventKind.ENDED], "and its end is not lost"
        kept = [each["saved_at"] for each in await said(agent) if each["what"] == "rule_state_kept"]
        assert kept == [str(to_ms(START) + 10_000)], "who reads it knows from when on it is judged anew"
        (small_disk / "filler").unlink()
        machine.pass_time(10)
        await agent.journal.commit()
        assert not agent.journal.stats().degraded
        assert await alarm_kinds(agent) == [AlarmEventKind.RAISED, AlarmEventKind.ENDED], "nothing was lost by looking"


async def test_a_start_that_cannot_read_what_stood_says_so(small_disk: Path) -> None:
    machine = Machine(wall=START)
    config = configured(small_disk, hold="0s")
    async with booted(config, machine) as agent:
        poll(agent, machine, 60.0)
        await agent.journal.commit()
    journal = small_disk / "journal.db"
    journal.write_bytes(b"no database at all" * 1000)
    fill(small_disk / "filler")
    async with booted(config, machine) as agent:
        assert agent.engine.active() == []
        (told,) = [each for each in await said(agent) if each["what"] == "rule_state_lost"]
        assert "not a database" in told["cause"]


@pytest.mark.peer("mosquitto")
@pytest.mark.parametrize("taken", [True, False])
async def test_a_stop_on_a_full_disk_tells_the_centre_before_its_goodbye(
    small_disk: Path, mosquitto: Mosquitto, taken: bool
) -> None:
    # Far more than the WAL has room for in place of what it holds.
    noise = [os.urandom(400).hex() for _ in range(2000)]

    def judge(header: dict[str, Any], items: list[Any]) -> dict[str, Any] | None:
        return {"verdict": "committed"} if taken or header["kind"] != "events" or "full" not in str(items) else None

    async with Ledger(mosquitto.host, mosquitto.port, judge) as ledger:
        async with running(write_config(small_disk, broker=mosquitto.url, devices=[])) as agent:
            await until_async(lambda: bool(ledger.items("health")))
            fill(small_disk / "filler")
            at = now_ms(SystemClock(asyncio.sleep))
            items = [EventItem(new_id(at), at, EventKind.JOURNAL, "", {"full": each}) for each in noise]
            agent.journal.append(Kind.EVENTS, items, at=at)
            stopped = time.monotonic()
        assert time.monotonic() - stopped < 3 * LAST_S
        await until_async(lambda: ledger.statuses[-1]["state"] == "offline")
    assert ledger.statuses[-1]["goodbye"] is True
    told = [item for item in ledger.items("events") if "full" in item["detail"]]
    assert len(told) == (len(noise) if taken else 0)
    lost = ledger.items("health")[-1]["drops"].get(DropReason.STOPPED, 0)
    # The word of the disk that refuses is an event, too.
    assert lost == 0 if taken else lost >= len(noise)

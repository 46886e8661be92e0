"""A broker that takes the agent up and drops it again and again: it is asked more seldom, and nothing piles up."""

import asyncio
from pathlib import Path

import aiomqtt
import pytest

from agent.journal import BlockState, Store
from agent.journal.sql import StoreFull
from facility.wire import Kind
from tests.agent.journals import START, unsent_count
from tests.agent.ledger import Ledger
from tests.agent.notify.test_clock_and_disk import place
from tests.agent.test_uplink import Bench, bench
from tests.server.notify.sink import Sink
from tests.support.mosquitto import Mosquitto
from tests.support.peers import until_async
from tests.support.virtual_loop import run_virtual


async def pauses(it: Bench, broker: Mosquitto, *, answered: bool) -> list[float]:
    """Seconds from each end of a session to the next one; a client of the same name makes the broker end it."""
    loop, found = asyncio.get_running_loop(), []
    await until_async(lambda: it.uplink.connected)
    for session in range(3):
        await it.keep(float(session))
        if answered:
            await it.idle()
        async with aiomqtt.Client(broker.host, broker.port, identifier="coldaisle-s1-edge-1"):
            await until_async(lambda: not it.uplink.connected)
        ended = loop.time()
        await until_async(lambda: it.uplink.connected, timeout=20)
        found.append(loop.time() - ended)
    return found


@pytest.mark.peer("mosquitto")
async def test_sessions_in_which_nothing_is_answered_come_more_and_more_seldom(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    async with bench(tmp_path, mosquitto) as it:
        found = await pauses(it, mosquitto, answered=False)
    assert found[2] > 1.5


@pytest.mark.peer("mosquitto")
async def test_after_an_answer_the_next_session_is_soon(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async with Ledger(mosquitto.host, mosquitto.port), bench(tmp_path, mosquitto) as it:
        found = await pauses(it, mosquitto, answered=True)
    assert max(found) < 1.5


def test_a_snapshot_that_still_waits_is_not_followed_by_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(sink: Sink) -> None:
        async with place(tmp_path, sink, monkeypatch, wall=START) as it:
            for _ in range(20):
                it.agent.connected()
                await asyncio.sleep(2)
            assert await unsent_count(it.agent.journal, Kind.ALARMS) == 1
            it.poll(60.0)
            it.agent.connected()
            await asyncio.sleep(2)
            assert await unsent_count(it.agent.journal, Kind.ALARMS) == 3, "the event, and what is active now"
            for stored in await it.agent.journal.unsent(Kind.ALARMS, limit=10):
                it.agent.journal.settle(stored.block.key, BlockState.COMMITTED)
            await asyncio.sleep(2)
            it.agent.connected()
            await asyncio.sleep(2)
            assert await unsent_count(it.agent.journal, Kind.ALARMS) == 1, "the centre may have forgotten"

    with Sink() as sink:
        run_virtual(main(sink))


def test_nor_one_that_waits_in_memory_because_the_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StoreFull("no room")

    async def main(sink: Sink) -> None:
        async with place(tmp_path, sink, monkeypatch, wall=START) as it:
            monkeypatch.setattr(Store, "commit", refuse)
            for _ in range(20):
                it.agent.connected()
                await asyncio.sleep(2)
            assert it.agent.journal.stats().degraded
            assert it.agent.journal.held[Kind.ALARMS] == 1
            monkeypatch.undo()

    with Sink() as sink:
        run_virtual(main(sink))

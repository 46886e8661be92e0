"""Words of agents and signs of life on their way from the broker into the main database."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from facility.clock import from_ms
from facility.wire import VERSION, AgentState, Status, Verdict, dump
from server.config import MqttConfig
from server.db.session import WriteSession
from server.fleet import repository
from server.fleet import service as fleet
from server.fleet.models import Agent, AgentStatus
from server.ingest.component import Ingest
from tests.server.ingest.conftest import Station
from tests.server.ingest.items_by_hand import AT, TEMPERATURE, health, reading
from tests.server.ingest.wire_by_hand import series

TOPIC = "coldaisle/v1/home/edge1/status"
ONLINE, WILL = (dump(Status(VERSION, state, "1", AT)) for state in (AgentState.ONLINE, AgentState.OFFLINE))
GOODBYE = dump(Status(VERSION, AgentState.OFFLINE, "1", AT, goodbye=True))


def ingest_of(station: Station) -> Ingest:
    return Ingest(
        config=MqttConfig(host="127.0.0.1"),
        processor=station.processor,
        db=station.server.db,
        watchers=[],
        clock=station.world.clock,
        metrics=station.metrics,
        identifier="worker",
        folder=station.server.kit.config.data_dir,
    )


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([GOODBYE, WILL], AgentStatus.STOPPED),
        ([WILL, GOODBYE], AgentStatus.STOPPED),
        ([GOODBYE, ONLINE, WILL], AgentStatus.OFFLINE),
        ([GOODBYE, ONLINE], AgentStatus.ONLINE),
    ],
)
async def test_of_the_words_between_two_recordings_a_will_does_not_replace_a_goodbye(
    station: Station, words: list[bytes], status: AgentStatus
) -> None:
    await station.catalogued()
    ingest = ingest_of(station)
    await ingest.note()
    station.world.clock.advance(1)
    for word in words:
        ingest.hold(TOPIC, word)
    await ingest.note()
    assert (await station.agent()).status is status


async def _full(*_: Any, **__: Any) -> None:
    raise sa.exc.OperationalError("UPDATE", {}, OSError("disk is full"))


@pytest.mark.parametrize(
    ("meanwhile", "status"),
    [([], AgentStatus.STOPPED), ([WILL], AgentStatus.STOPPED), ([ONLINE], AgentStatus.ONLINE)],
)
async def test_a_goodbye_that_cannot_be_recorded_waits_unless_a_newer_word_comes(
    station: Station, monkeypatch: pytest.MonkeyPatch, meanwhile: list[bytes], status: AgentStatus
) -> None:
    await station.catalogued()
    ingest = ingest_of(station)
    await ingest.note()
    station.world.clock.advance(1)
    ingest.hold(TOPIC, GOODBYE)

    async def full_while_words_come(*_: Any, **__: Any) -> None:
        for word in meanwhile:
            ingest.hold(TOPIC, word)
        await _full()

    with monkeypatch.context() as during:
        during.setattr(fleet, "note_seen", full_while_words_come)
        await ingest.note()
    assert (await station.agent()).status is AgentStatus.ONLINE
    await ingest.note()
    assert (await station.agent()).status is status


async def test_signs_of_life_that_cannot_be_recorded_wait(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    sender, known = await station.catalogued()
    ingest = ingest_of(station)
    await station.take(sender.next("readings", [reading(20.0)], catalog=known))
    with monkeypatch.context() as during:
        during.setattr(fleet, "note_seen", _full)
        await ingest.note()
    assert (await station.agent()).last_seen_at is None
    await ingest.note()
    assert (await station.agent()).last_seen_at is not None
    assert (await station.point("th1")).device.last_seen_at is not None


async def test_a_device_that_says_that_a_part_of_it_is_lost_is_there(station: Station) -> None:
    sender, known = await station.catalogued()
    ingest, word = ingest_of(station), "device.communication"
    items = [series("th1", word, [(AT, "ok")]), series("th1", word, [(AT + 1, "lost")], subject="probe/1")]
    await station.take(sender.next("readings", items, catalog=known))
    await ingest.note()
    device = (await station.point("th1")).device
    assert (device.communication, device.last_seen_at) == ("ok", from_ms(AT + 1))


async def test_signs_of_life_and_blocks_of_the_same_agents_do_not_deadlock(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks hold the agent of the lower id and go on to the other while a word of the other is recorded."""
    senders = [(await station.catalogued(code, **{f"th-{code}": TEMPERATURE}))[0] for code in ("aa", "zz")]
    ids = [(await station.agent(code)).id for code in ("aa", "zz")]
    low, high = (sender for _, sender in sorted(zip(ids, senders, strict=True), key=lambda pair: pair[0]))
    ingest = ingest_of(station)
    ingest.hold(f"coldaisle/v1/home/{high.agent}/status", GOODBYE)
    ingest.hold(f"coldaisle/v1/home/{low.agent}/status", GOODBYE)
    holding, locked_agent = asyncio.Event(), repository.locked_agent

    async def slow(session: WriteSession, agent_id: str) -> Agent | None:
        row = await locked_agent(session, agent_id)
        if not holding.is_set():
            holding.set()
            await asyncio.sleep(0.3)  # real locks are waited for in real time
        return row

    monkeypatch.setattr(repository, "locked_agent", slow)
    blocks = asyncio.create_task(station.take(low.next("health", [health(AT)]), high.next("health", [health(AT)])))
    await holding.wait()
    await asyncio.gather(blocks, ingest.note())
    assert [answer.verdict for answer in blocks.result()] == [Verdict.COMMITTED] * 2
    for code in ("aa", "zz"):
        assert (await station.agent(code)).status is AgentStatus.STOPPED


async def test_agents_live_while_a_write_hangs(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages that come meanwhile wait for their turn; who sent them is not silent."""
    sender, known = await station.catalogued()
    other, other_known = await station.catalogued("edge2", th2=TEMPERATURE)
    ingest, hanging = ingest_of(station), asyncio.Event()

    async def hang(*_: Any, **__: Any) -> None:
        hanging.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(station.processor._history, "write", hang)
    taking = asyncio.create_task(station.take(sender.next("readings", [reading(20.0)], catalog=known)))
    await hanging.wait()
    station.world.clock.advance(200.0)
    topic, payload, _ = other.next("readings", [reading(20.0, device="th2")], catalog=other_known)
    ingest.hold(topic, payload)
    ingest.hold("coldaisle/v1/home/nobody/blocks/readings", payload)
    await ingest.note()
    now = station.world.clock.now()
    assert (await station.agent("edge2")).last_seen_at == now
    assert (await station.agent()).last_seen_at == now - timedelta(seconds=200)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)

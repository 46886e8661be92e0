"""Whose silence it is: an agent's, or the centre's own deafness. On both databases."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from facility.clock import SystemClock
from server.app import build
from server.config import load_config
from server.fleet import listening, repository, service
from server.fleet.listening import DEAF_AFTER, LIVE, Ears, Hearing, ears
from server.fleet.models import AgentStatus
from server.fleet.watch import HEALTH_PERIOD, MISSED_PERIODS
from server.ingest import component
from server.kit.scope import Scope
from tests.server.alarms.making import alarms
from tests.server.conftest import START
from tests.server.factories import World
from tests.server.fleet.making import make_agent
from tests.support.mosquitto import Mosquitto
from tests.support.peers import until_async

SECOND = timedelta(seconds=1)
AGENTS = ("edge1", "edge2", "edge3")


@pytest.mark.parametrize(
    ("known", "hearing", "since"),
    [
        ([], Hearing.NO_INGEST, START),
        ([(START - 9 * LIVE, START)], Hearing.LISTENING, START - 9 * LIVE),
        ([(START - LIVE, START), (START - 5 * LIVE, START - LIVE)], Hearing.LISTENING, START - 5 * LIVE),
        ([(START - LIVE, START), (START - 9 * LIVE, START - LIVE - SECOND)], Hearing.LISTENING, START - LIVE),
        ([(START - 9 * LIVE, START - LIVE - SECOND)], Hearing.JUST_LOST, START - LIVE - SECOND),
    ],
)
def test_what_the_workers_wrote(known: list[tuple[datetime, datetime]], hearing: Hearing, since: datetime) -> None:
    assert ears(known, first_look=START, now=START) == Ears(hearing, since)


def test_a_process_that_has_just_begun_to_look_calls_nobody_deaf() -> None:
    known = [(START - timedelta(days=1), START - timedelta(hours=9))]
    assert ears(known, first_look=START, now=START + DEAF_AFTER).hearing is Hearing.JUST_LOST
    assert ears(known, first_look=START, now=START + DEAF_AFTER + SECOND).hearing is Hearing.DEAF


async def spend(world: World, span: timedelta, *, worker: str | None) -> None:
    """Time goes by in steps of 5 s, with a worker listening or none; the jobs run."""
    since = world.clock.now()
    for _ in range(round(span / (5 * SECOND))):
        world.clock.advance(5)
        if worker is not None:
            async with world.server.db.write() as session:
                await listening.note(session, worker, since=since, now=world.clock.now())
        await world.server.jobs.run_due()


async def seen(world: World) -> None:
    """A block of each agent."""
    agents = [await make_agent(world, world.home, code) for code in AGENTS]
    async with world.server.db.write() as session:
        now = world.clock.now()
        await service.note_seen(session, dict.fromkeys([agent.id for agent in agents], now), {}, watchers=[], now=now)


async def found(world: World) -> list[tuple[str, str, bool]]:
    rows = await alarms(world)
    return sorted((row.rule, row.device, row.active) for row in rows)


async def test_a_deaf_centre_raises_one_alarm_and_calls_no_agent_lost(world: World) -> None:
    silence = HEALTH_PERIOD * MISSED_PERIODS
    await seen(world)
    await spend(world, 30 * SECOND, worker="w1")
    await seen(world)
    await spend(world, silence * 2, worker=None)
    assert await found(world) == [("broker-lost", "broker", True)]
    await spend(world, silence - 30 * SECOND, worker="w2")
    assert await found(world) == [("broker-lost", "broker", False)], "silence counts from the new session"
    await seen(world)
    await spend(world, silence + 30 * SECOND, worker="w2")
    lost = [("agent-lost", code, True) for code in AGENTS]
    assert await found(world) == [*lost, ("broker-lost", "broker", False)], "agents silent to a centre that listens"
    async with world.server.db.read() as session:
        gone = await repository.agents_by_status(session, Scope.system(), [AgentStatus.SILENT])
        assert len(gone) == len(AGENTS)


@pytest.mark.peer("mosquitto")
async def test_ingest_says_since_when_its_session_on_the_broker_is(
    tmp_path: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(component, "SEEN_EVERY_S", 0.2)
    settings = {"data_dir": str(tmp_path / "data"), "mqtt": {"host": mosquitto.host, "port": mosquitto.port}}
    clock = SystemClock(asyncio.sleep)
    async with build(load_config(overrides=settings, environment={}), clock=clock) as server:
        (ingest,) = [part for part in server.components if part.name == "ingest"]
        task = asyncio.create_task(ingest.run())

        async def spans() -> list[tuple[datetime, datetime]]:
            async with server.db.read() as session:
                return await listening.spans(session)

        try:
            await until_async(spans, timeout=20, what="a worker that listens")
            ((first, _),) = await spans()
            mosquitto.stop()
            mosquitto.start()

            async def anew() -> bool:
                ((since, heard_at),) = await spans()
                return first < since <= heard_at

            await until_async(anew, timeout=30, what="listening counted from the new session")
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

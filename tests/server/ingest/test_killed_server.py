"""The true server under SIGKILL, fed by an independent sender through a real mosquitto: nothing lost, nothing twice."""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from facility.clock import EPOCH, SystemClock, to_ms
from server.db.session import async_url
from tests.server.ingest.alarm_model import AlarmModel, kept_alarms, kept_tickets
from tests.server.ingest.programs import CountingAgent, ServerProgram
from tests.support.mosquitto import Mosquitto
from tests.support.peers import until_async

KILLS = 5
POINTS = 10
# Each kill is followed by a start of the whole server: ten seconds each where other work shares the cores.
pytestmark = pytest.mark.timeout(300)
# What is owed meanwhile waits for a start; where a start takes long, it comes in fewer and longer blocks.
MOST_UNSENT = 200
# Samples of one block: it keeps well below what a block may hold (facility.wire.MAX_BODY).
MOST_SAMPLES = 1000


def history_of(url: str) -> str:
    """The file or database with the readings."""
    return url.replace("main.db", "history.db")


async def counted(main_url: str) -> dict[str, list[float]]:
    """device -> every value history holds, in order of time; read past the server's code."""
    main = create_async_engine(async_url(main_url))
    history = create_async_engine(async_url(history_of(main_url)))
    try:
        async with main.connect() as link:
            query = sa.text("SELECT p.id, d.device FROM points p JOIN devices d ON d.id = p.device_id")
            names: dict[str, str] = {row[0]: row[1] for row in await link.execute(query)}
        async with history.connect() as link:
            statement = "SELECT s.point, r.value FROM history_readings r JOIN history_series s ON s.id = r.series"
            rows = (await link.execute(sa.text(statement + " ORDER BY s.point, r.taken_at"))).all()
    finally:
        await main.dispose()
        await history.dispose()
    found: dict[str, list[float]] = {}
    for point, value in rows:
        found.setdefault(names[point], []).append(value)
    return found


async def run_with_kills(
    servers: list[ServerProgram], agent: CountingAgent, *, kills: int, rate: int, seed: int, spell: tuple[float, float]
) -> None:
    """Feed `rate` values a second while servers are killed `kills` times at random moments; then let all arrive."""
    dice = random.Random(seed)
    done = False
    sending = asyncio.create_task(agent.run(stop=lambda: done and not agent.unsent))

    async def feed() -> None:
        began, made = time.monotonic(), 0
        while not done:
            due = int((time.monotonic() - began) * rate / agent.points)
            if due > made and len(agent.unsent) < MOST_UNSENT:
                samples = min(due - made, MOST_SAMPLES)
                agent.count(samples)
                made += samples
            await asyncio.sleep(0.05)

    feeding = asyncio.create_task(feed())
    for _ in range(kills):
        await asyncio.sleep(dice.uniform(*spell))
        victim = dice.choice(servers)
        victim.kill()
        await asyncio.to_thread(victim.start)
    await asyncio.sleep(spell[1])
    done = True
    await feeding
    await asyncio.wait_for(sending, timeout=180)


def started_at() -> int:
    return to_ms(SystemClock(asyncio.sleep).now()) - to_ms(EPOCH) - 3_600_000


def counting_agent(broker_port: int, *, points: int = POINTS, seed: int = 3) -> CountingAgent:
    model = AlarmModel("edge1", random.Random(seed))
    return CountingAgent("site-a", "edge1", points, broker_port, started_at(), 100, alarms=model)


async def assert_all_there(database_url: str, agent: CountingAgent) -> None:
    """History, alarms and tickets are those of the sender's own books."""
    assert agent.alarms is not None
    assert await counted(database_url) == agent.owed()
    assert await kept_alarms(database_url) == agent.alarms.alarms()
    assert await kept_tickets(database_url) == agent.alarms.tickets()


async def test_history_alarms_and_tickets_are_exactly_what_was_sent_over_kills(
    database_url: str, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    server = ServerProgram(tmp_path, name="server", database_url=database_url, broker_port=mosquitto.port)
    agent = counting_agent(mosquitto.port)
    with server:
        await run_with_kills([server], agent, kills=KILLS, rate=500, seed=7, spell=(0.3, 1.2))
    assert agent.made > 100
    await assert_all_there(database_url, agent)


async def test_two_ingest_workers_share_the_blocks_and_survive_kills(
    database_url: str, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """On SQLite roles cannot be split: there the same happens with one worker."""
    split = not database_url.startswith("sqlite")
    names = ("one", "two") if split else ("one",)
    servers = [
        ServerProgram(
            tmp_path / name,
            name=name,
            database_url=database_url,
            broker_port=mosquitto.port,
            role="ingest" if split else "all",
            shared=True,
        )
        for name in names
    ]
    agent = counting_agent(mosquitto.port)
    try:
        for server in servers:
            await asyncio.to_thread(server.start)
        await run_with_kills(servers, agent, kills=4, rate=500, seed=11, spell=(0.3, 1.0))
    finally:
        for server in servers:
            server.stop()
    await assert_all_there(database_url, agent)


async def test_broker_that_goes_and_comes_is_found_again(
    database_url: str, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    server = ServerProgram(tmp_path, name="server", database_url=database_url, broker_port=mosquitto.port)
    agent = CountingAgent("site-a", "edge1", POINTS, mosquitto.port, started_at(), 100)
    done = False
    with server:
        sending = asyncio.create_task(agent.run(stop=lambda: done))
        agent.count(20)
        await until_async(lambda: not agent.unsent, timeout=30, what="the first blocks being committed")
        mosquitto.kill()
        agent.count(20)
        await asyncio.to_thread(mosquitto.start)
        await until_async(lambda: not agent.unsent, timeout=30, what="the later blocks being committed")
        done = True
        await sending
    assert await counted(database_url) == agent.owed()


async def test_an_enrolled_agent_is_told_that_a_centre_begins_to_listen(
    database_url: str, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    server = ServerProgram(tmp_path, name="server", database_url=database_url, broker_port=mosquitto.port)
    agent = CountingAgent("site-a", "edge1", POINTS, mosquitto.port, started_at(), 100)
    done = False

    def told(times: int) -> Callable[[], bool]:
        return lambda: agent.begun == times

    with server:
        sending = asyncio.create_task(agent.run(stop=lambda: done))
        await until_async(lambda: not agent.unsent, timeout=30, what="the agent being enrolled")
        assert agent.begun == 0
        for life in (1, 2):
            server.kill()
            await asyncio.to_thread(server.start)
            await until_async(told(life), timeout=30, what="the word of a centre that is back")
        done = True
        await sending

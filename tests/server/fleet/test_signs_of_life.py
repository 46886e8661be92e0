"""Signs of life: what they cost the main database. On both databases."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from facility.clock import to_ms
from server.fleet import repository
from server.fleet import service as fleet
from server.fleet.models import AgentStatus, Device
from server.fleet.service import DeviceSeen
from server.fleet.watch import GRACE, silence_job
from server.kit.scope import Scope
from tests.server.factories import World
from tests.server.fleet.counting import counted
from tests.server.fleet.making import a_catalog, announce, make_agent


@pytest.mark.parametrize("agents", [3, 30])
async def test_signs_of_life_cost_as_many_statements_however_many_live(world: World, agents: int) -> None:
    now = world.clock.now()
    ids, devices = [], {}
    for number in range(agents):
        agent = await make_agent(world, world.home, f"edge{number}")
        await announce(world, agent, a_catalog(f"th{number}"))
        ids.append(agent.id)
    async with world.server.db.read() as session:
        rows = await repository.devices_of_site(session, Scope.system(), world.home.site.id)
        devices = {row.id: DeviceSeen(now, "ok", to_ms(now)) for row in rows.values()}
    for at in (now, now - timedelta(minutes=5)):
        words = {row: DeviceSeen(at, "ok" if at == now else "lost", to_ms(at)) for row in devices}
        async with world.server.db.write() as session:
            await fleet.note_seen(session, dict.fromkeys(ids, at), words, watchers=[], now=now)
    with counted(world) as asked:
        async with world.server.db.write() as session:
            await fleet.note_seen(session, dict.fromkeys(ids, now), devices, watchers=[], now=now)
    assert len([statement for statement in asked if not statement.startswith("BEGIN")]) == 4
    async with world.server.db.read() as session:
        known = (await session.scalars(sa.select(Device))).all()
        gone = await repository.agents_by_status(session, Scope.system(), [AgentStatus.NEVER])
    assert {(row.last_seen_at, row.communication, row.communication_at) for row in known} == {(now, "ok", now)}
    assert list(gone) == []


async def test_an_agent_that_is_heard_while_it_is_found_silent_is_not_silent(world: World) -> None:
    if world.server.db.dialect != "postgresql":
        return  # SQLite has one writer
    agent, job = await make_agent(world, world.home), silence_job([])
    async with world.server.db.write() as session:
        await fleet.note_seen(session, {agent.id: world.clock.now()}, {}, watchers=[], now=world.clock.now())
        await job.run(session, world.clock.now())
    world.clock.advance(2 * GRACE.total_seconds())

    async def look() -> None:
        async with world.server.db.write() as session:
            await job.run(session, world.clock.now())

    async with world.server.db.write() as session:
        await fleet.note_seen(session, {agent.id: world.clock.now()}, {}, watchers=[], now=world.clock.now())
        looking = asyncio.create_task(look())
        await asyncio.sleep(0.3)  # real locks are waited for in real time
    await looking
    async with world.server.db.read() as reading:
        assert (await repository.get_agent(reading, Scope.system(), agent.id)).status is AgentStatus.ONLINE

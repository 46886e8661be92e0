"""Signs of life: what they cost the main database. On both databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from facility.clock import to_ms
from server.fleet import repository
from server.fleet import service as fleet
from server.fleet.models import AgentStatus, Device
from server.fleet.service import DeviceSeen
from server.kit.scope import Scope
from tests.server.factories import World
from tests.server.fleet.making import a_catalog, announce, make_agent


@contextmanager
def counted(world: World) -> Iterator[list[str]]:
    """The statements that reach the main database's writer."""
    found: list[str] = []

    def heard(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        found.append(statement)

    engine = world.server.db.writer.sync_engine
    event.listen(engine, "before_cursor_execute", heard)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", heard)


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

"""Agent events are let go when they are old, oldest first and in portions, on both databases."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from facility.clock import to_ms
from facility.config import ConfigErrors
from facility.ids import new_id
from facility.items import EventItem, EventKind
from server.config import load_config
from server.fleet import jobs, repository, service
from server.fleet.models import AgentEvent
from tests.server.factories import World
from tests.server.fleet.making import make_agent

DAY = timedelta(days=1)


async def note(world: World, *ages: timedelta, learnt: timedelta | None = None) -> None:
    """Events that happened so long ago and were learnt then, or `learnt` ago."""
    agent, now = await make_agent(world, world.home), world.clock.now()
    async with world.server.db.write() as session:
        for age in ages:
            at = now - age
            item = EventItem(new_id(to_ms(at)), to_ms(at), EventKind.TRAP, "ups-1", {"age": str(age.days)})
            await service.note_events(session, agent, [item], now=at if learnt is None else now - learnt)


async def left(world: World) -> list[int]:
    """The ages of the events that are there, in days."""
    async with world.server.db.read() as session:
        found = (await session.scalars(sa.select(AgentEvent).order_by(AgentEvent.at))).all()
    return [int(event.payload["age"]) for event in found]


def days(*numbers: int) -> list[timedelta]:
    return [timedelta(days=number) for number in numbers]


async def test_events_older_than_the_setting_go_and_the_others_stay(world: World) -> None:
    await note(world, *days(500, 401, 399, 1))
    assert "fleet.expire_events" in await world.server.jobs.run_due()
    assert await left(world) == [399, 1]
    # The same minute again does nothing, and with time the others follow.
    assert "fleet.expire_events" not in await world.server.jobs.run_due()
    world.clock.advance(timedelta(days=2).total_seconds())
    await world.server.jobs.run_due()
    assert await left(world) == [1]


async def test_the_oldest_go_first_in_portions(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "AT_ONCE", 2)
    await note(world, *days(450, 500, 430, 470, 10))
    expiry = jobs.expiry_job(400 * DAY)
    for expected in ([450, 430, 10], [10], [10]):
        async with world.server.db.write() as session:
            await expiry.run(session, world.clock.now())
        assert await left(world) == expected


async def test_what_was_learnt_late_stays_as_long_after_it_was_learnt(world: World) -> None:
    await note(world, *days(2000), learnt=DAY)
    async with world.server.db.write() as session:
        assert await repository.forget_events(session, world.clock.now() - 400 * DAY, limit=10) == 0


def test_the_setting_is_read_and_keeps_at_least_a_day() -> None:
    def kept(text: str) -> timedelta:
        return load_config(environment={"COLDAISLE_SERVER_RETENTION__EVENTS": text}).retention.events

    assert kept("P30D") == timedelta(days=30)
    assert load_config(environment={}).retention.events == timedelta(days=400)
    with pytest.raises(ConfigErrors, match="equal to 1 day"):
        kept("PT1H")

"""A silence that lasts gets louder; one that comes and goes is told of once. On both databases."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from facility.alarms import AlarmEventKind
from facility.clock import to_ms
from facility.severity import Severity
from facility.wire import VERSION, AgentState, Status
from server.alarms.centre import CentreAlarms
from server.alarms.centre_rules import AGENT_LOST
from server.alarms.lost import Escalation, LostAgents, flaps, severity_of
from server.alarms.models import Alarm, AlarmEvent
from server.alarms.service import AlarmService
from server.fleet import service as fleet
from server.fleet.refs import AgentRef
from server.fleet.watch import GRACE
from server.tickets import repository as tickets
from server.tickets.models import TicketEvent
from tests.server.alarms.making import alarms, minutes
from tests.server.factories import World
from tests.server.finding import service_of
from tests.server.fleet.making import make_agent

NOW = datetime(2026, 3, 10, 2, 0, tzinfo=UTC)
TICK = timedelta(seconds=30)
LOG = sa.select(TicketEvent).order_by(TicketEvent.seq)


@pytest.mark.parametrize(
    ("silent", "whole_site", "severity"),
    [
        (3, False, Severity.MINOR),
        (14.9, False, Severity.MINOR),
        (15, False, Severity.MAJOR),
        (600, False, Severity.MAJOR),
        (3, True, Severity.MAJOR),
        (59.9, True, Severity.MAJOR),
        (60, True, Severity.CRITICAL),
    ],
)
def test_the_severity_follows_the_silence(silent: float, whole_site: bool, severity: Severity) -> None:
    assert severity_of(minutes(silent), whole_site=whole_site, escalation=Escalation()) is severity


def test_three_losses_within_an_hour_are_too_many() -> None:
    assert not flaps([NOW - minutes(15)], AGENT_LOST.flap, now=NOW)
    assert flaps([NOW - minutes(30), NOW - minutes(15)], AGENT_LOST.flap, now=NOW)
    assert not flaps([NOW - minutes(60), NOW - minutes(15)], AGENT_LOST.flap, now=NOW)


async def hear(world: World, *agents: AgentRef) -> None:
    """A block of each."""
    now, watchers = world.clock.now(), [CentreAlarms(service_of(world.server, AlarmService))]
    async with world.server.db.write() as session:
        await fleet.note_seen(session, {agent.id: now for agent in agents}, {}, watchers=watchers, now=now)


async def spend(world: World, span: timedelta, *heard: AgentRef) -> None:
    """Time passes, these agents are heard, and the jobs run."""
    for _ in range(span // TICK):
        world.clock.advance(TICK.total_seconds())
        if heard:
            await hear(world, *heard)
        await world.server.jobs.run_due()


async def say(world: World, agent: AgentRef, *, goodbye: bool) -> None:
    """Its goodbye, or its last will."""
    now = world.clock.now()
    status = Status(VERSION, AgentState.OFFLINE, "1", to_ms(now), goodbye=goodbye)
    async with world.server.db.write() as session:
        await fleet.note_status(session, agent, status, now=now)


async def swings(world: World, alarm_id: str) -> list[int]:
    """As the alarm's log tells them, revision by revision."""
    log = sa.select(AlarmEvent.payload).where(AlarmEvent.alarm_id == alarm_id, AlarmEvent.revision.is_not(None))
    async with world.server.db.read() as session:
        return [(body or {}).get("swings", 0) for body in await session.scalars(log.order_by(AlarmEvent.seq))]


async def lost(world: World) -> list[Alarm]:
    return await alarms(world, rule=AGENT_LOST.id)


async def ticket_severity(world: World, alarm_id: str) -> Severity:
    async with world.server.db.write() as session:
        (row,) = await alarms(world, rule=AGENT_LOST.id, active=True)
        ticket = await tickets.open_of_key(session, row.key_id)
        assert ticket is not None
        return ticket.severity


async def test_a_silence_gets_louder_and_its_ticket_with_it(world: World) -> None:
    agent, other = await make_agent(world, world.home), await make_agent(world, world.home, "edge2")
    await hear(world, agent, other)
    await spend(world, GRACE + TICK, other)
    (row,) = await lost(world)
    assert (row.device, row.severity) == ("edge1", Severity.MINOR), "the other agent of the site is heard"
    await spend(world, minutes(13), other)
    assert [row.severity for row in await lost(world)] == [Severity.MAJOR]
    assert await ticket_severity(world, row.id) == Severity.MAJOR
    await spend(world, minutes(60), other)
    assert [row.severity for row in await lost(world)] == [Severity.MAJOR]


async def test_a_whole_site_is_major_at_once_and_critical_in_an_hour(world: World) -> None:
    agents = [await make_agent(world, world.home), await make_agent(world, world.home, "edge2")]
    await hear(world, *agents)
    await spend(world, GRACE + TICK)
    assert [row.severity for row in await lost(world)] == [Severity.MAJOR] * 2
    await spend(world, minutes(58))
    assert [row.severity for row in await lost(world)] == [Severity.CRITICAL] * 2


@pytest.mark.parametrize("goodbye", [False, True])
async def test_a_neighbour_that_is_away_for_a_moment_makes_no_site_unheard(world: World, goodbye: bool) -> None:
    agent, other = await make_agent(world, world.home), await make_agent(world, world.home, "edge2")
    await hear(world, agent, other)
    await spend(world, minutes(90), other)
    await say(world, other, goodbye=goodbye)
    await spend(world, minutes(1))
    assert [(row.device, row.severity) for row in await lost(world)] == [("edge1", Severity.MAJOR)]
    await hear(world, other)
    await say(world, other, goodbye=goodbye)
    await spend(world, GRACE + TICK)
    severities = {row.device: row.severity for row in await lost(world)}
    assert severities == {"edge1": Severity.CRITICAL, "edge2": Severity.MAJOR}, "now nobody is there"


async def flap(world: World, agent: AgentRef) -> Alarm:
    """It is lost often enough that its alarm stands."""
    await hear(world, agent)
    for _ in range(AGENT_LOST.flap.changes):
        await spend(world, minutes(4))
        await spend(world, minutes(1), agent)
    (row,) = await alarms(world, rule=AGENT_LOST.id, active=True)
    return row


async def test_an_agent_that_reconnects_and_is_never_silent_again_is_calm(world: World) -> None:
    agent = await make_agent(world, world.home)
    await flap(world, agent)
    for _ in range(3):
        await spend(world, minutes(10), agent)
        await say(world, agent, goodbye=False)
    await hear(world, agent)
    await spend(world, TICK, agent)
    assert not any(row.active for row in await lost(world)), "half an hour without a silence"


async def test_what_stands_and_goes_on_is_told_of_each_ten_minutes_and_every_loss_is_counted(world: World) -> None:
    agent = await make_agent(world, world.home)
    row = await flap(world, agent)
    for _ in range(6):
        await spend(world, minutes(4))
        await spend(world, minutes(1), agent)
    assert await swings(world, row.id) == [0, 2, 4, 6]
    await spend(world, minutes(4))
    await spend(world, minutes(20), agent)
    assert await swings(world, row.id) == [0, 2, 4, 6, 7], "the last of it is told once ten minutes have passed"
    await spend(world, minutes(20), agent)
    async with world.server.db.read() as session:
        kinds = await session.scalars(sa.select(AlarmEvent.kind).where(AlarmEvent.alarm_id == row.id))
        assert list(kinds)[-1] == AlarmEventKind.ENDED


async def test_a_flapping_one_that_gets_worse_keeps_its_count(world: World) -> None:
    agent = await make_agent(world, world.home)
    row = await flap(world, agent)
    await spend(world, minutes(70))
    assert await swings(world, row.id) == [0, 1, 1]
    assert [one.severity for one in await lost(world) if one.active] == [Severity.CRITICAL]


async def test_an_agent_that_comes_and_goes_is_told_of_once_as_that(world: World) -> None:
    agent = await make_agent(world, world.home)
    await hear(world, agent)
    for _ in range(6):
        await spend(world, minutes(4))
        await spend(world, minutes(11), agent)
    rows = await lost(world)
    assert [row.active for row in rows] == [True, False, False]
    async with world.server.db.read() as session:
        log = [(event.kind, (event.payload or {}).get("decision")) for event in await session.scalars(LOG)]
    assert log == [
        ("opened", "opened_new"),
        ("alarm_recovered", "held"),
        ("auto_resolved", "auto_resolved"),
        ("reopened", "reopened"),
        ("alarm_recovered", "held"),
        ("auto_resolved", "auto_resolved"),
        ("reopened", "reopened"),
        ("commented", "flapping"),
    ]
    assert await swings(world, rows[0].id) == [0, 1, 2, 3]
    await spend(world, minutes(60), agent)
    assert [row.active for row in await lost(world)] == [False, False, False], "calm for half an hour"


async def test_the_job_and_agents_that_return_are_not_in_each_others_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the two alarms the job has the older, of the agent of the higher id, when both agents are heard."""
    if world.server.db.dialect != "postgresql":
        return  # SQLite has one writer
    made = [await make_agent(world, world.home, code) for code in ("edge1", "edge2")]
    low, high = sorted(made, key=lambda agent: agent.id)
    await hear(world, low, high)
    await spend(world, GRACE + TICK, low)
    await spend(world, GRACE + TICK)
    world.clock.advance(minutes(70).total_seconds())
    service = service_of(world.server, AlarmService)
    update, has_one, go_on = service.update_centre, asyncio.Event(), asyncio.Event()

    async def slow(*given: Any, **named: Any) -> None:
        await update(*given, **named)
        has_one.set()
        await go_on.wait()

    monkeypatch.setattr(service, "update_centre", slow)

    async def look() -> None:
        async with world.server.db.write() as session:
            await LostAgents(service).look(session, world.clock.now())

    looking = asyncio.create_task(look())
    await has_one.wait()
    returning = asyncio.create_task(hear(world, low, high))
    await asyncio.sleep(0.3)  # real locks are waited for in real time
    go_on.set()
    await asyncio.gather(looking, returning)
    assert [(row.active, row.worst_severity) for row in await lost(world)] == [(False, Severity.CRITICAL)] * 2

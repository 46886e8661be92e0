"""A silence that lasts gets louder; one that comes and goes is told of once. On both databases."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from facility.severity import Severity
from server.alarms.centre import CentreAlarms
from server.alarms.centre_rules import AGENT_LOST
from server.alarms.lost import Escalation, flaps, severity_of
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
    async with world.server.db.read() as session:
        swings = await session.scalars(sa.select(AlarmEvent.payload).where(AlarmEvent.alarm_id == rows[0].id))
        assert [body.get("swings", 0) for body in swings if body is not None] == [0, 1, 2, 3]
    await spend(world, minutes(60), agent)
    assert [row.active for row in await lost(world)] == [False, False, False], "calm for half an hour"

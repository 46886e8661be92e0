"""From an agent's alarm events to one ticket, through the services, on both databases."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from facility.alarms import AlarmEvent, AlarmEventKind, EndReason
from facility.clock import to_ms
from facility.ids import new_id
from facility.items import AlarmItem
from facility.severity import Severity
from server.alarms import repository as alarms
from server.alarms.models import Alarm
from server.alarms.service import AlarmService
from server.kit.paging import PageRequest
from server.kit.scope import Scope
from server.tickets import repository
from server.tickets.models import Ticket
from server.tickets.policy import TicketPolicy
from server.tickets.service import TicketService
from server.tickets.states import Action, TicketState
from server.tickets.writing import rederive, summary_of
from tests.server.factories import World
from tests.server.finding import service_of
from tests.server.fleet.making import make_agent

HOLD, REOPEN = TicketPolicy().hold, TicketPolicy().reopen_within


def raised(world: World, *, occurrence: str | None = None) -> AlarmEvent:
    at = to_ms(world.clock.now())
    return AlarmEvent(
        occurrence=occurrence or new_id(at), revision=1, kind=AlarmEventKind.RAISED, origin="edge1", device="th-01",
        rule="room-hot", subject="", metric="room.temperature", level="hi", severity=Severity.MINOR, at=at, value=27.6,
        limit=27.0, reason="limit_exceeded", rule_revision="r1",
    )  # fmt: skip


def worse(event: AlarmEvent, severity: Severity, value: float) -> AlarmEvent:
    return replace(
        event, revision=event.revision + 1, kind=AlarmEventKind.UPDATED, severity=severity, level="hihi", value=value,
        limit=30.0, at=event.at + 1000, reason="escalated",
    )  # fmt: skip


def ended(event: AlarmEvent, reason: EndReason = EndReason.RECOVERED) -> AlarmEvent:
    return replace(
        event, revision=event.revision + 1, kind=AlarmEventKind.ENDED, value=24.0, at=event.at + 1000, reason=reason
    )


async def deliver(world: World, events: Sequence[AlarmEvent]) -> None:
    """One block of the agent, in one transaction."""
    agent = await make_agent(world, world.home)
    async with world.server.db.write() as session:
        refused = await service_of(world.server, AlarmService).apply(
            session,
            site=agent.site,
            agent=agent,
            items=[AlarmItem(event=event) for event in events],
            now=world.clock.now(),
        )
    assert refused == []


async def tickets(world: World) -> Sequence[Ticket]:
    """Every ticket, youngest first; fails when a row is not what its log makes of it."""
    async with world.server.db.read() as session:
        rows, _ = await repository.list_tickets(session, Scope.system(), PageRequest(limit=50))
        for row in rows:
            assert summary_of(row) == await rederive(session, row.id), "the row and its log differ"
        return rows


async def alarm(world: World, occurrence: str) -> Alarm:
    async with world.server.db.read() as session:
        return await alarms.get_alarm(session, Scope.system(), occurrence)


async def act(world: World, ticket: Ticket, action: Action, **payload: str) -> None:
    async with world.server.db.write() as session:
        await service_of(world.server, TicketService).act(
            session, Scope.system(), ticket.id, action, payload, source="api", now=world.clock.now()
        )


async def pass_time(world: World, span: timedelta) -> None:
    """Time passes and the jobs that are due then run."""
    world.clock.advance(span.total_seconds())
    await world.server.jobs.run_due()


async def test_a_ramp_is_one_ticket_that_gets_worse(world: World) -> None:
    first = raised(world)
    await deliver(world, [first])
    second = worse(first, Severity.MAJOR, 30.4)
    await deliver(world, [second])
    await deliver(world, [worse(second, Severity.CRITICAL, 32.9)])
    (ticket,) = await tickets(world)
    assert (ticket.state, ticket.severity, ticket.device, ticket.rule) == ("new", "critical", "th-01", "room-hot")


async def test_every_order_and_any_repetition_of_events_ends_alike(world: World) -> None:
    for order in itertools.permutations(range(3)):
        first = raised(world)
        life = [first, second := worse(first, Severity.MAJOR, 30.4), ended(second)]
        for position in (*order, *order):
            await deliver(world, [life[position]])
        seen = await alarm(world, first.occurrence)
        assert (seen.active, seen.worst_severity, seen.revision, seen.end_reason) == (False, "major", 3, "recovered")
        world.clock.advance(60)
    # The second life came while the first ticket was open, so it is the same trouble.
    assert len(await tickets(world)) <= 1


def groupings(order: Sequence[int]) -> list[list[list[int]]]:
    """Every way to cut a sequence into blocks."""
    cuts = itertools.product([False, True], repeat=len(order) - 1)
    found = []
    for cut in cuts:
        blocks = [[order[0]]]
        for position, new in zip(order[1:], cut, strict=True):
            if new:
                blocks.append([])
            blocks[-1].append(position)
        found.append(blocks)
    return found


@pytest.mark.parametrize(
    ("worst", "reason", "state"),
    [
        (Severity.MINOR, EndReason.RULE_REMOVED, TicketState.NEW),
        (Severity.MINOR, EndReason.DEVICE_RETIRED, TicketState.NEW),
        (Severity.MINOR, EndReason.RECOVERED, TicketState.RESOLVED),
        (Severity.CRITICAL, EndReason.RECOVERED, TicketState.RESOLVED),
        (Severity.CRITICAL, EndReason.RULE_CHANGED, TicketState.NEW),
    ],
)
async def test_every_order_and_grouping_soon_after_a_ticket_ended_leads_to_the_same_one(
    world: World, worst: Severity, reason: EndReason, state: TicketState
) -> None:
    """The trouble is back 35 minutes after its ticket was resolved, and is over; heard of in every way there is."""
    ways = [way for order in itertools.permutations(range(3)) for way in groupings(order)]
    firsts = [replace(raised(world), device=f"th-{number}") for number in range(len(ways))]
    await deliver(world, firsts)
    await deliver(world, [ended(first) for first in firsts])
    await pass_time(world, HOLD * 2)
    assert {ticket.state for ticket in await tickets(world)} == {TicketState.RESOLVED}
    world.clock.advance(35 * 60)
    for number, way in enumerate(ways):
        first = replace(raised(world), device=f"th-{number}")
        second = worse(first, worst, 30.4)
        life = [first, second, replace(ended(second, reason), severity=Severity.MINOR)]
        for block in way:
            await deliver(world, [life[position] for position in block])
    reopened = {ticket.reopened for ticket in await tickets(world)}
    # What recovered and was no worse is no new work, if it was over before it was heard of.
    mild = worst is Severity.MINOR and reason is EndReason.RECOVERED
    assert reopened == ({0, 1} if mild else {1})
    await pass_time(world, HOLD * 2)
    assert {(ticket.state, ticket.severity) for ticket in await tickets(world)} == {(state, worst)}


async def test_a_ticket_nobody_took_resolves_itself_after_the_hold(world: World) -> None:
    first = raised(world)
    await deliver(world, [first])
    await deliver(world, [ended(first)])
    await pass_time(world, HOLD - timedelta(minutes=1))
    assert [ticket.state for ticket in await tickets(world)] == ["new"]
    await pass_time(world, timedelta(minutes=2))
    assert [ticket.state for ticket in await tickets(world)] == ["resolved"]


async def test_a_ticket_somebody_took_stays_theirs(world: World) -> None:
    first = raised(world)
    await deliver(world, [first])
    (ticket,) = await tickets(world)
    await act(world, ticket, Action.START)
    await deliver(world, [ended(first)])
    await pass_time(world, HOLD * 3)
    assert [row.state for row in await tickets(world)] == ["in_progress"]


@pytest.mark.parametrize("reason", [EndReason.RULE_REMOVED, EndReason.DEVICE_RETIRED, EndReason.SUPERSEDED])
async def test_an_alarm_that_did_not_recover_resolves_nothing(world: World, reason: EndReason) -> None:
    first = raised(world)
    await deliver(world, [first])
    await deliver(world, [ended(first, reason)])
    await pass_time(world, HOLD * 3)
    assert [row.state for row in await tickets(world)] == ["new"]


async def test_the_same_trouble_soon_after_reopens_and_later_opens_a_linked_one(world: World) -> None:
    first = raised(world)
    await deliver(world, [first, ended(first)])
    await deliver(world, [again := raised(world)])
    (ticket,) = await tickets(world)
    await act(world, ticket, Action.RESOLVE, note="Fan belt replaced")
    await deliver(world, [ended(again)])
    await pass_time(world, timedelta(hours=1))
    await deliver(world, [third := raised(world)])
    (same,) = await tickets(world)
    assert (same.id, same.state, same.reopened) == (ticket.id, TicketState.NEW, 1)
    await act(world, same, Action.RESOLVE, note="Motor replaced")
    await deliver(world, [ended(third)])
    world.clock.advance((REOPEN + timedelta(hours=1)).total_seconds())
    await deliver(world, [raised(world)])
    newest, oldest = await tickets(world)
    assert (newest.previous_id, oldest.state) == (ticket.id, "resolved")


async def test_acknowledging_the_ticket_acknowledges_its_alarm(world: World) -> None:
    first = raised(world)
    await deliver(world, [first])
    (ticket,) = await tickets(world)
    await act(world, ticket, Action.ACKNOWLEDGE, note="On my way")
    seen = await alarm(world, first.occurrence)
    assert (seen.state, seen.ack_note) == ("acked", "On my way")


async def test_information_is_recorded_and_opens_nothing(world: World) -> None:
    first = replace(raised(world), severity=Severity.INFO)
    await deliver(world, [first])
    assert (await alarm(world, first.occurrence)).active
    assert await tickets(world) == []

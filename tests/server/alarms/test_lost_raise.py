"""Snapshots reconcile upwards: what an agent holds and nobody heard raised becomes an alarm. On both databases."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from facility.alarms import AlarmEvent, EndReason
from facility.clock import from_ms, to_ms
from facility.severity import Severity
from facility.wire import RejectReason
from server.alarms.incoming import revision_of
from server.alarms.lifecycle import Ack, AlarmState, fold
from server.alarms.models import Alarm
from server.alarms.service import AlarmService
from server.fleet import catalogs
from server.kit.principal import Role
from server.tickets import repository as tickets
from tests.server.alarms.making import alarms, deliver, ended, item, minutes, raised, snapshot, updated
from tests.server.conftest import ClientAs
from tests.server.factories import World
from tests.server.finding import service_of
from tests.server.fleet.making import STREAM, a_catalog, make_agent


async def ticket_of(world: World, alarm_id: str) -> str | None:
    async with world.server.db.read() as session:
        found = await tickets.tickets_of(session, [alarm_id])
    return found[alarm_id].id if alarm_id in found else None


async def held_for_long(world: World, *events: AlarmEvent) -> Sequence[Alarm]:
    """Two snapshots ten minutes apart hold them."""
    await deliver(world, snapshot(world.clock.now(), *events))
    world.clock.advance(minutes(10).total_seconds())
    await deliver(world, snapshot(world.clock.now(), *events))
    return await alarms(world)


async def test_what_an_agent_holds_for_ten_minutes_and_nobody_raised_is_an_alarm_with_a_ticket(world: World) -> None:
    lost = raised(world.clock.now() - minutes(30))
    await deliver(world, snapshot(world.clock.now(), lost))
    assert await alarms(world) == []
    world.clock.advance(minutes(5).total_seconds())
    await deliver(world, snapshot(world.clock.now(), lost))
    assert await alarms(world) == [], "the raise may be under way"
    world.clock.advance(minutes(5).total_seconds())
    for _ in range(2):
        await deliver(world, snapshot(world.clock.now(), lost))
        world.clock.advance(minutes(10).total_seconds())
    (row,) = await alarms(world)
    assert (row.id, row.device, row.rule, row.active) == (lost.occurrence, "th-01", "room-hot", True)
    assert (row.severity, row.revision, row.state) == (Severity.MAJOR, 0, AlarmState.UNACKED)
    assert row.raised_at == world.clock.now() - minutes(60), "the time its id bears"
    assert await ticket_of(world, row.id) is not None


async def test_its_severity_is_the_worst_of_the_rule_as_the_catalog_tells_it(world: World) -> None:
    agent = await make_agent(world, world.home)
    async with world.server.db.write() as session:
        catalog = a_catalog("th-01")
        (rule,) = catalog.rules
        (level,) = rule.levels
        levels = (level, replace(level, id="hihi", severity=Severity.CRITICAL))
        catalog = replace(catalog, rules=(replace(rule, levels=levels),))
        await catalogs.receive(session, agent, catalog, stream=STREAM, seq=1, now=world.clock.now())
    (row,) = await held_for_long(world, raised(world.clock.now() - minutes(30)))
    assert (row.severity, row.metric, row.rule_en) == (Severity.CRITICAL, "room.temperature", "Room hot")


async def test_the_true_revisions_fold_into_it_whenever_they_come(world: World) -> None:
    """Every order of the two snapshots that lack the raise and the two revisions leads to the same alarm."""
    start = world.clock.now()
    seen = set()
    for number, order in enumerate(itertools.permutations(range(4))):
        first = replace(raised(start - minutes(30)), device=f"th-{number}", severity=Severity.MINOR)
        for position in order:
            at = world.clock.now()
            told = [snapshot(at, first), snapshot(at, first), item(first), item(updated(first, Severity.MAJOR))]
            await deliver(world, told[position])
            world.clock.advance(minutes(10).total_seconds())
        (row,) = await alarms(world, device=f"th-{number}")
        seen.add((row.active, row.revision, row.severity, row.worst_severity, row.value, row.metric, row.state))
        assert row.raised_at == start - minutes(30)
        assert await ticket_of(world, row.id) is not None
        await deliver(world, snapshot(world.clock.now() - minutes(1)))
    assert seen == {(True, 2, Severity.MAJOR, Severity.MAJOR, 33.0, "room.temperature", AlarmState.UNACKED)}


async def test_the_time_its_id_bears_stays_where_the_raise_never_comes(world: World) -> None:
    """An update or the end follows; whoever ended or came before is judged by that time, too."""
    start = world.clock.now() - minutes(30)
    one, other = raised(start), raised(start, device="th-02")
    before = raised(start - minutes(30))
    await deliver(world, item(before))
    await deliver(world, snapshot(world.clock.now(), one, other))
    world.clock.advance(minutes(10).total_seconds())
    await deliver(world, snapshot(world.clock.now(), one, other))
    late = to_ms(world.clock.now())
    await deliver(world, item(replace(ended(one), at=late)), item(replace(updated(other, Severity.MINOR), at=late)))
    times = {row.id: (row.raised_at, row.ended_at) for row in await alarms(world)}
    assert times[one.occurrence] == (start, world.clock.now())
    assert times[other.occurrence] == (start, None)
    (first,) = [row for row in await alarms(world) if row.id == before.occurrence]
    assert (first.succeeded_at, first.active) == (start, False)
    await deliver(world, item(one), item(replace(other, at=other.at + 60_000)))
    times = {row.id: (row.raised_at, row.ended_at) for row in await alarms(world)}
    assert times[other.occurrence] == (start + minutes(1), None), "its own word is believed once it is here"


async def test_a_level_of_any_name_becomes_an_alarm(world: World) -> None:
    agent = await make_agent(world, world.home)
    async with world.server.db.write() as session:
        catalog = a_catalog("th-01")
        (rule,) = catalog.rules
        catalog = replace(catalog, rules=(replace(rule, levels=(replace(rule.levels[0], id="h\x00" + "i" * 40),)),))
        await catalogs.receive(session, agent, catalog, stream=STREAM, seq=1, now=world.clock.now())
    (row,) = await held_for_long(world, raised(world.clock.now() - minutes(30)))
    assert row.level == "h" + "i" * 31


async def test_it_ends_as_any_other(world: World) -> None:
    one, other = raised(world.clock.now() - minutes(30)), raised(world.clock.now() - minutes(30), device="th-02")
    await held_for_long(world, one, other)
    await deliver(world, item(ended(one)))
    world.clock.advance(minutes(10).total_seconds())
    await deliver(world, snapshot(world.clock.now()))
    found = {row.device: (row.active, row.end_reason) for row in await alarms(world)}
    assert found == {"th-01": (False, EndReason.RECOVERED), "th-02": (False, EndReason.SUPERSEDED)}


async def test_what_was_over_between_two_snapshots_is_none(world: World) -> None:
    lost = raised(world.clock.now() - minutes(30))
    stale = snapshot(world.clock.now(), lost)
    await deliver(world, stale)
    world.clock.advance(minutes(10).total_seconds())
    await deliver(world, snapshot(world.clock.now()))
    world.clock.advance(minutes(10).total_seconds())
    await deliver(world, stale)
    assert await alarms(world) == []


async def test_an_agent_whose_clock_is_days_ahead_is_heard_all_the_same(world: World) -> None:
    ahead = timedelta(days=3)
    event = raised(world.clock.now() + ahead)
    (refused,) = await deliver(world, item(event), snapshot(world.clock.now() + ahead, event))
    assert refused.reason is RejectReason.BAD_TIME
    world.clock.advance(minutes(10).total_seconds())
    await deliver(world, snapshot(world.clock.now() + ahead, event))
    (row,) = await alarms(world)
    assert (row.active, row.raised_at) == (True, world.clock.now())
    world.clock.advance(minutes(10).total_seconds())
    await deliver(world, snapshot(world.clock.now()))
    assert [row.active for row in await alarms(world)] == [False], "its clock was set right, and it holds nothing"


async def test_whoever_acknowledged_it_is_asked_again_when_it_proves_worse(world: World, client_as: ClientAs) -> None:
    lost = raised(world.clock.now() - minutes(30))
    await held_for_long(world, lost)
    noc = await client_as(Role.NOC)
    assert (await noc.post(f"/api/v1/alarms/{lost.occurrence}/ack", json={})).json()["state"] == "acked"
    await deliver(world, item(lost))
    assert [row.state for row in await alarms(world)] == [AlarmState.ACKED]
    await deliver(world, item(updated(lost, Severity.CRITICAL)))
    assert [row.state for row in await alarms(world)] == [AlarmState.UNACKED]


def test_a_true_raise_that_is_worse_than_the_stand_in_ends_its_acknowledgement() -> None:
    true = revision_of(raised(from_ms(1_700_000_000_000), severity=Severity.CRITICAL))
    stand_in = replace(true, revision=0, severity=Severity.MAJOR)
    folded = fold([true, stand_in], acks=[Ack(0, Severity.MAJOR)])
    assert (folded.state, folded.revision, folded.severity) == (AlarmState.UNACKED, 1, Severity.CRITICAL)


async def test_an_entry_that_can_name_no_alarm_is_refused(world: World) -> None:
    lost = raised(world.clock.now() - minutes(30))
    refused = await deliver(world, snapshot(world.clock.now(), replace(lost, rule="x" * 121), lost))
    assert [(one.path, one.reason) for one in refused] == [("[0].snapshot[0]", RejectReason.BAD_ITEM)]


async def test_the_agent_may_raise_the_next_of_the_key(world: World) -> None:
    """The lost one is over, its end was lost too, and the trouble is back."""
    lost = raised(world.clock.now() - minutes(30))
    await held_for_long(world, lost)
    again = raised(world.clock.now())
    await deliver(world, item(again), service=service_of(world.server, AlarmService))
    assert [row.id for row in await alarms(world, active=True)] == [again.occurrence]
    assert await ticket_of(world, again.occurrence) == await ticket_of(world, lost.occurrence)

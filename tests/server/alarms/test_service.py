"""Alarms in the database: orders of arrival, snapshots, refusals, mutes, two writers at once. On both databases."""

import asyncio
import itertools
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from facility.alarms import AlarmEventKind, EndReason
from facility.severity import Severity
from rules.judges import Reason
from server.alarms import repository
from server.alarms.centre import CentreAlarms
from server.alarms.lifecycle import AlarmState, Arrival
from server.alarms.models import Alarm
from server.alarms.service import AlarmService
from server.alarms.watching import AlarmSnapshot
from server.db.session import ReadSession, WriteSession
from server.fleet import catalogs
from server.kit.principal import Role
from server.kit.scope import Scope
from server.tickets import repository as tickets
from tests.server.alarms.making import alarms, deliver, ended, item, minutes, raised, snapshot, updated
from tests.server.conftest import ClientAs
from tests.server.factories import World
from tests.server.finding import service_of
from tests.server.fleet.making import STREAM, a_catalog, make_agent


def told(row: Alarm) -> tuple[object, ...]:
    """Everything that must not depend on the order of arrival; `arrival` and `received_at` do, by their meaning."""
    names = "active state revision severity worst_severity level value raised_at updated_at ended_at end_reason"
    return tuple(getattr(row, name) for name in names.split())


async def test_every_order_of_arrival_gives_the_same_alarms(world: World) -> None:
    """Two occurrences of one key, the first one's end lost, and a snapshot that holds the second.

    Every fifth of the 120 orders; the fold itself is held to all of them in test_lifecycle.
    """
    start = world.clock.now()
    world.clock.advance(3600)
    seen = set()
    for number, order in enumerate(itertools.islice(itertools.permutations(range(5)), 0, None, 5)):
        device = f"th-{number}"
        first = raised(start, device=device)
        second = raised(start + minutes(20), device=device)
        block = [
            item(first),
            item(worse := updated(first, Severity.CRITICAL)),
            item(second),
            item(updated(second, Severity.CRITICAL)),
            snapshot(start + minutes(40), second),
        ]
        assert worse.revision == 2
        for position in order:
            await deliver(world, block[position])
        await deliver(world, *(block[position] for position in order if position != 4))
        rows = await alarms(world, device=device)
        seen.add(tuple(told(row) for row in rows))
        if number == 0:
            assert [(row.active, row.end_reason) for row in rows] == [(True, None), (False, EndReason.SUPERSEDED)]
    assert len(seen) == 1


async def test_an_alarm_carries_the_names_of_the_catalog(world: World) -> None:
    agent = await make_agent(world, world.home)
    async with world.server.db.write() as session:
        catalog = a_catalog("th-01", room=world.home.room.code)
        await catalogs.receive(session, agent, catalog, stream=STREAM, seq=1, now=world.clock.now())
    await deliver(world, item(raised(world.clock.now())))
    (row,) = await alarms(world)
    assert (row.device_en, row.rule_en, row.rule_zh, row.room) == (
        "Th-01",
        "Room hot",
        "机房高温",
        world.home.room.name,
    )


async def test_what_ended_before_it_arrived_is_recorded_as_such_with_its_ticket(world: World) -> None:
    event = raised(world.clock.now())
    await deliver(world, item(event), item(ended(event)))
    (row,) = await alarms(world)
    assert (row.arrival, row.active, row.state) == (
        Arrival.CLEARED_BEFORE_ARRIVAL,
        False,
        AlarmState.RETURNED_UNACKED,
    )
    async with world.server.db.read() as session:
        assert row.id in await tickets.tickets_of(session, [row.id])


async def test_a_snapshot_judges_nothing_that_began_after_it(world: World) -> None:
    now = world.clock.now()
    await deliver(world, item(raised(now)))
    await deliver(world, snapshot(now - minutes(1)))
    assert [row.active for row in await alarms(world)] == [True]
    await deliver(world, snapshot(now + minutes(10)))
    assert [(row.active, row.end_reason) for row in await alarms(world)] == [(False, EndReason.SUPERSEDED)]


async def test_a_snapshot_does_not_end_what_was_raised_in_its_moment(world: World) -> None:
    """The sample was taken, the snapshot made, and only then the sample judged; both stand in one block."""
    now = world.clock.now()
    event = raised(now)
    await deliver(world, snapshot(now), item(event))
    assert [row.active for row in await alarms(world)] == [True]
    await deliver(world, snapshot(now + timedelta(seconds=1)), item(updated(event, Severity.CRITICAL)))
    assert [row.active for row in await alarms(world)] == [True]
    await deliver(world, snapshot(now + minutes(1)))
    assert [row.active for row in await alarms(world)] == [False]


async def test_an_alarm_that_ends_by_a_clock_set_back_has_ended(world: World) -> None:
    """Its end bears an earlier time than its beginning; what follows has the greater id, as the agent makes them."""
    now = world.clock.now()
    first = raised(now)
    end = replace(ended(first), at=first.at - 3_500_000)
    second = replace(raised(now + minutes(2)), at=first.at - 3_400_000)
    assert second.occurrence > first.occurrence
    await deliver(world, item(first), item(end), item(second))
    await deliver(world, snapshot(now - minutes(50), second))
    assert {row.id: (row.active, row.end_reason) for row in await alarms(world)} == {
        first.occurrence: (False, EndReason.RECOVERED),
        second.occurrence: (True, None),
    }


@pytest.mark.parametrize("over", [True, False])
async def test_what_is_raised_by_a_clock_that_stepped_back_is_active(world: World, over: bool) -> None:
    """It bears the greater id, as the agent makes them, and an earlier time than what was before it."""
    now = world.clock.now()
    first = raised(now)
    await deliver(world, item(first), *([item(ended(first))] if over else []))
    younger = replace(raised(now + timedelta(milliseconds=1)), at=first.at - 3_600_000)
    await deliver(world, item(younger))
    await deliver(world, snapshot(now - minutes(50), younger))
    assert [row.id for row in await alarms(world, active=True)] == [younger.occurrence]


async def test_what_an_agent_raises_that_forgot_its_ids_counts_once_a_clock_that_stepped_back_has_caught_up(
    world: World,
) -> None:
    """The younger occurrence has the smaller id: it is taken for the older one, whatever snapshots of before say."""
    now = world.clock.now()
    first = raised(now)
    await deliver(world, item(first))
    younger = raised(now - minutes(60))
    await deliver(world, item(younger))
    await deliver(world, snapshot(now - minutes(50), younger))
    await deliver(world, snapshot(now, younger))
    assert [row.id for row in await alarms(world, active=True)] == [first.occurrence]
    await deliver(world, snapshot(now + minutes(10), younger))
    assert [row.id for row in await alarms(world, active=True)] == [younger.occurrence]


async def test_bad_items_are_refused_by_position_and_the_rest_is_taken(world: World) -> None:
    good = raised(world.clock.now())
    refused = await deliver(
        world,
        item(replace(good, occurrence="no-uuid")),
        item(good),
        item(replace(good, origin="other")),
        item(replace(good, value=99.0)),
        item(replace(good, revision=2, kind=AlarmEventKind.ENDED, reason="because")),
        item(replace(good, rule="x" * 121)),
        item(replace(good, subject="a\x00b")),
        item(replace(good, at=1)),
        item(replace(good, revision=2, device="th-02")),
    )
    assert {refusal.path: refusal.reason.value for refusal in refused} == {
        "[0]": "bad_item",
        "[2]": "bad_item",
        "[3]": "bad_item",
        "[4]": "bad_item",
        "[5]": "bad_item",
        "[6]": "bad_item",
        "[7]": "bad_time",
        "[8]": "bad_item",
    }
    assert [(row.id, row.value) for row in await alarms(world)] == [(good.occurrence, 28.4)]


async def test_an_entry_of_a_snapshot_that_names_no_occurrence_is_refused_and_the_others_are_believed(
    world: World,
) -> None:
    start = world.clock.now()
    held, over = raised(start), raised(start, device="th-02")
    await deliver(world, item(held), item(over))
    told = snapshot(start + minutes(1), held, replace(held, occurrence="a\x00b"))
    (refusal,) = await deliver(world, item(held), told)
    assert (refusal.path, refusal.reason.value) == ("[1].snapshot[1]", "bad_item")
    assert [row.id for row in await alarms(world, active=True)] == [held.occurrence]


async def test_the_database_itself_refuses_a_second_active_alarm_and_a_changed_log(world: World) -> None:
    event = raised(world.clock.now())
    await deliver(world, item(event))
    await deliver(world, item(ended(event)))
    await deliver(world, item(raised(world.clock.now() + minutes(5))))
    with pytest.raises(sa.exc.IntegrityError):
        async with world.server.db.write() as session:
            await session.execute(sa.update(Alarm).values(active=True))
    with pytest.raises(sa.exc.DBAPIError, match="append-only"):
        async with world.server.db.write() as session:
            await session.execute(sa.text("UPDATE alarm_events SET kind = 'raised'"))


async def test_writers_at_once_make_one_alarm_and_one_ticket(world: World) -> None:
    """Eight deliveries of the same key at once: duplicates of one occurrence and rivals with another."""
    now = world.clock.now()
    await make_agent(world, world.home)
    one, two = raised(now), raised(now + minutes(1))
    await asyncio.gather(*(deliver(world, item(event)) for event in (one, two) * 4))
    rows = await alarms(world)
    assert [(row.id, row.active) for row in rows] == [(two.occurrence, True), (one.occurrence, False)]
    async with world.server.db.read() as session:
        links = await tickets.tickets_of(session, [one.occurrence, two.occurrence])
    assert len({link.id for link in links.values()}) == 1
    assert len(links) == 2


class _Window:
    """A muter that can be switched off."""

    def __init__(self) -> None:
        self.open = True

    async def muted(self, session: ReadSession, alarm: AlarmSnapshot, now: datetime) -> str | None:
        return "maintenance_window" if self.open else None


class _Witness:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.seen: list[tuple[str | None, str | None]] = []

    async def on_change(
        self, session: WriteSession, before: AlarmSnapshot | None, after: AlarmSnapshot, now: datetime
    ) -> None:
        self.seen.append((before.muted_because if before else None, after.muted_because))


async def test_a_muted_alarm_is_shown_and_told_of_when_the_mute_ends(world: World) -> None:
    window, witness = _Window(), _Witness()
    service = AlarmService(observers=[witness], muters=[window])
    await deliver(world, item(raised(world.clock.now())), service=service)
    assert [(row.active, row.muted_because) for row in await alarms(world)] == [(True, "maintenance_window")]
    async with world.server.db.write() as session:
        await service.rejudge_mutes(session, world.clock.now())
    assert witness.seen == [(None, "maintenance_window")], "nothing changed, nobody is told"
    window.open = False
    async with world.server.db.write() as session:
        await service.rejudge_mutes(session, world.clock.now())
    assert witness.seen[1:] == [("maintenance_window", None)]
    assert [row.muted_because for row in await alarms(world)] == [None]


async def test_every_muted_alarm_is_looked_at_in_its_turn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest ones lie under a long window; the mute of a younger one ends."""
    monkeypatch.setattr("server.alarms.service.MOST_REJUDGED", 2)

    class Windows:
        held: frozenset[str] = frozenset()

        async def muted(self, session: ReadSession, alarm: AlarmSnapshot, now: datetime) -> str | None:
            return "maintenance_window" if not self.held or alarm.key.device in self.held else None

    windows = Windows()
    service = AlarmService(muters=[windows])
    now = world.clock.now()
    for number in range(5):
        event = raised(now - minutes(9 - number), device=f"ups-{number}")
        await deliver(world, item(event), service=service)
    windows.held = frozenset({"ups-0", "ups-1", "ups-2"})
    for _ in range(3):
        async with world.server.db.write() as session:
            await service.rejudge_mutes(session, now)
    assert {row.device for row in await alarms(world) if row.muted_because} == windows.held
    windows.held = frozenset({"nobody"})
    for _ in range(2):
        async with world.server.db.write() as session:
            await service.rejudge_mutes(session, now)
    assert [row.muted_because for row in await alarms(world)] == [None] * 5, "it begins anew after the last"


async def test_an_observer_that_fails_undoes_the_alarm(world: World) -> None:
    class Broken:
        async def on_change(
            self, session: WriteSession, before: AlarmSnapshot | None, after: AlarmSnapshot, now: datetime
        ) -> None:
            raise RuntimeError("no disk")

    event = raised(world.clock.now())
    with pytest.raises(RuntimeError, match="no disk"):
        await deliver(world, item(event), service=AlarmService(observers=[Broken()]))
    assert await alarms(world) == []
    assert await deliver(world, item(event)) == []
    assert [row.id for row in await alarms(world)] == [event.occurrence]


async def test_a_lost_agent_is_an_alarm_of_the_centre_until_it_returns(world: World) -> None:
    centre = CentreAlarms(service_of(world.server, AlarmService))
    agent = await make_agent(world, world.home)
    for _ in range(2):
        async with world.server.db.write() as session:
            await centre.agent_lost(session, agent=agent, since=world.clock.now(), now=world.clock.now())
    (row,) = await alarms(world, active=True)
    assert (row.origin, row.device, row.rule, row.rule_zh) == ("centre", "edge1", "agent-lost", "采集代理通信中断")
    async with world.server.db.write() as session:
        await centre.agent_returned(session, agent=agent, now=world.clock.now())
    assert [(row.active, row.end_reason) for row in await alarms(world)] == [(False, EndReason.RECOVERED)]


async def test_acknowledging_over_the_api(world: World, client_as: ClientAs) -> None:
    event = raised(world.clock.now())
    await deliver(world, item(event))
    noc = await client_as(Role.NOC)
    path = f"/api/v1/alarms/{event.occurrence}"
    acked = (await noc.post(f"{path}/ack", json={"note": "I am looking"})).json()
    assert (acked["state"], acked["ack_note"]) == ("acked", "I am looking")
    assert acked["ticket"]["number"].startswith("T-2026-")
    assert (await noc.post(f"{path}/ack", json={})).status_code == 409
    await deliver(world, item(updated(event, Severity.CRITICAL)))
    shown = (await noc.get(path)).json()
    assert (shown["state"], shown["acked_by"]) == ("unacked", None)
    assert [entry["kind"] for entry in shown["events"]] == ["raised", "acknowledged", "updated"]
    assert (await noc.post(f"{path}/ack", json={"note": "Still"})).json()["state"] == "acked"


async def test_an_alarm_says_how_often_the_same_trouble_came(world: World, client_as: ClientAs) -> None:
    start = world.clock.now()
    last = raised(start)
    for number in range(3):
        last = raised(start + minutes(20 * number))
        flapping = replace(updated(last, Severity.MAJOR), reason=Reason.FLAPPING, swings=4)
        await deliver(world, item(last), item(flapping), *([item(ended(flapping))] if number < 2 else []))
    await deliver(world, item(raised(start, device="th-02")))
    noc = await client_as(Role.NOC)
    shown = (await noc.get(f"/api/v1/alarms/{last.occurrence}")).json()
    times = [datetime.fromisoformat(shown[name]) for name in ("first_raised_at", "last_raised_at")]
    assert (shown["occurrences"], shown["swings"], times) == (3, 4, [start, start + minutes(40)])


@pytest.mark.parametrize("role", [Role.CUSTOMER, Role.AUDITOR])
async def test_who_only_looks_cannot_acknowledge(world: World, client_as: ClientAs, role: Role) -> None:
    event = raised(world.clock.now())
    await deliver(world, item(event))
    client = await client_as(role, customers=[world.home.customer.id])
    path = f"/api/v1/alarms/{event.occurrence}"
    assert (await client.get(path)).status_code == 200
    assert (await client.post(f"{path}/ack", json={})).status_code == 403


async def test_the_list_is_filtered(world: World, client_as: ClientAs) -> None:
    now = world.clock.now()
    over = raised(now, device="th-02", severity=Severity.MINOR)
    await deliver(world, item(raised(now + minutes(1))), item(over), item(ended(over)))
    noc = await client_as(Role.NOC)

    async def devices(**query: str) -> list[str]:
        answer = await noc.get("/api/v1/alarms", params=query)
        assert answer.status_code == 200, answer.text
        return [shown["device"] for shown in answer.json()["items"]]

    assert await devices() == ["th-01", "th-02"]
    assert await devices(active="true") == ["th-01"]
    assert await devices(severity="minor") == ["th-02"]
    assert await devices(state="returned_unacked") == ["th-02"]
    assert await devices(site="home", device="th-02") == ["th-02"]
    assert await devices(site="foreign") == []
    assert await devices(**{"from": (now + minutes(1)).isoformat()}) == ["th-01"]
    assert await devices(to=(now + minutes(1)).isoformat()) == ["th-02"]


async def test_active_alarms_are_exported_by_severity(world: World) -> None:
    await deliver(world, item(raised(world.clock.now(), severity=Severity.CRITICAL)))
    await world.server.jobs.run_due()
    assert b'coldaisle_server_active_alarms{severity="critical"} 1.0' in world.server.kit.metrics.exposition()
    async with world.server.db.read() as session:
        assert (await repository.active_by_severity(session, Scope.system()))[Severity.MINOR] == 0

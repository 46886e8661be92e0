"""Failures of other alarm servers, each held to here by its case. On both databases."""

from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from facility.alarms import AlarmEvent
from facility.clock import to_ms
from facility.ids import new_id
from facility.items import AlarmItem
from facility.severity import Severity
from server.alarms.centre import CentreAlarms
from server.alarms.service import AlarmService
from server.alarms.watching import AlarmSnapshot
from server.db.session import ReadSession, WriteSession
from server.fleet import service as fleet
from server.fleet.models import Device
from server.fleet.service import DeviceSeen
from server.fleet.watch import HEALTH_PERIOD, MISSED_PERIODS, silence_job
from server.kit.jobs import Job
from server.kit.principal import Role
from tests.server.alarms.making import alarms, deliver, item, minutes, raised, snapshot, updated
from tests.server.conftest import ClientAs
from tests.server.factories import World
from tests.server.finding import service_of
from tests.server.fleet.making import a_catalog, announce, make_agent

GRACE = HEALTH_PERIOD * MISSED_PERIODS


async def run(world: World, job: Job) -> None:
    async with world.server.db.write() as session:
        await job.run(session, world.clock.now())


async def test_an_alarm_of_an_agent_that_falls_silent_stays_an_alarm_marked_unknown(
    world: World, client_as: ClientAs
) -> None:
    """Telemetry stops, and elsewhere the firing alert is sent as resolved."""
    service = service_of(world.server, AlarmService)
    agent = await make_agent(world, world.home)
    hot = raised(world.clock.now())
    await deliver(world, item(hot))
    heard = world.clock.now()
    async with world.server.db.write() as session:
        await fleet.note_seen(session, {agent.id: heard}, {}, watchers=[], now=heard)
    noc = await client_as(Role.NOC)

    async def unknown_since() -> dict[str, object]:
        shown = (await noc.get("/api/v1/alarms")).json()["items"]
        assert (await noc.get(f"/api/v1/alarms/{hot.occurrence}")).json()["unknown_since"] == shown[-1]["unknown_since"]
        return {one["rule"]: one["unknown_since"] for one in shown}

    assert await unknown_since() == {"room-hot": None}
    job = silence_job([CentreAlarms(service)])
    await run(world, job)
    world.clock.advance(timedelta(days=1).total_seconds())
    await run(world, job)
    assert {(row.rule, row.active) for row in await alarms(world)} == {("agent-lost", True), ("room-hot", True)}
    last_heard = heard.isoformat().replace("+00:00", "Z")
    assert await unknown_since() == {"agent-lost": None, "room-hot": last_heard}
    world.clock.advance(60)
    async with world.server.db.write() as session:
        await fleet.note_seen(session, {agent.id: world.clock.now()}, {}, watchers=[], now=world.clock.now())
    assert (await unknown_since())["room-hot"] is None


async def test_of_a_lost_device_only_that_it_is_lost_is_known(world: World, client_as: ClientAs) -> None:
    """What it last said of its parts is as old as its values."""
    agent = await make_agent(world, world.home)
    await announce(world, agent, a_catalog("th-01"))
    now = world.clock.now()
    lost = replace(raised(now), metric="device.communication", rule="device-communication-lost")
    part, hot = replace(lost, occurrence=new_id(to_ms(now)), subject="probe/1"), raised(now)
    await deliver(world, item(lost), item(part), item(hot))
    async with world.server.db.write() as session:
        (device,) = await session.scalars(sa.select(Device))
        seen = {device.id: DeviceSeen(None, "lost", to_ms(now))}
        await fleet.note_seen(session, {agent.id: now}, seen, watchers=[], now=now)
    shown = (await (await client_as(Role.NOC)).get("/api/v1/alarms")).json()["items"]
    assert {(one["rule"], one["subject"]) for one in shown if one["unknown_since"] is None} == {
        ("device-communication-lost", "")
    }
    assert len(shown) == 3


async def test_of_a_lost_part_only_that_it_is_lost_is_known(world: World, client_as: ClientAs) -> None:
    """A card that has lost its UPS goes on giving what it read last."""
    agent = await make_agent(world, world.home)
    await announce(world, agent, a_catalog("th-01", "ups-1"))
    now = world.clock.now()
    lost = replace(raised(now), metric="device.communication", rule="device-communication-lost")

    def of(event: AlarmEvent, device: str, subject: str) -> AlarmItem:
        return item(replace(event, occurrence=new_id(to_ms(now)), device=device, subject=subject))

    hot, on_battery = raised(now), replace(raised(now), metric="ups.output.source", rule="ups-on-battery")
    places = ("probe/1", "probe/1/top", "probe/10")
    await deliver(world, of(lost, "th-01", "probe/1"), *(of(hot, "th-01", place) for place in places))
    await deliver(world, of(lost, "ups-1", "ups"), of(on_battery, "ups-1", ""))
    async with world.server.db.write() as session:
        await fleet.note_seen(session, {agent.id: now}, {}, watchers=[], now=now)
    shown = (await (await client_as(Role.NOC)).get("/api/v1/alarms")).json()["items"]
    since = {(one["device"], one["rule"], one["subject"]): one["unknown_since"] for one in shown}
    assert {name for name, at in since.items() if at is None} == {
        ("th-01", "device-communication-lost", "probe/1"),
        ("ups-1", "device-communication-lost", "ups"),
        ("th-01", "room-hot", "probe/10"),
    }
    assert len(since) == 6
    assert set(since.values()) - {None} == {shown[0]["raised_at"]}


async def test_a_restarted_server_holds_nobody_lost_before_it_has_listened(world: World) -> None:
    """A server was restarted, marked every device disconnected, and told everyone."""
    agents = [await make_agent(world, world.home, f"edge{number}") for number in range(1, 6)]
    centre, clock = CentreAlarms(service_of(world.server, AlarmService)), world.clock

    async def seen(*ids: str) -> None:
        async with world.server.db.write() as session:
            await fleet.note_seen(session, dict.fromkeys(ids, clock.now()), {}, watchers=[centre], now=clock.now())

    await seen(*(agent.id for agent in agents))
    clock.advance(timedelta(hours=8).total_seconds())
    restarted = silence_job([centre])
    await run(world, restarted)
    clock.advance(GRACE.total_seconds() - 1)
    await run(world, restarted)
    assert await alarms(world) == []
    await seen(*(agent.id for agent in agents[1:]))
    clock.advance(1)
    await run(world, restarted)
    assert [(row.rule, row.device) for row in await alarms(world)] == [("agent-lost", agents[0].code)]


class _Window:
    """A maintenance window."""

    async def muted(self, session: ReadSession, alarm: AlarmSnapshot, now: datetime) -> str | None:
        return "maintenance_window"


class _Told:
    """Hears what would be told to people: changes of alarms that nothing mutes."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def on_change(
        self, session: WriteSession, before: AlarmSnapshot | None, after: AlarmSnapshot, now: datetime
    ) -> None:
        if after.muted_because is None:
            self.heard.append(after.id)


async def test_a_muted_alarm_is_not_told_after_a_restart(world: World) -> None:
    """Silenced alerts went out after a restart, because what silences them had not arrived yet."""
    told, hot = _Told(), raised(world.clock.now())
    await deliver(world, item(hot), service=AlarmService(observers=[told], muters=[_Window()]))
    restarted = AlarmService(observers=[told], muters=[_Window()])
    world.clock.advance(60)
    await deliver(world, item(hot), service=restarted)
    await deliver(world, item(updated(hot, Severity.CRITICAL)), service=restarted)
    await deliver(world, snapshot(world.clock.now() + minutes(2), hot), service=restarted)
    async with world.server.db.write() as session:
        await restarted.rejudge_mutes(session, world.clock.now())
    assert told.heard == []
    assert [(row.active, row.muted_because) for row in await alarms(world)] == [(True, "maintenance_window")]

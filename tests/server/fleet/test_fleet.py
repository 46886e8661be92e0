"""Fleet over its REST and services, on both databases."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import msgspec
import pytest

from facility.catalog import Catalog, CatalogPoint
from facility.clock import to_ms
from facility.items import EventItem, EventKind
from facility.wire import AgentState, RejectReason, Status
from server.db.session import WriteSession
from server.fleet import catalogs, repository, service
from server.fleet.models import AgentStatus
from server.fleet.ordering import newer
from server.fleet.refs import AgentRef
from server.fleet.service import DeviceSeen
from server.fleet.watch import HEALTH_PERIOD, MISSED_PERIODS, silence_job
from server.kit.principal import Role
from server.kit.scope import Scope
from tests.server.conftest import ClientAs
from tests.server.factories import World
from tests.server.fleet.making import STREAM, a_catalog, announce, make_agent, make_device


@dataclass
class Watcher:
    """Hears of agents lost and returned."""

    heard: list[tuple[str, str]] = field(default_factory=list)

    async def agent_lost(self, session: WriteSession, *, agent: AgentRef, since: datetime, now: datetime) -> None:
        self.heard.append(("lost", agent.code))

    async def agent_returned(self, session: WriteSession, *, agent: AgentRef, now: datetime) -> None:
        self.heard.append(("returned", agent.code))

    async def agent_retired(self, session: WriteSession, *, agent: AgentRef, now: datetime) -> None:
        self.heard.append(("retired", agent.code))


async def test_catalog_becomes_devices_points_rules_and_room(world: World, client_as: ClientAs) -> None:
    agent = await make_agent(world, world.home)
    await announce(world, agent, a_catalog("th1", "th2", room="hall-9"))
    noc = await client_as(Role.NOC)
    devices = (await noc.get("/api/v1/devices", params={"site": "home"})).json()["items"]
    assert [(d["device"], d["site"], d["agent"], d["room"]) for d in devices] == [
        ("th1", "home", "edge1", "hall-9"),
        ("th2", "home", "edge1", "hall-9"),
    ]
    rooms = (await noc.get("/api/v1/rooms", params={"site": world.home.site.id})).json()["items"]
    assert devices[0]["room_id"] in {room["id"] for room in rooms if room["code"] == "hall-9"}
    detail = (await noc.get(f"/api/v1/devices/{devices[0]['id']}")).json()
    assert [(p["metric"], p["unit"], p["interval_s"]) for p in detail["points"]] == [("room.temperature", "Cel", 10.0)]
    assert [(r["rule"], r["levels"][0]["limit"], r["source"]) for r in detail["rules"]] == [
        ("room-hot", 28.0, "GB 50174-2017")
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"site": "home"}, 2),
        ({"site": "foreign"}, 1),
        ({"device": "th1"}, 2),
        ({"device": "th1", "site": "home"}, 1),
        ({"metric": "room.humidity"}, 0),
        ({"room": "home-room"}, 2),
        ({"kind": "sensor"}, 3),
        ({"kind": "ups"}, 0),
    ],
)
async def test_points_are_filtered(world: World, client_as: ClientAs, query: dict[str, str], found: int) -> None:
    home, foreign = await make_agent(world, world.home), await make_agent(world, world.foreign)
    await announce(world, home, a_catalog("th1", "th2", room="home-room"))
    await announce(world, foreign, a_catalog("th1", room="foreign-room"))
    items = (await (await client_as(Role.NOC)).get("/api/v1/points", params=query)).json()["items"]
    assert len(items) == found
    for item in items:
        assert {"id", "site", "device", "metric", "subject", "unit"} <= set(item)


async def test_retired_device_stays_known_and_keeps_its_points_when_it_returns(world: World) -> None:
    agent = await make_agent(world, world.home)
    row, point = await make_device(world, world.home)
    await announce(world, agent, a_catalog("th2"), seq=2)
    async with world.server.db.read() as session:
        retired = await service.device(session, Scope.system(), world.home.site.id, "th1")
    assert (retired.id, retired.active) == (row.id, False)
    await announce(world, agent, a_catalog("th1", "th2", limit=30.0), seq=3)
    async with world.server.db.read() as session:
        back = await service.device(session, Scope.system(), world.home.site.id, "th1")
        points = await service.points_of(session, Scope.system(), back.id)
    assert (back.id, back.active, [p.id for p in points]) == (row.id, True, [point.id])


async def test_a_catalog_that_does_not_know_all_points_of_a_device_retires_none(world: World) -> None:
    """After a restart an agent knows what its profiles say; what devices have it learns from their answers."""
    agent = await make_agent(world, world.home)
    first = a_catalog("th1", "th2")
    await announce(world, agent, first)

    async def active(device: str) -> list[str]:
        async with world.server.db.read() as session:
            row = await service.device(session, Scope.system(), world.home.site.id, device)
            return [point.metric for point in await service.points_of(session, Scope.system(), row.id)]

    other = (CatalogPoint("room.humidity"),)
    th1, th2 = first.devices
    began = replace(first, devices=(replace(th1, points=other, partial=True), replace(th2, points=other)))
    await announce(world, agent, began, seq=2)
    assert await active("th1") == ["room.humidity", "room.temperature"]
    assert await active("th2") == ["room.humidity"]
    await announce(world, agent, replace(first, devices=(replace(th1, points=other), th2)), seq=3)
    assert await active("th1") == ["room.humidity"]


def test_what_a_catalog_leaves_out_does_not_change_its_name() -> None:
    """Agents of different versions name the same content alike, or the centre would ask for catalogs it has."""
    catalog = a_catalog("th1")
    assert b"partial" not in msgspec.json.encode(catalog)
    assert msgspec.convert(msgspec.to_builtins(catalog), Catalog).digest() == catalog.digest()


async def test_a_catalog_that_is_overtaken_by_a_word_of_it_holds_when_it_comes(world: World) -> None:
    agent = await make_agent(world, world.home)
    await announce(world, agent, a_catalog("th1"))
    coming = a_catalog("th1", "th2")
    async with world.server.db.write() as session:
        row = await repository.locked_agent(session, agent.id)
        assert row is not None
        changed = await catalogs.activate(
            session, agent, row, coming.digest(), stream=STREAM, seq=3, sent_by="", now=world.clock.now()
        )
    assert not changed, "it is not here"
    await announce(world, agent, coming, seq=2)
    async with world.server.db.read() as session:
        row = await repository.get_agent(session, Scope.system(), agent.id)
    assert row.catalog_digest == coming.digest()


async def test_older_rule_revision_keeps_its_thresholds(world: World) -> None:
    agent = await make_agent(world, world.home)
    await announce(world, agent, a_catalog("th1"))
    await announce(world, agent, a_catalog("th1", limit=32.0, revision="r2"), seq=2)
    async with world.server.db.read() as session:
        scope = Scope.system()
        limits = [
            rule.levels[0]["limit"]
            for revision in ("r1", "r2", None)
            if (rule := await service.rule(session, scope, agent.id, "room-hot", revision)) is not None
        ]
    assert limits == [28.0, 32.0, 32.0]


async def test_part_of_a_catalog_is_refused_by_path(world: World) -> None:
    agent = await make_agent(world, world.home)
    catalog = a_catalog("th1", "No Slug", "th3")
    strange = CatalogPoint("room.temprature")
    devices = (*catalog.devices[:2], type(catalog.devices[2])(id="th3", kind="sensor", points=(strange,)))
    catalog = type(catalog)(catalog.agent_version, catalog.config_digest, devices, catalog.rules)
    async with world.server.db.write() as session:
        refused = await catalogs.receive(session, agent, catalog, stream=STREAM, seq=1, now=world.clock.now())
    assert [(item.path, item.reason) for item in refused] == [
        ("[0].devices[1]", RejectReason.BAD_ITEM),
        ("[0].devices[2].points[0]", RejectReason.UNKNOWN_METRIC),
    ]
    async with world.server.db.read() as session:
        known = await repository.devices_of_site(session, Scope.system(), world.home.site.id)
    assert sorted(known) == ["th1", "th3"]


@pytest.mark.parametrize("beyond", [1e306, 1e300, -1.0])
async def test_a_pace_that_nobody_can_reckon_with_is_refused_by_path(world: World, beyond: float) -> None:
    """The centre's rules and the holding of values look at all devices of a site at once."""
    agent = await make_agent(world, world.home)
    catalog = a_catalog("th1", "th2", "th3")
    slow, fine, odd = catalog.devices
    points = tuple(
        CatalogPoint(name, interval_s=interval_s, heartbeat_s=heartbeat_s)
        for name, interval_s, heartbeat_s in (
            ("room.temperature", beyond, None),
            ("room.humidity", 10.0, beyond),
            ("room.dew_point", 86_400.0, 86_400.0),
        )
    )
    devices = (replace(slow, interval_s=beyond), fine, replace(odd, points=points))
    async with world.server.db.write() as session:
        refused = await catalogs.receive(
            session, agent, replace(catalog, devices=devices), stream=STREAM, seq=1, now=world.clock.now()
        )
    assert [(item.path, item.reason) for item in refused] == [
        (path, RejectReason.BAD_ITEM)
        for path in ("[0].devices[0]", "[0].devices[2].points[0]", "[0].devices[2].points[1]")
    ]
    async with world.server.db.read() as session:
        rows = await repository.point_index(session, Scope.system(), world.home.site.id)
    assert sorted((row[0], row[1]) for row in rows) == [("th2", "room.temperature"), ("th3", "room.dew_point")]


async def test_agent_silent_for_three_periods_is_lost_once_and_returns_with_its_next_block(world: World) -> None:
    agent, watcher = await make_agent(world, world.home), Watcher()
    job = silence_job([watcher])
    db, clock = world.server.db, world.clock

    async def seen() -> None:
        async with db.write() as session:
            await service.note_seen(session, {agent.id: clock.now()}, {}, watchers=[watcher], now=clock.now())

    async def judged() -> AgentStatus:
        async with db.write() as session:
            await job.run(session, clock.now())
        async with db.read() as session:
            return (await repository.get_agent(session, Scope.system(), agent.id)).status

    assert await judged() is AgentStatus.NEVER
    device, _ = await make_device(world, world.home)
    await seen()
    async with db.write() as session:
        word = {device.id: DeviceSeen(clock.now(), "ok", to_ms(clock.now()))}
        await service.note_seen(session, {}, word, watchers=[], now=clock.now())
    clock.advance(HEALTH_PERIOD.total_seconds() * MISSED_PERIODS)
    assert await judged() is AgentStatus.ONLINE
    clock.advance(1)
    assert await judged() is AgentStatus.SILENT
    assert await judged() is AgentStatus.SILENT
    assert watcher.heard == [("lost", "edge1")]
    async with db.read() as reading:
        known = await repository.get_device(reading, Scope.system(), device.id)
    assert known.communication == "unknown", "of a silent agent's devices nothing is known"
    async with db.write() as session:
        # A retained "online" from before proves nothing.
        status = Status(1, AgentState.ONLINE, "1.0.0", to_ms(clock.now()))
        await service.note_status(session, agent, status, now=clock.now())
    assert await judged() is AgentStatus.SILENT
    await seen()
    assert await judged() is AgentStatus.ONLINE
    assert watcher.heard == [("lost", "edge1"), ("returned", "edge1")]


async def test_last_will_says_offline_and_silence_still_follows(world: World) -> None:
    agent, watcher = await make_agent(world, world.home), Watcher()
    db, clock = world.server.db, world.clock
    for state, expected in ((AgentState.ONLINE, AgentStatus.ONLINE), (AgentState.OFFLINE, AgentStatus.OFFLINE)):
        async with db.write() as session:
            await service.note_status(session, agent, Status(1, state, "2.0", 0), now=clock.now())
        async with db.read() as session:
            row = await repository.get_agent(session, Scope.system(), agent.id)
        assert (row.status, row.version) == (expected, "2.0")
    job = silence_job([watcher])
    for wait, heard in ((600, []), (120, []), (61, [("lost", "edge1")])):
        clock.advance(wait)
        async with db.write() as session:
            await job.run(session, clock.now())
        assert watcher.heard == heard, "the centre's own absence is no silence of the agent"


async def test_device_seen_never_goes_back(world: World) -> None:
    row, _ = await make_device(world, world.home)
    now = world.clock.now()
    for at, word, word_at in (
        (now, "ok", now),
        (now - timedelta(minutes=5), None, now),
        (None, "lost", now + timedelta(minutes=1)),
        (now - timedelta(minutes=4), "ok", now - timedelta(minutes=4)),
    ):
        async with world.server.db.write() as session:
            seen = DeviceSeen(at, word, to_ms(word_at))
            await service.note_seen(session, {}, {row.id: seen}, watchers=[], now=now)
    async with world.server.db.read() as session:
        device = await repository.get_device(session, Scope.system(), row.id)
    assert (device.last_seen_at, device.communication) == (now, "lost")


async def test_agent_is_made_by_who_may_and_only_once(world: World, client_as: ClientAs) -> None:
    body = {"site": world.home.site.id, "code": "edge7"}
    assert (await (await client_as(Role.NOC)).post("/api/v1/agents", json=body)).status_code == 403
    manager = await client_as(Role.MANAGER)
    made = await manager.post("/api/v1/agents", json=body)
    assert (made.status_code, made.json()["status"], made.json()["site"]) == (201, "never", "home")
    assert (await manager.post("/api/v1/agents", json=body)).status_code == 409


@pytest.mark.parametrize(
    ("stream", "seq", "sent_by", "expected"),
    [
        ("c", 1, "", True),
        ("c", 1, "c", True),
        ("b", 8, "b", True),
        ("b", 7, "b", False),
        ("b", 6, "", False),
        ("a", 900, "a", False),
        ("a", 900, "b", False),
        ("z", 900, "b", False),
    ],
)
def test_newer_is_the_later_number_of_the_opening_heard_of_last(
    stream: str, seq: int, sent_by: str, expected: bool
) -> None:
    assert newer(stream, seq, sent_by=sent_by, openings=["a", "b"], active=("b", 7)) is expected


def test_of_an_agent_nobody_heard_of_the_first_block_is_newer() -> None:
    assert newer("a", 1, sent_by="a", openings=[], active=("", 0))
    assert newer("b", 1, sent_by="b", openings=["a", "b"], active=("a", 90)), "its catalog was not here yet"


async def test_traps_are_events_of_their_device_once_and_of_their_site_only(world: World, client_as: ClientAs) -> None:
    agent = await make_agent(world, world.home)
    now = world.clock.now()
    trap = EventItem(
        STREAM, to_ms(now), EventKind.TRAP, "ups-1", {"trap": "1.3.6.1.2.1.33.2.1", "meaning": "on_battery"}
    )
    flood = EventItem(
        "0190f3c1-0000-7000-8000-00000000000a", to_ms(now) + 1, EventKind.TRAP_FLOOD, "", {"dropped": "312"}
    )
    for _ in range(2):
        async with world.server.db.write() as session:
            await service.note_events(session, agent, [trap, flood], now=now)
    noc = await client_as(Role.NOC)
    every = (await noc.get("/api/v1/events", params={"site": "home"})).json()["items"]
    assert [(each["kind"], each["device"]) for each in every] == [("trap_flood", ""), ("trap", "ups-1")]
    (found,) = (await noc.get("/api/v1/events", params={"device": "ups-1", "kind": "trap"})).json()["items"]
    assert found["payload"]["meaning"] == "on_battery"
    assert (await noc.get("/api/v1/events", params={"site": "nowhere"})).json()["items"] == []

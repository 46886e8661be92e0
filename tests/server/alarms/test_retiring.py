"""What an agent that is gone, or a device that moved, leaves active at the centre ends by name. On both databases."""

from collections.abc import Sequence
from datetime import timedelta

from facility.alarms import EndReason
from server.fleet import repository as fleet_repository
from server.fleet import service as fleet
from server.fleet.models import AgentStatus
from server.fleet.watch import AgentWatcher, AgentWatchers
from server.kit.principal import Role
from server.kit.scope import Scope
from tests.server.alarms.making import alarms, deliver, item, minutes, raised, snapshot
from tests.server.conftest import ClientAs
from tests.server.factories import World
from tests.server.finding import service_of
from tests.server.fleet.making import a_catalog, announce, make_agent


def watchers(world: World) -> Sequence[AgentWatcher]:
    return service_of(world.server, AgentWatchers).all


async def jobs(world: World, seconds: float = 60) -> None:
    world.clock.advance(seconds)
    await world.server.jobs.run_due()


async def held(world: World, **wanted: object) -> list[tuple[str, bool, EndReason | None]]:
    return [(row.rule, row.active, row.end_reason) for row in await alarms(world, **wanted)]


async def test_a_device_that_another_agent_polls_now_keeps_no_alarm_of_the_one_before(world: World) -> None:
    first, second = await make_agent(world, world.home, "edge1"), await make_agent(world, world.home, "edge2")
    await announce(world, first, a_catalog("th-01", "th-02"))
    moved, stays = raised(world.clock.now()), raised(world.clock.now(), device="th-02")
    await deliver(world, item(moved), item(stays))
    await jobs(world)
    assert await held(world) == [("room-hot", True, None)] * 2
    await announce(world, second, a_catalog("th-01"))
    await jobs(world)
    assert {row.device: row.end_reason for row in await alarms(world)} == {
        "th-01": EndReason.DEVICE_RETIRED,
        "th-02": None,
    }
    # The first agent lives after all, and is still of the opinion that it has it.
    await deliver(world, snapshot(world.clock.now() + minutes(1), moved, stays))
    for _ in range(2):
        assert await held(world) == [("room-hot", True, None)] * 2
        await jobs(world, 600)
    await announce(world, second, a_catalog("th-01", room="hall"), seq=2)
    await jobs(world)
    assert ("room-hot", False, EndReason.DEVICE_RETIRED) in await held(world), "a catalog that says so anew is believed"


async def test_an_alarm_that_comes_ahead_of_its_agents_catalog_stands(world: World) -> None:
    other = await make_agent(world, world.home, "edge2")
    await announce(world, other, a_catalog("th-01"))
    world.clock.advance(1)
    await deliver(world, item(raised(world.clock.now())))
    await jobs(world)
    assert await held(world) == [("room-hot", True, None)]
    await announce(world, await make_agent(world, world.home, "edge1"), a_catalog("th-01"))
    await jobs(world)
    assert await held(world) == [("room-hot", True, None)]


async def test_a_retired_agent_leaves_nothing_active_and_comes_back_when_it_speaks(
    world: World, client_as: ClientAs
) -> None:
    agent = await make_agent(world, world.home)
    await announce(world, agent, a_catalog("th-01"))
    event = raised(world.clock.now())
    await deliver(world, item(event))
    async with world.server.db.write() as session:
        await fleet.note_seen(session, {agent.id: world.clock.now()}, {}, watchers=[], now=world.clock.now())
    path = f"/api/v1/agents/{agent.id}/retire"
    assert "edge1" in (await (await client_as(Role.MANAGER)).get("/")).text
    assert (await (await client_as(Role.NOC)).post(path)).status_code == 403
    manager = await client_as(Role.MANAGER)
    refused = await manager.post(path)
    assert (refused.status_code, refused.json()["code"]) == (409, "agent_online")
    for _ in range(6):
        await jobs(world)
    assert ("agent-lost", True, None) in await held(world)
    for _ in range(2):
        done = await manager.post(path)
        assert (done.status_code, done.json()["status"]) == (200, "retired")
    assert "edge1" not in (await manager.get("/")).text
    await jobs(world)
    ended = EndReason.DEVICE_RETIRED
    assert sorted(await held(world)) == [("agent-lost", False, ended), ("room-hot", False, ended)]
    assert (await manager.get("/api/v1/devices", params={"site": "home"})).json()["items"] == []
    for _ in range(6):
        await jobs(world)
    assert await held(world, active=True) == [], "its silence is none any more"

    async with world.server.db.write() as session:
        await fleet.note_seen(session, {agent.id: world.clock.now()}, {}, watchers=[], now=world.clock.now())
    await announce(world, agent, a_catalog("th-01"), seq=2)
    async with world.server.db.read() as session:
        row = await fleet_repository.get_agent(session, Scope.system(), agent.id)
        device = await fleet.device(session, Scope.system(), world.home.site.id, "th-01")
    assert (row.status, device.active) == (AgentStatus.ONLINE, True)
    await deliver(world, snapshot(world.clock.now() + timedelta(seconds=1), event))
    assert await held(world, active=True) == [("room-hot", True, None)]


async def test_an_alarm_that_a_clock_ahead_holds_ends_with_its_agent(world: World) -> None:
    agent = await make_agent(world, world.home)
    await announce(world, agent, a_catalog("th-01"))
    event = raised(world.clock.now())
    await deliver(world, item(event))
    await deliver(world, snapshot(world.clock.now() + minutes(2)))
    ahead = world.clock.now() + minutes(30)
    await deliver(world, snapshot(ahead, event))
    assert await held(world) == [("room-hot", True, None)]
    async with world.server.db.write() as session:
        await fleet.retire_agent(session, Scope.system(), agent.id, watchers=watchers(world), now=world.clock.now())
    ended = ("room-hot", False, EndReason.DEVICE_RETIRED)
    assert await held(world) == [ended]
    await deliver(world, snapshot(ahead, event))
    assert await held(world) == [ended], "the same snapshot again says nothing new"
    await deliver(world, snapshot(ahead + timedelta(seconds=1), event))
    assert await held(world) == [("room-hot", True, None)]

"""A UPS on battery, then silence: critical at once, over when the agent speaks again. On both databases."""

from dataclasses import replace

from facility.alarms import AlarmEvent
from facility.clock import to_ms
from facility.wire import AgentState, Status
from server.fleet import service as fleet
from tests.server.alarms.making import alarms, deliver, ended, item, raised
from tests.server.factories import World
from tests.server.fleet.making import make_agent


def on_battery(world: World) -> AlarmEvent:
    event = raised(world.clock.now(), device="ups-1")
    return replace(event, rule="ups-on-battery", metric="ups.output.source", value="battery", limit="battery")


async def say(world: World, state: AgentState, *, goodbye: bool = False) -> None:
    """The agent's own word, or its last will; the jobs that are due then run."""
    agent = await make_agent(world, world.home)
    async with world.server.db.write() as session:
        now = world.clock.now()
        await fleet.note_status(session, agent, Status(1, state, "1", to_ms(now), goodbye), now=now)
    world.clock.advance(5)
    await world.server.jobs.run_due()


async def dark(world: World) -> list[tuple[str, str, object, bool]]:
    return [(row.device, row.severity.value, row.value, row.active) for row in await alarms(world, rule="site-dark")]


async def test_silence_on_battery_is_critical_at_once_in_either_order(world: World) -> None:
    await say(world, AgentState.ONLINE)
    event = on_battery(world)
    await deliver(world, item(event))
    await say(world, AgentState.ONLINE)
    assert await dark(world) == [], "on battery and talking is not dark"
    await say(world, AgentState.OFFLINE)
    assert await dark(world) == [("edge1", "critical", "ups-1", True)]
    await say(world, AgentState.ONLINE)
    assert await dark(world) == [("edge1", "critical", "ups-1", False)]
    await deliver(world, item(ended(event)))
    await say(world, AgentState.OFFLINE)
    assert await dark(world) == [("edge1", "critical", "ups-1", False)], "silence on mains is an agent lost, no more"
    await deliver(world, item(on_battery(world)))
    await say(world, AgentState.OFFLINE)
    assert [row[3] for row in await dark(world)] == [False], "its agent may be back, and that is noted in a moment"
    world.clock.advance(10)
    await world.server.jobs.run_due()
    assert [row[3] for row in await dark(world)] == [True, False], "the alarm that arrives after the will counts too"


async def test_an_agent_that_is_back_with_its_alarm_after_a_will_is_not_dark(world: World) -> None:
    """The broker was restarted while the mains were gone: will, alarm and sign of life come in that order."""
    await say(world, AgentState.ONLINE)
    await say(world, AgentState.OFFLINE)
    await deliver(world, item(on_battery(world)))
    await world.server.jobs.run_due()
    world.clock.advance(5)
    await world.server.jobs.run_due()
    assert await dark(world) == []
    await say(world, AgentState.ONLINE)
    world.clock.advance(60)
    await world.server.jobs.run_due()
    assert await dark(world) == []


async def test_another_alarm_before_the_silence_is_not_darkness(world: World) -> None:
    await say(world, AgentState.ONLINE)
    await deliver(world, item(raised(world.clock.now())))
    await say(world, AgentState.OFFLINE)
    assert await dark(world) == []


async def test_a_goodbye_on_battery_is_dark_only_when_the_agent_does_not_come_back(world: World) -> None:
    """It is restarted for service; or its machine was shut down, because the battery runs out."""
    await say(world, AgentState.ONLINE)
    await deliver(world, item(on_battery(world)))
    await say(world, AgentState.OFFLINE, goodbye=True)
    await say(world, AgentState.OFFLINE)
    assert await dark(world) == [], "the goodbye outweighs a will"
    await say(world, AgentState.ONLINE)
    assert await dark(world) == []
    await say(world, AgentState.OFFLINE, goodbye=True)
    for _ in range(4):
        world.clock.advance(60)
        await world.server.jobs.run_due()
    assert await dark(world) == [("edge1", "critical", "ups-1", True)]


async def test_blocks_that_came_before_the_will_do_not_put_the_alarm_off(world: World) -> None:
    """Both are noted every few seconds: a site goes dark within the same ones in which it spoke."""
    await say(world, AgentState.ONLINE)
    await deliver(world, item(on_battery(world)))
    agent = await make_agent(world, world.home)
    spoke = world.clock.now()
    world.clock.advance(1)
    await say(world, AgentState.OFFLINE)
    async with world.server.db.write() as session:
        await fleet.note_seen(session, {agent.id: spoke}, {}, watchers=[], now=world.clock.now())
    world.clock.advance(5)
    await world.server.jobs.run_due()
    assert await dark(world) == [("edge1", "critical", "ups-1", True)]
    async with world.server.db.write() as session:
        await fleet.note_seen(session, {agent.id: world.clock.now()}, {}, watchers=[], now=world.clock.now())
    world.clock.advance(5)
    await world.server.jobs.run_due()
    assert await dark(world) == [("edge1", "critical", "ups-1", False)]

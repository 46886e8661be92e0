"""Lost and refused data become alarms, found in the state by a job. On both databases."""

import json

import pytest
import sqlalchemy as sa
from msgspec import UNSET

from facility.alarms import EndReason
from facility.clock import to_ms
from facility.ids import new_id
from facility.items import HealthItem
from server.fleet import repository
from server.fleet import service as fleet
from server.fleet.drops import MAX_REASONS, MAX_STREAMS, MOST_SUMMED, Drops, by_reason, with_drops
from server.fleet.models import Agent
from server.fleet.watch import AgentWatchers
from server.ingest.models import Quarantined
from server.kit.scope import Scope
from tests.server.alarms.making import alarms
from tests.server.factories import World
from tests.server.finding import service_of
from tests.server.fleet.making import make_agent

FIRST, SECOND, THIRD = (f"0190f3c0-0000-7000-8000-00000000000{n}" for n in (1, 2, 3))


async def report(
    world: World,
    *,
    stream: str = FIRST,
    before: dict[str, dict[str, int]] | None = None,
    ahead_s: int = 0,
    version: str = "1",
    **drops: int,
) -> None:
    """The agent's next health report, and the jobs after it."""
    world.clock.advance(60)
    now = world.clock.now()
    agent = await make_agent(world, world.home)
    item = HealthItem(
        at=to_ms(now) + 1000 * ahead_s,
        version=version,
        config_digest="",
        uptime_s=1.0,
        unsent_blocks=0,
        unsent_bytes=0,
        oldest_unsent_s=0.0,
        journal_bytes=0,
        devices=1,
        devices_lost=0,
        readings=1,
        missed_slots=0,
        drops=drops,
        drops_before=before or UNSET,
    )
    async with world.server.db.write() as session:
        row = await repository.locked_agent(session, agent.id)
        assert row is not None
        fleet.note_health(row, item, stream=stream, now=now)
    await world.server.jobs.run_due()


async def shown(world: World) -> list[tuple[str, float | str | None, bool]]:
    return [(row.subject, row.value, row.active) for row in await alarms(world, rule="readings-dropped")]


async def test_lost_readings_are_an_alarm_until_none_were_lost_for_an_hour(world: World) -> None:
    await report(world)
    assert await shown(world) == []
    await report(world, disk_full=5)
    await report(world, disk_full=9)
    assert await shown(world) == [("disk_full", 5.0, True)]
    world.clock.advance(600)
    await report(world, disk_full=12)
    assert await shown(world) == [("disk_full", 12.0, True)]
    world.clock.advance(3600)
    await report(world, disk_full=12)
    assert await shown(world) == [("disk_full", 12.0, False)]
    assert [row.end_reason for row in await alarms(world)] == [EndReason.RECOVERED]
    await report(world, disk_full=12)
    assert len(await shown(world)) == 1, "what was said once is not said again"
    await report(world, stream=SECOND, before={FIRST: {"disk_full": 12}})
    assert len(await shown(world)) == 1, "a restart loses nothing"
    await report(world, stream=SECOND, disk_full=12)
    assert await shown(world) == [("disk_full", 24.0, True), ("disk_full", 12.0, False)], "a new stream counts anew"


async def test_a_loss_that_a_new_stream_no_longer_names_ends_too(world: World) -> None:
    await report(world, disk_full=5, too_old=1)
    for minutes, active in ((30, True), (31, False)):
        world.clock.advance(minutes * 60)
        await report(world, too_old=1)
        await report(world)
        assert [row.active for row in await alarms(world, rule="readings-dropped")] == [active, active]


async def test_losses_told_in_any_order_and_twice_are_the_same(world: World) -> None:
    told: list[tuple[str, dict[str, dict[str, int]], int]] = [
        (FIRST, {}, 3),
        (FIRST, {}, 5),
        (SECOND, {FIRST: {"clock": 6}}, 1),
        (THIRD, {FIRST: {"clock": 6}, SECOND: {"clock": 2}}, 4),
    ]
    for stream, before, count in [*reversed(told), *told]:
        await report(world, stream=stream, before=before, clock=count)
        assert await drops_of(world) == {"clock": 12}
    assert await shown(world) == [("clock", 12.0, True)]


async def test_what_an_agent_loses_after_it_was_retired_is_an_alarm_again(world: World) -> None:
    await report(world, disk_full=1000)
    agent = await make_agent(world, world.home)
    async with world.server.db.write() as session:
        watchers = service_of(world.server, AgentWatchers).all
        await fleet.retire_agent(session, Scope.system(), agent.id, watchers=watchers, now=world.clock.now())
    await report(world, disk_full=1010)
    assert await shown(world) == [("disk_full", 1000.0, False)], "nobody waits for a retired agent"
    async with world.server.db.write() as session:
        await fleet.note_seen(session, {agent.id: world.clock.now()}, {}, watchers=[], now=world.clock.now())
    await report(world, stream=SECOND, disk_full=50)
    assert await shown(world) == [("disk_full", 1060.0, True), ("disk_full", 1000.0, False)]


async def drops_of(world: World) -> dict[str, int]:
    async with world.server.db.read() as session:
        return by_reason((await session.scalars(sa.select(Agent))).one().drops)


async def test_figures_that_cannot_be_stop_nobody(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """They were stored before figures were judged on arrival."""
    other = await make_agent(world, world.home, "edge9")
    odd: dict[str, object] = {"huge": 10**400, "large": 2**63, "negative": -5, "words": "many", "good": 2}
    async with world.server.db.write() as session:
        values = {"drops": {FIRST: odd}, "health": {"readings_every_s": 10**400, "spacing_s": -1.0, "drops": odd}}
        await session.execute(sa.update(Agent).where(Agent.id == other.id).values(**values))
    await report(world, disk_full=5)
    assert sorted(await shown(world)) == [("disk_full", 5.0, True), ("good", 2.0, True)]
    assert [each.message for each in caplog.records if "job failed" in each.message] == []
    async with world.server.db.write() as session:
        row = await session.get_one(Agent, other.id)
        assert with_drops(row.drops, {FIRST: {"huge": 3, "good": 4}})[FIRST] == {"huge": 3, "good": 4}


async def test_a_report_dated_ahead_hides_none_that_come_after(world: World) -> None:
    await report(world, ahead_s=365 * 86_400, version="2", clock=1)
    await report(world, version="3", clock=5)
    assert await drops_of(world) == {"clock": 5}
    async with world.server.db.read() as session:
        agent = (await session.scalars(sa.select(Agent))).one()
        assert (agent.version, agent.health_at) == ("3", world.clock.now())


def stream(number: int) -> str:
    return f"{number:036}"


def kept(held: Drops) -> set[str]:
    return {name for name, counts in held.items() if name and isinstance(counts, dict)}


def test_streams_that_were_not_told_of_for_longest_are_one_sum() -> None:
    held = with_drops({"clock": 9}, {})  # told before streams were
    for number in range(100, 0, -1):
        held = json.loads(json.dumps(with_drops(held, {stream(number): {"clock": 1, "none": 0}}), sort_keys=True))
    assert by_reason(held) == {"clock": 100}
    assert kept(held) == {stream(number) for number in range(1, MAX_STREAMS + 1)}


def test_a_stream_of_a_machine_that_does_not_know_the_time_is_told_again_without_a_new_loss() -> None:
    """Its id is the least of all, as it was made in 1970."""
    held: Drops = {}
    for number in range(1, MAX_STREAMS + 1):
        held = with_drops(held, {stream(number): {"clock": 1}})
    for _ in range(5):
        held = with_drops(held, {stream(2): {"clock": 1}, stream(0): {"clock": 10}})
        assert by_reason(held) == {"clock": MAX_STREAMS + 10}
    assert kept(held) == {stream(0), *(stream(number) for number in range(2, MAX_STREAMS + 1))}


def test_a_late_word_of_a_stream_that_was_summed_adds_nothing() -> None:
    held: Drops = {}
    for number in range(MAX_STREAMS + MOST_SUMMED):
        held = with_drops(held, {stream(number): {"clock": 1}})
    for _ in range(3):
        held = with_drops(held, {stream(0): {"clock": 5}, stream(MOST_SUMMED - 1): {"clock": 1}})
        assert by_reason(held) == {"clock": MAX_STREAMS + MOST_SUMMED}
    for number in range(2000, 3000):
        held = with_drops(held, {stream(number): {"clock": 1}})
    assert len(json.dumps(held)) < 50_000


def test_reasons_are_few_and_the_rest_is_one_sum() -> None:
    told = {f"r{n:03}": 1 for n in range(500)}
    held = with_drops({}, {FIRST: told})
    for _ in range(2):
        counts = by_reason(held)
        assert (len(counts), counts["other"]) == (MAX_REASONS + 1, 500 - MAX_REASONS)
        held = with_drops(held, {FIRST: told, SECOND: {}})
    held = with_drops(held, {SECOND: {"another": 3, "r000": 2}})
    counts = by_reason(held)
    assert (len(counts), counts["other"], counts["r000"]) == (MAX_REASONS + 1, 500 - MAX_REASONS + 3, 3)


async def test_refused_data_are_an_alarm_until_none_came_for_an_hour(world: World) -> None:
    await make_agent(world, world.home)
    now = world.clock.now()
    async with world.server.db.write() as session:
        for agent in ("edge1", "unknown"):
            key = new_id(to_ms(now))
            session.add(
                Quarantined(
                    id=key,
                    at=now,
                    site=world.home.site.code,
                    agent=agent,
                    kind="readings",
                    stream=key,
                    seq=1,
                    path="[0]",
                    reason="bad_item",
                    detail="",
                    size=1,
                    kept=1,
                    payload=b"x",
                    key=key,
                )
            )
    for minutes, active in ((1, True), (30, True), (30, False)):
        world.clock.advance(minutes * 60)
        await world.server.jobs.run_due()
        found = await alarms(world, rule="block-quarantined")
        assert [(row.device, row.value, row.active) for row in found] == [("edge1", "bad_item", active)]

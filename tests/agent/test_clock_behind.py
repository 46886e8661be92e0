"""An agent that boots by a clock that is wrong but not absurd: behind, or ahead of, what it has seen itself before."""

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from agent.app import Agent
from agent.guard import BEHIND_MS, DOUBT_MS
from agent.health import health_of
from agent.journal import BlockState, DropReason, Store
from agent.journal.sql import StoreFull
from facility.clock import to_ms
from facility.ids import made_at
from facility.items import decode_alarms
from facility.reading import Quality, QualityReason, Reading
from facility.wire import Kind, decode
from tests.agent.journals import START
from tests.agent.test_clock_guard import Machine, alarm_events, booted, configured, kept_readings, poll, set_clock

HOUR = timedelta(hours=1)


def kept(wall: datetime) -> Machine:
    """A machine whose clock somebody keeps right."""
    machine = Machine(wall)
    machine.clock.kept = lambda: True
    return machine


def looked(agent: Agent, machine: Machine) -> bool:
    """What the agent does each ten seconds."""
    return agent._pipeline.believe(kept=machine.clock.kept())


async def raised_and_over(config: Path, machine: Machine) -> str:
    """An alarm comes and goes, and the agent ends; its occurrence."""
    async with booted(config, machine) as agent:
        machine.pass_time(10)
        looked(agent, machine)
        poll(agent, machine, 60.0)
        (held,) = agent.engine.active()
        machine.pass_time(300)
        poll(agent, machine, 20.0)
        assert agent.engine.active() == []
    return held.occurrence


async def readings_of(agent: Agent) -> list[Reading]:
    await agent.journal.commit()
    return await kept_readings(agent)


async def settled(agent: Agent, machine: Machine) -> None:
    """The centre has everything, so what comes next stands alone."""
    machine.pass_time(10)
    await agent.journal.commit()
    for kind in Kind:
        for each in await agent.journal.unsent(kind, limit=1000):
            agent.journal.settle(each.block.key, BlockState.COMMITTED)
    await agent.journal.commit()


@pytest.fixture
def machine() -> Machine:
    return Machine(START)


@pytest.mark.parametrize("ahead", [HOUR, 8 * HOUR, timedelta(days=3650)])
async def test_what_is_raised_after_a_restart_by_a_corrected_clock_is_the_younger(
    tmp_path: Path, ahead: timedelta
) -> None:
    config = configured(tmp_path, hold="0s")
    corrected = [kept(START + timedelta(minutes=minutes)) for minutes in (15, 20, 25)]
    occurrences = [await raised_and_over(config, each) for each in (Machine(START + ahead), *corrected)]
    assert occurrences == sorted(occurrences)


async def test_what_is_raised_after_the_clock_was_corrected_and_the_agent_restarted_is_the_younger(
    tmp_path: Path,
) -> None:
    config = configured(tmp_path, hold="0s")
    machine = Machine(START + HOUR)
    async with booted(config, machine) as agent:
        machine.pass_time(10)
        set_clock(agent, machine, START)
        poll(agent, machine, 60.0)
        machine.pass_time(300)
        poll(agent, machine, 20.0)
        before = (await alarm_events(agent))[0].occurrence
    assert await raised_and_over(config, kept(machine.wall)) > before


@pytest.mark.parametrize("behind", [10 * HOUR, timedelta(days=1000)])
async def test_a_clock_behind_what_was_seen_before_counts_as_not_set(
    tmp_path: Path, machine: Machine, behind: timedelta
) -> None:
    config = configured(tmp_path, hold="0s")
    await raised_and_over(config, machine)
    board = Machine(START - behind)
    async with booted(config, board) as agent:
        await settled(agent, board)
        poll(agent, board, 60.0)
        board.pass_time(60)
        poll(agent, board, 60.0)
        assert [each.rule for each in agent.engine.active()] == ["hot"], "it is judged, and told of at the site"
        agent._snapshots.say()
        assert not looked(agent, board)
        assert (await alarm_events(agent), await readings_of(agent)) == ([], [])
        now = START + HOUR
        set_clock(agent, board, now)
        (raised,) = await alarm_events(agent)
        assert raised.at == to_ms(now) - 60_000
        found = await readings_of(agent)
        assert [to_ms(now) - each.taken_at for each in found] == [60_000, 0]
        assert {(each.quality, each.reason) for each in found} == {(Quality.UNCERTAIN, QualityReason.CLOCK)}
        board.pass_time(10)
        poll(agent, board, 60.0)
        assert (await readings_of(agent))[-1].quality is Quality.GOOD


async def test_a_clock_that_stood_a_little_behind_is_believed(tmp_path: Path, machine: Machine) -> None:
    config = configured(tmp_path, hold="0s")
    await raised_and_over(config, machine)
    again = Machine(machine.wall - timedelta(milliseconds=BEHIND_MS))
    async with booted(config, again) as agent:
        await settled(agent, again)
        poll(agent, again, 60.0)
        assert len(await alarm_events(agent)) == 1
        assert [each.quality for each in await readings_of(agent)] == [Quality.GOOD]


async def test_a_clock_that_nobody_sets_is_waited_for_ten_minutes(tmp_path: Path, machine: Machine) -> None:
    config = configured(tmp_path, hold="0s")
    await raised_and_over(config, machine)
    board = Machine(machine.wall - HOUR)
    async with booted(config, board) as agent:
        await settled(agent, board)
        began = to_ms(board.wall)
        poll(agent, board, 60.0)
        board.pass_time(DOUBT_MS / 1000 - 11)
        assert not looked(agent, board)
        board.pass_time(1)
        assert looked(agent, board)
        (raised,) = await alarm_events(agent)
        assert raised.at == began
        poll(agent, board, 60.0)
        found = await readings_of(agent)
        assert [each.taken_at - began for each in found] == [0, DOUBT_MS - 10_000]
        assert {(each.quality, each.reason) for each in found} == {(Quality.UNCERTAIN, QualityReason.CLOCK)}
        board.pass_time(3600)
        poll(agent, board, 60.0)
        assert (await readings_of(agent))[-1].quality is Quality.GOOD, "no time twice from here on"
        assert agent.journal.stats().drops == {}


async def test_the_end_of_a_doubt_is_followed_by_a_snapshot_also_when_a_poll_ends_it(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path, hold="0s")
    await raised_and_over(config, machine)
    board = Machine(machine.wall - HOUR)
    async with booted(config, board) as agent:
        await settled(agent, board)
        monkeypatch.setattr(agent, "uplink", Mock(connected=True))
        poll(agent, board, 60.0)
        board.pass_time(DOUBT_MS / 1000)
        poll(agent, board, 60.0)
        assert not agent._guard.doubts
        await agent.journal.commit()
        blocks = [each.block for each in await agent.journal.unsent(Kind.ALARMS, limit=10)]
        items = [item for block in blocks for item in decode_alarms(decode(block.payload()).items)[0]]
        (active,) = agent.engine.active()
        assert [each.occurrence for item in items for each in item.snapshot or ()] == [active.occurrence]


async def test_a_doubt_is_no_reason_to_lose_anything(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path, hold="0s")
    await raised_and_over(config, machine)
    board = Machine(machine.wall - HOUR)
    async with booted(config, board) as agent:
        await settled(agent, board)
        monkeypatch.setattr(agent._guard, "_max", 3)
        for _ in range(5):
            poll(agent, board, 60.0)
            board.pass_time(10)
        assert len(await readings_of(agent)) == 5
        assert len(await alarm_events(agent)) == 1
        assert agent.journal.stats().drops == {}


async def test_a_clock_that_is_kept_is_believed_whatever_was_seen_before(tmp_path: Path, machine: Machine) -> None:
    """It was corrected while the agent was down."""
    config = configured(tmp_path, hold="0s")
    await raised_and_over(config, machine)
    corrected = kept(START - HOUR)
    async with booted(config, corrected) as agent:
        await settled(agent, corrected)
        poll(agent, corrected, 60.0)
        assert looked(agent, corrected)
        assert len(await alarm_events(agent)) == 1
        assert [each.quality for each in await readings_of(agent)] == [Quality.GOOD]


async def test_a_doubted_clock_that_is_found_right_had_been_right(tmp_path: Path, machine: Machine) -> None:
    config = configured(tmp_path, hold="0s")
    await raised_and_over(config, machine)
    board = Machine(START - HOUR)
    async with booted(config, board) as agent:
        await settled(agent, board)
        poll(agent, board, 60.0)
        board.pass_time(30)
        board.clock.kept = lambda: True
        assert looked(agent, board)
        poll(agent, board, 60.0)
        assert [each.at for each in await alarm_events(agent)] == [to_ms(START - HOUR) + 10_000]
        assert [each.quality for each in await readings_of(agent)] == [Quality.GOOD, Quality.GOOD]


@pytest.mark.parametrize("orderly", [True, False])
async def test_the_doubt_outlives_the_program(tmp_path: Path, machine: Machine, orderly: bool) -> None:
    config = configured(tmp_path, hold="0s")
    await raised_and_over(config, machine)
    board = Machine(START - 10 * HOUR)
    async with booted(config, board) as agent:
        await settled(agent, board)
        poll(agent, board, 60.0)
        board.pass_time(60)
        await agent.journal.commit()
        if not orderly:
            agent.journal._store.close()
    again = Machine(board.wall)
    async with booted(config, again) as agent:
        found = await readings_of(agent)
        assert [(each.quality, each.reason) for each in found] == [(Quality.UNCERTAIN, QualityReason.CLOCK)] * orderly
        assert agent._guard.doubts
        assert agent.engine.active() == []
        again.pass_time(10)
        poll(agent, again, 60.0)
        set_clock(agent, again, START + HOUR)
        assert [(each.kind, each.at) for each in await alarm_events(agent)][-1:] == [("raised", to_ms(START + HOUR))]


async def test_what_waits_for_a_clock_at_a_stop_is_counted(tmp_path: Path) -> None:
    config = configured(tmp_path, hold="0s")
    machine = Machine()
    async with booted(config, machine) as agent:
        for _ in range(7):
            machine.pass_time(10)
            poll(agent, machine, 20.0)
        machine.pass_time(10)
        poll(agent, machine, 60.0)
        assert agent._guard.held == 8
    async with booted(config, Machine()) as again:
        stats = again.journal.stats()
        told = health_of(again.site, stats, again.figures, at=0, uptime_s=0, lost=0, budget=None)
        assert list(told.drops_before.values()) == [{DropReason.CLOCK: 8 + 1}]  # type: ignore[union-attr]
        assert again.engine.active() == [], "raised anew: the centre never heard of it"


NEWEST = "position = (SELECT max(position) FROM blocks WHERE born_at > 0)"
# One bit of a digit of each id's time: the ninth millennium, some 2,100 years and some 140 years on; and no digit.
IDS = [("01", "81"), ("01", "11"), ("01", "05"), ("01", "p1")]


@pytest.mark.parametrize(
    "spoilt",
    [
        *(f"UPDATE blocks SET born_at = born_at | {1 << bit} WHERE {NEWEST}" for bit in (41, 42, 44, 46, 48, 55, 62)),
        *(
            f"UPDATE rule_state SET state = replace(CAST(state AS TEXT), '{name}{was}', '{name}{now}')"
            for name in ('"youngest":"', '["')
            for was, now in IDS
        ),
    ],
)
async def test_a_time_that_the_disk_changed_stops_no_start_and_ages_no_id(
    tmp_path: Path, machine: Machine, spoilt: str
) -> None:
    config = configured(tmp_path, hold="0s")
    async with booted(config, machine) as agent:
        machine.pass_time(10)
        poll(agent, machine, 60.0)
        (held,) = agent.engine.active()
    with sqlite3.connect(tmp_path / "journal.db") as db:
        assert db.execute(spoilt).rowcount == 1
    db.close()
    machine.pass_time(60)
    for start in range(2):
        async with booted(config, machine) as agent:
            assert not agent._guard.doubts
            for _ in range(2):
                machine.pass_time(300)
                poll(agent, machine, 20.0)
                machine.pass_time(300)
                poll(agent, machine, 60.0)
            (raised,) = agent.engine.active()
            assert raised.occurrence > held.occurrence, start
            assert made_at(raised.occurrence) == to_ms(machine.wall)
            assert agent.engine.youngest == raised.occurrence
            held = raised


@pytest.mark.parametrize("healed", [True, False])
async def test_what_a_stop_releases_on_a_disk_that_refuses_is_kept_or_counted(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch, healed: bool
) -> None:
    config = configured(tmp_path, hold="0s")
    await raised_and_over(config, machine)
    board = Machine(machine.wall - HOUR)
    async with booted(config, board) as agent:
        await settled(agent, board)
        for _ in range(5):
            poll(agent, board, 20.0)
            board.pass_time(10)
        assert agent._guard.held == 5
        monkeypatch.setattr(Store, "commit", _refuse)
        agent.say_health()
        # What the uplink does at a stop, while it is connected.
        await agent.journal.last_try()
        await agent.journal.give_up()
        before = dict(agent.journal.stats().drops)
        if healed:
            monkeypatch.undo()
            board.pass_time(60)
    monkeypatch.undo()
    lost = {reason: count - before.get(reason, 0) for reason, count in agent.journal.stats().drops.items()}
    with sqlite3.connect(tmp_path / "journal.db") as db:
        (kept,) = db.execute(
            "SELECT coalesce(sum(count), 0) FROM blocks WHERE kind = 'readings' AND state = 0"
        ).fetchone()
    db.close()
    # With what the agent itself said last: that the disk refuses, and that it stopped.
    assert (kept, lost.get(DropReason.STOPPED, 0)) == ((5, 0) if healed else (0, 5 + 2))


def _refuse(*_: Any, **__: Any) -> None:
    raise StoreFull("no room")

"""An agent that boots without a clock: it watches from the first poll, and puts its times right once it knows them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.app import Agent, build
from agent.health import health_of
from agent.journal import DropReason, InlineOffload
from agent.site import read_site
from collectors.exchange import PollOutcome
from collectors.stamps import Stamps
from facility.alarms import AlarmEvent
from facility.clock import EPOCH, SystemClock, to_ms
from facility.items import decode_alarms, decode_series
from facility.reading import Quality, QualityReason, Reading
from facility.wire import Kind, decode
from tests.agent.counting import units, write_profile
from tests.agent.journals import START
from tests.agent.running import ENVIRON, write_config

BOOT = EPOCH + timedelta(seconds=20)
METRIC = "unmapped.test.p000"


@dataclass
class Machine:
    """Its wall clock says what it likes until somebody sets it; its monotonic clock is right."""

    wall: datetime = BOOT
    elapsed: float = 0.0
    clock: SystemClock = field(init=False)
    stamps: Stamps = field(default_factory=Stamps)

    def __post_init__(self) -> None:
        self.clock = SystemClock(asyncio.sleep, monotonic=lambda: self.elapsed, wall=lambda: self.wall)

    def pass_time(self, seconds: float) -> None:
        self.elapsed += seconds
        self.wall += timedelta(seconds=seconds)


def configured(folder: Path, *, hold: str, **sections: Any) -> Path:
    rule = {
        "id": "hot", "title": {"en": "Hot", "zh": "过热"}, "metric": METRIC,
        "levels": {"hi": {"limit": 50, "severity": "major"}}, "for": hold, "clear_for": "0s", "gap": "5m",
        "flap": "off", "source": "made for this test",
    }  # fmt: skip
    (folder / "rules.yaml").write_text(yaml.safe_dump({"version": 1, "rules": [rule]}, allow_unicode=True))
    return write_config(
        folder,
        devices=units(1, 1),
        profiles={"folders": [str(write_profile(folder))]},
        rules={"files": ["rules.yaml"]},
        **sections,
    )


@asynccontextmanager
async def booted(config: Path, machine: Machine) -> AsyncIterator[Agent]:
    """The agent without its tasks: polls and seconds come from the test."""
    agent = build(read_site(config, environ=ENVIRON), clock=machine.clock, offload=InlineOffload())
    async with agent:
        yield agent


def poll(agent: Agent, machine: Machine, value: float) -> None:
    at = machine.stamps.next(to_ms(machine.clock.now()))
    agent._pipeline.take(PollOutcome("unit-1", at, 0.1, 1, (Reading("unit-1", METRIC, "", value, at),)))
    agent._pipeline.advance()


def set_clock(agent: Agent, machine: Machine, now: datetime) -> None:
    machine.wall = now
    agent.clock_set(machine.clock.resync())


async def alarm_events(agent: Agent) -> list[AlarmEvent]:
    await agent.journal.commit()
    blocks = await agent.journal.unsent(Kind.ALARMS, limit=100)
    items = [item for each in blocks for item in decode_alarms(decode(each.block.payload()).items)[0]]
    return [item.event for item in items if item.event is not None]


async def kept_readings(agent: Agent) -> list[Reading]:
    blocks = await agent.journal.unsent(Kind.READINGS, limit=100)
    return [
        reading
        for each in blocks
        for series in decode_series(decode(each.block.payload()).items, now_ms=1 << 60)[0]
        for reading in series.readings()
    ]


@pytest.fixture
def machine() -> Machine:
    return Machine()


async def test_a_machine_without_a_clock_still_raises_alarms(tmp_path: Path, machine: Machine) -> None:
    async with booted(configured(tmp_path, hold="0s"), machine) as agent:
        poll(agent, machine, 60.0)
        assert [each.rule for each in agent.engine.active()] == ["hot"]
        assert agent.figures.alarm_events == {"raised": 1}
        assert b'coldaisle_agent_alarms_active{severity="major"} 1.0' in agent._metrics().body
        assert await alarm_events(agent) == [], "under 1970 the centre would refuse it for good"


async def test_its_alarms_and_samples_get_their_true_times_once_it_knows_them(tmp_path: Path, machine: Machine) -> None:
    async with booted(configured(tmp_path, hold="30s"), machine) as agent:
        poll(agent, machine, 60.0)
        machine.pass_time(20)
        poll(agent, machine, 60.0)
        machine.pass_time(15)
        poll(agent, machine, 60.0)  # 35 s hot: raised at 30 s
        assert len(agent.engine.active()) == 1
        machine.pass_time(5)
        set_clock(agent, machine, START)
        (raised,) = await alarm_events(agent)
        assert raised.at == to_ms(START) - 10_000
        found = await kept_readings(agent)
        assert [to_ms(START) - each.taken_at for each in found] == [40_000, 20_000, 5_000]
        assert {(each.quality, each.reason) for each in found} == {(Quality.UNCERTAIN, QualityReason.CLOCK)}
        machine.pass_time(10)
        poll(agent, machine, 20.0)
        events = await alarm_events(agent)
        assert [(event.kind, event.revision) for event in events] == [("raised", 1), ("ended", 2)]
        assert events[1].at == to_ms(START) + 10_000
        assert (await kept_readings(agent))[-1].quality is Quality.GOOD


async def test_a_timer_runs_on_over_the_setting_of_the_clock(tmp_path: Path, machine: Machine) -> None:
    async with booted(configured(tmp_path, hold="30s"), machine) as agent:
        poll(agent, machine, 60.0)
        machine.pass_time(20)
        set_clock(agent, machine, START)
        poll(agent, machine, 60.0)
        assert agent.engine.active() == [], "twenty seconds, not fifty years"
        machine.pass_time(15)
        poll(agent, machine, 60.0)
        (raised,) = await alarm_events(agent)
        assert raised.at == to_ms(START) + 10_000


async def test_killed_before_the_clock_was_set_it_raises_anew_and_only_once(tmp_path: Path, machine: Machine) -> None:
    config = configured(tmp_path, hold="0s")
    async with booted(config, machine) as agent:
        poll(agent, machine, 60.0)
        machine.pass_time(60)
        await agent.journal.commit()
        agent.journal._store.close()  # the process ends here
    async with booted(config, machine) as again:
        assert again.engine.active() == []
        poll(again, machine, 60.0)
        set_clock(again, machine, START)
        assert [event.kind for event in await alarm_events(again)] == ["raised"]


async def test_what_it_raises_without_a_clock_is_younger_than_what_it_raised_before(
    tmp_path: Path, machine: Machine
) -> None:
    config = configured(tmp_path, hold="0s")
    machine.wall = START
    machine.__post_init__()
    async with booted(config, machine) as agent:
        poll(agent, machine, 60.0)
        machine.pass_time(10)
        poll(agent, machine, 20.0)
        before = (await alarm_events(agent))[0].occurrence
    machine.wall = BOOT
    machine.__post_init__()
    async with booted(config, machine) as again:
        machine.pass_time(10)
        poll(again, machine, 60.0)
        assert again.engine.active()[0].occurrence > before


@pytest.mark.parametrize("back_s", [2, 240, 3600, 86_400])
async def test_a_running_clock_set_back_stops_neither_alarms_nor_history(
    tmp_path: Path, machine: Machine, back_s: int
) -> None:
    machine.wall = START
    machine.__post_init__()
    async with booted(configured(tmp_path, hold="30s"), machine) as agent:
        for _ in range(6):
            machine.pass_time(10)
            poll(agent, machine, 20.0)
        machine.pass_time(10)
        poll(agent, machine, 60.0)
        machine.pass_time(20)
        set_clock(agent, machine, machine.wall - timedelta(seconds=back_s))
        poll(agent, machine, 60.0)
        assert agent.engine.active() == [], "twenty seconds, whatever the clock says"
        machine.pass_time(15)
        poll(agent, machine, 60.0)
        (raised,) = await alarm_events(agent)
        assert raised.at == to_ms(machine.wall) - 5_000, "30 s after it was hot, by the new time"
        machine.pass_time(10)
        poll(agent, machine, 20.0)
        machine.pass_time(10)
        poll(agent, machine, 60.0)
        machine.pass_time(31)
        poll(agent, machine, 60.0)
        events = await alarm_events(agent)
        assert [event.kind for event in events] == ["raised", "ended", "raised"]
        found = await kept_readings(agent)
        assert len(found) == 7 + 5
        assert {each.quality for each in found} == {Quality.GOOD}
        assert len({each.taken_at for each in found}) == len(found), "no instant of the point twice"
        assert found[-1].taken_at == to_ms(machine.wall)
        assert agent._guard.held == 0


async def test_what_is_raised_after_the_clock_was_set_back_is_the_younger(tmp_path: Path, machine: Machine) -> None:
    machine.wall = START
    machine.__post_init__()
    async with booted(configured(tmp_path, hold="0s"), machine) as agent:
        for back_s in (0, 3600, 40 * 365 * 86_400, -40 * 365 * 86_400, 5):
            set_clock(agent, machine, machine.wall - timedelta(seconds=back_s))
            machine.pass_time(10)
            poll(agent, machine, 60.0)
            machine.pass_time(10)
            poll(agent, machine, 20.0)
        raised = [event.occurrence for event in await alarm_events(agent) if event.kind == "raised"]
        assert len(raised) == 5
        assert raised == sorted(raised)


async def test_what_is_lost_for_want_of_a_clock_is_counted_where_operators_look(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.guard.MAX_UNDATED", 4)
    async with booted(configured(tmp_path, hold="0s"), machine) as agent:
        for _ in range(3):
            machine.pass_time(1)
            poll(agent, machine, 60.0)
            machine.pass_time(1)
            poll(agent, machine, 20.0)
        assert agent.journal.stats().drops == {DropReason.CLOCK: 2}
        assert b'coldaisle_agent_dropped_total{reason="clock"} 2.0' in agent._metrics().body
        health = health_of(agent.site, agent.journal.stats(), agent.figures, at=0, uptime_s=0, lost=0, budget=None)
        assert health.drops == {DropReason.CLOCK: 2}

"""An agent with nothing to do does next to nothing, and what it waits for comes in its time all the same."""

import asyncio
import itertools
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from agent.app import build
from agent.journal import BlockState, InlineOffload
from agent.journal.block import Draft
from agent.journal.taken import RULES_EVERY_S, Taken
from agent.pipeline import LOOK_S, Pipeline
from agent.site import read_site
from collectors.exchange import PollOutcome
from facility.alarms import AlarmEvent
from facility.clock import Clock, SystemClock, now_ms
from facility.reading import Reading
from facility.wire import Kind
from rules.engine import Engine
from tests.agent.journals import START, opened
from tests.agent.running import ENVIRON
from tests.agent.test_clock_guard import METRIC, configured
from tests.support.virtual_loop import run_virtual


def clock() -> SystemClock:
    loop = asyncio.get_running_loop()
    return SystemClock(asyncio.sleep, monotonic=loop.time, wall=lambda: START + timedelta(seconds=loop.time()))


def test_an_idle_journal_rests_and_saves_what_the_rules_remember(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    drain = Taken.drain

    def drained(self: Taken, *, readings: bool, now: float) -> list[Draft]:
        looks.append(now)
        return drain(self, readings=readings, now=now)

    async def main() -> None:
        journal = await opened(tmp_path / "j.db", clock())
        journal.rules = lambda: str(asyncio.get_running_loop().time()).encode()
        task = asyncio.create_task(journal.run())
        await asyncio.sleep(20 * RULES_EVERY_S)
        saved = journal._store.rule_state()
        assert saved is not None
        assert float(saved) > asyncio.get_running_loop().time() - RULES_EVERY_S - 2
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await journal.close()

    monkeypatch.setattr(Taken, "drain", drained)
    run_virtual(main())
    assert len(looks) <= 22


@pytest.mark.parametrize("hold_s", [5, 40])
def test_a_timer_of_the_rules_acts_a_second_after_it_ran_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hold_s: int
) -> None:
    """Not sooner: what was read in its instant may be on its way. And nobody asks each second."""
    looks: list[int] = []
    advance = Engine.advance

    def advanced(self: Engine, at_ms: int) -> list[AlarmEvent]:
        looks.append(at_ms)
        return advance(self, at_ms)

    async def main() -> None:
        time = clock()
        config = configured(tmp_path, hold=f"{hold_s}s")
        agent = build(read_site(config, environ=ENVIRON), clock=time, offload=InlineOffload())
        heard: list[tuple[float, AlarmEvent]] = []

        def alarmed(events: Sequence[AlarmEvent]) -> None:
            heard.extend((asyncio.get_running_loop().time(), event) for event in events)

        agent._pipeline._alarmed = alarmed
        async with agent:
            task = asyncio.create_task(agent._pipeline.run())
            await asyncio.sleep(100.3)
            poll(time, agent._pipeline)
            await asyncio.sleep(100)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        ((at, event),) = heard
        assert event.kind == "raised"
        assert event.at == now_ms(time) - 100_000 + hold_s * 1000
        assert 1.0 <= at - 100.3 - hold_s <= 2.0

    monkeypatch.setattr(Engine, "advance", advanced)
    run_virtual(main())
    assert len(looks) <= 200 / LOOK_S + 6
    assert max(b - a for a, b in itertools.pairwise(looks)) <= LOOK_S * 1000 + 1100


def poll(time: Clock, pipeline: Pipeline) -> None:
    at = now_ms(time)
    pipeline.take(PollOutcome("unit-1", at, 0.1, 1, (Reading("unit-1", METRIC, "", 60.0, at),)))


def test_only_what_there_is_to_offer_wakes_the_sender(tmp_path: Path) -> None:
    async def main() -> None:
        time = clock()
        journal = await opened(tmp_path / "j.db", time)
        journal.changed.clear()
        journal.take([Reading("unit-1", METRIC, "", 60.0, now_ms(time))])
        await journal.commit()
        assert journal.changed.is_set()
        (block,) = await journal.unsent(Kind.READINGS, limit=9)
        journal.changed.clear()
        journal.settle(block.block.key, BlockState.COMMITTED)
        await journal.commit()
        assert not journal.changed.is_set(), "an answer is written down, and nothing is new"
        await journal.close()

    run_virtual(main())

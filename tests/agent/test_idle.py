"""An agent with nothing to do does next to nothing, and what it waits for comes in its time all the same."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from agent.journal import InlineOffload, Journal, Store
from agent.journal.block import Draft
from agent.journal.taken import RULES_EVERY_S, Taken
from facility.clock import SystemClock
from facility.ids import new_id
from tests.agent.journals import MIB, START
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
        journal = Journal(
            Store(tmp_path / "j.db", max_bytes=MIB, max_age_ms=86_400_000),
            clock=clock(),
            offload=InlineOffload(),
            new_id=new_id,
        )
        await journal.open()
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

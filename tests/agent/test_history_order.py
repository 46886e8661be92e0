"""History of a stretch that was lived twice, since the clock was set back: read in the order of its times."""

from pathlib import Path

import pytest

from agent.backtest_cli import _chunks
from agent.journal import BlockState
from agent.journal.reading import JournalReader
from facility.clock import now_ms
from facility.reading import Reading
from facility.wire import Kind
from rules.backtest import backtest
from rules.facts import DeviceFacts
from rules.model import RuleSet
from tests.agent.journals import manual_clock, opened, rows
from tests.agent.test_journal_merging import merged, played
from tests.rules.support import high

DEVICES = ("t-1", "t-2")


@pytest.mark.parametrize("back_s", [3, 1803, 7203])
async def test_what_was_lived_twice_is_read_in_order(tmp_path: Path, back_s: int) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    taken: list[Reading] = []
    begin = now_ms(clock)
    for n in range(1200):
        if n == 700:
            clock.step(-back_s)
        at = now_ms(clock) + 7 * (n >= 700)
        taken += [Reading(device, "room.temperature", "", 20.0 + n / 1000, at) for device in DEVICES]
        journal.take(taken[-2:])
        await journal.commit()
        clock.advance(10)
    for each in await journal.unsent(Kind.READINGS, limit=2000):
        journal.settle(each.block.key, BlockState.COMMITTED)
    await journal.commit()
    await merged(journal, clock)
    counted = rows(tmp_path / "j.db", "SELECT count FROM blocks WHERE kind = 'readings'")
    assert len(counted) < 500, "most are merged"
    read = JournalReader(tmp_path / "j.db")
    lived = sorted((each for each in taken if each.device == "t-1"), key=lambda each: each.taken_at)
    assert list(read.history("t-1", from_ms=0, to_ms=1 << 60)) == lived
    inside = [each for each in lived if begin + 1_000_000 <= each.taken_at < begin + 5_000_000]
    assert list(read.history("t-1", from_ms=begin + 1_000_000, to_ms=begin + 5_000_000)) == inside
    chunks = list(_chunks(read, 0))
    for point, given in played(chunks).items():
        assert given == [(each.taken_at, each.value) for each in lived], point
    rules = RuleSet((high(metric="room.temperature"),))
    report = backtest(rules, [DeviceFacts("t-1", "sensor")], chunks)
    assert report.samples == len(taken)
    await journal.close()

"""A corrupt file that is replayed: how often that is tried without room for it, and what is counted as lost."""

from pathlib import Path
from typing import Any

import pytest

from agent.journal import Store
from agent.journal.retrying import RETRY_MOST_S
from agent.journal.sql import StoreFull
from facility.clock import now_ms
from facility.wire import Kind
from tests.agent.journals import alarm, manual_clock, opened
from tests.agent.test_journal_beyond import UNREADABLE, alarms_written, spoilt

REPLAY_S = 30.0


async def test_a_replay_without_room_is_not_begun_again_at_once_and_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = manual_clock()
    await alarms_written(tmp_path / "j.db", clock, 3)
    again = await opened(tmp_path / "j.db", clock)
    spoilt(tmp_path / "j.db", UNREADABLE)
    commit, replays = Store.commit, 0

    def no_room(self: Store, *values: Any, **named: Any) -> Any:
        nonlocal replays
        if self.path.name.endswith(".replaying"):
            replays += 1
            clock.advance(REPLAY_S)
            raise StoreFull("database or disk is full")
        return commit(self, *values, **named)

    begun = clock.monotonic()
    with monkeypatch.context() as patched:
        patched.setattr(Store, "commit", no_room)
        await again.unsent(Kind.ALARMS, limit=9)
        for _ in range(3600):
            again.append(Kind.ALARMS, [alarm(clock)], at=now_ms(clock))
            await again.commit()
            clock.advance(1)
        assert again.degraded
    assert replays >= 2
    assert replays * REPLAY_S <= 0.06 * (clock.monotonic() - begun), "the alarms wait for nothing else meanwhile"
    clock.advance(RETRY_MOST_S)
    await again.commit()
    assert again.stats().degraded == ""
    await again.close()

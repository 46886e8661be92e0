"""A corrupt file that is replayed: how often that is tried without room for it, and what is counted as lost."""

from pathlib import Path
from typing import Any

import pytest

from agent.journal import BlockState, DropReason, InlineOffload, Journal, Store
from agent.journal.retrying import RETRY_MOST_S
from agent.journal.sql import StoreFull
from facility.clock import now_ms
from facility.ids import new_id
from facility.wire import Kind
from tests.agent.journals import MIB, alarm, bulky, manual_clock, opened
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


async def test_lost_readings_are_counted_apart_from_lost_blocks_and_delivered_ones_are_no_loss(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    for count in (100, 120, 130, 90, 1):
        journal.take(bulky(clock, count))
        await journal.commit()
        clock.advance(1)
    blocks = {each.block.count: each.block for each in await journal.unsent(Kind.READINGS, limit=9)}
    for count in (100, 90):
        journal.settle(blocks[count].key, BlockState.COMMITTED)
    await journal.commit()
    await journal.close()
    raw = bytearray((tmp_path / "j.db").read_bytes())
    for count in (100, 120):
        # The page in the middle of the body does not say any more where the next one is.
        page = raw.find(blocks[count].body[20_000:20_064]) // 4096 * 4096
        raw[page : page + 4] = b"\xff" * 4
    for count in (130, 90):
        raw[raw.find(blocks[count].body[20_000:20_064])] ^= 1
    (tmp_path / "j.db").write_bytes(raw)

    store = Store(tmp_path / "j.db", max_bytes=64 * MIB, max_age_ms=86_400_000)
    again = Journal(store, clock=clock, offload=InlineOffload(), new_id=new_id)
    told: list[tuple[str, dict[str, str]]] = []
    again.notice = lambda what, detail: told.append((what, detail))
    report = await again.open()
    assert (report.salvaged, report.lost, report.lost_unsent) == (1, 4, 120 + 130)
    assert again.stats().drops == {DropReason.CORRUPT: 120 + 130}
    ((what, detail),) = told
    assert (what, detail["lost_blocks"], detail["lost_unsent"]) == ("quarantined", "4", "250")
    await again.close()


@pytest.mark.parametrize(("delivered", "counted"), [(False, 1), (True, 0)])
async def test_a_row_that_cannot_be_read_is_a_loss_unless_the_index_says_it_was_delivered(
    tmp_path: Path, delivered: bool, counted: int
) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    journal.take(bulky(clock, 3))
    await journal.commit()
    (block,) = await journal.unsent(Kind.READINGS, limit=9)
    if delivered:
        journal.settle(block.block.key, BlockState.COMMITTED)
    await journal.commit()
    await journal.close()
    raw = bytearray((tmp_path / "j.db").read_bytes())
    page = raw.find(block.block.digest.encode()) // 4096 * 4096
    raw[page : page + 4096] = b"\xa5" * 4096
    (tmp_path / "j.db").write_bytes(raw)
    again = await opened(tmp_path / "j.db", clock)
    assert again.stats().drops == ({DropReason.CORRUPT: counted} if counted else {})
    await again.close()

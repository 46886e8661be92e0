"""What the journal does beyond its list of invariants."""

import asyncio
import json
import math
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from agent.journal import BlockState, DropReason, InlineOffload, Journal, Store, ThreadOffload
from agent.journal.journal import MERGE_EVERY_S
from agent.journal.retrying import RETRY_S
from agent.journal.sql import Mark, StoreFull
from facility.clock import ManualClock, from_ms, now_ms
from facility.ids import new_id
from facility.reading import Reading
from facility.wire import Kind, decode
from tests.agent.journals import MIB, bulky, event, manual_clock, opened, reading, rows, unsent_count
from tests.support.peers import until_async


async def test_an_emptied_file_is_said(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    await journal.close()
    (tmp_path / "j.db").write_bytes(b"")
    store = Store(tmp_path / "j.db", max_bytes=64 * MIB, max_age_ms=86_400_000)
    again = Journal(store, clock=clock, offload=InlineOffload(), new_id=new_id)
    told: list[str] = []
    again.notice = lambda what, detail: told.append(what)
    await again.open()
    assert told == ["quarantined"]
    await again.close()


async def test_a_replay_that_is_cut_off_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    for _ in range(200):
        journal.take(bulky(clock, 5))
        await journal.commit()
        clock.advance(1)
    await journal.close()
    raw = bytearray((tmp_path / "j.db").read_bytes())
    raw[40 * 4096 : 41 * 4096] = b"\xa5" * 4096
    (tmp_path / "j.db").write_bytes(raw)
    commit, commits = Store.commit, 0

    def cut_off(self: Store, *args: Any, **kwargs: Any) -> Any:
        nonlocal commits
        commits += 1
        if commits == 3:
            raise KeyboardInterrupt
        return commit(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "commit", cut_off)
        with pytest.raises(KeyboardInterrupt):
            await opened(tmp_path / "j.db", clock)
    again = await opened(tmp_path / "j.db", clock)
    kept = await unsent_count(again)
    assert 900 <= kept < 1000
    names = os.listdir(tmp_path)
    assert any(name.startswith("j.db.corrupt-") for name in names)
    assert "j.db.replaying" not in names
    await again.close()
    # Cut off between the two renames: the replayed file is there under its other name only.
    (tmp_path / "j.db").rename(tmp_path / "j.db.replaying")
    last = await opened(tmp_path / "j.db", clock)
    assert await unsent_count(last) == kept
    await last.close()


async def test_a_large_commit_is_split_under_the_caps_of_the_wire(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    journal.take(bulky(clock, 2000))
    await journal.commit()
    offered = await journal.unsent(Kind.READINGS, limit=100)
    assert len(offered) > 4
    for each in offered:
        assert decode(each.block.payload()).header.seq == each.block.key.seq
    assert sum(each.block.count for each in offered) == 2000
    await journal.close()


async def test_a_conflicting_block_gets_another_name_and_keeps_its_place(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    for value in range(3):
        journal.take([reading(clock, float(value))])
        await journal.commit()
        clock.advance(1)
    first, *others = await journal.unsent(Kind.READINGS, limit=10)
    renamed = await journal.resequence(first.block.key)
    again = await journal.unsent(Kind.READINGS, limit=10)
    assert again[0].block.key == renamed
    assert again[0].block.body == first.block.body
    assert again[0].block.intact()
    assert renamed not in {each.block.key for each in (first, *others)}
    journal.take([reading(clock, 9.0)])
    await journal.commit()
    keys = [each.block.key for each in await journal.unsent(Kind.READINGS, limit=10)]
    assert len(set(keys)) == 4
    await journal.close()


async def test_a_commit_cut_off_is_made_again_without_doubles(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    journal.take([reading(clock, 21.0)])
    await journal.commit()
    (each,) = await journal.unsent(Kind.READINGS, limit=10)
    evicted = journal._store.commit([each.block], [Mark(each.block.key, BlockState.COMMITTED)], now_ms=now_ms(clock))
    assert evicted.count == {}
    assert rows(tmp_path / "j.db", "SELECT count(*), sum(state) FROM blocks") == [(1, 1)]
    assert journal._store.unsent.blocks[Kind.READINGS] == 0
    await journal.close()


@pytest.mark.parametrize("cut", [0, 1, 100, 4096, 20_000])
async def test_any_truncation_starts_again(tmp_path: Path, cut: int) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    for _ in range(10):
        journal.take(bulky(clock, 20))
        await journal.commit()
    await journal.close()
    raw = (tmp_path / "j.db").read_bytes()
    (tmp_path / "j.db").write_bytes(raw[:cut])
    again = await opened(tmp_path / "j.db", clock)
    again.take([reading(clock, 21.0)])
    await again.commit()
    assert again.stats().degraded == ""
    assert await unsent_count(again) >= 1
    await again.close()


async def test_a_folder_that_cannot_be_made_is_worked_around_in_memory(tmp_path: Path) -> None:
    clock = manual_clock()
    (tmp_path / "in-the-way").write_text("a file where the folder should be")
    journal = await opened(tmp_path / "in-the-way" / "j.db", clock)
    journal.take([reading(clock, 21.0)])
    await journal.commit()
    assert journal.stats().degraded
    assert await unsent_count(journal) == 1
    (tmp_path / "in-the-way").unlink()
    clock.advance(10)
    await journal.commit()
    assert journal.stats().degraded == ""
    assert rows(tmp_path / "in-the-way" / "j.db", "SELECT sum(count) FROM blocks WHERE kind = 'readings'") == [(1,)]
    await journal.close()
    shutil.rmtree(tmp_path / "in-the-way")


async def test_thinning_keeps_a_sample_a_window_and_every_change_of_state(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    for second in range(0, 600, 10):
        door = "open" if second == 250 else "closed"
        at = now_ms(clock)
        journal.take([reading(clock, float(second)), Reading("t-1", "door.state", "", door, at)])
        await journal.commit()
        clock.advance(10)
    assert await journal.pack(busy=set(), spacing_ms=120_000) == (120 - 5 - 7, False)
    series = {
        item["metric"]: item["value"]
        for each in await journal.unsent(Kind.READINGS, limit=10)
        for item in map(json.loads, decode(each.block.payload()).items)
    }
    assert series["room.temperature"] == [0.0, 120.0, 240.0, 360.0, 480.0]
    assert series["door.state"] == ["closed", "closed", "closed", "open", "closed", "closed", "closed"]
    await journal.close()


async def alarms_written(path: Path, clock: ManualClock, count: int) -> list[str]:
    """The digests of so many alarm blocks in a journal that is closed again."""
    journal = await opened(path, clock)
    for value in range(count):
        journal.append(Kind.ALARMS, [{"n": value}], at=now_ms(clock))
        await journal.commit()
    digests = [each.block.digest for each in await journal.unsent(Kind.ALARMS, limit=count)]
    await journal.close()
    return digests


async def test_a_text_that_cannot_be_read_holds_nothing_back(tmp_path: Path) -> None:
    clock = manual_clock()
    digest = (await alarms_written(tmp_path / "j.db", clock, 3))[1].encode()
    raw = bytearray((tmp_path / "j.db").read_bytes())
    raw[raw.find(digest)] ^= 0x80  # one bit; SQLite's own check finds nothing wrong with it
    (tmp_path / "j.db").write_bytes(raw)

    again = await opened(tmp_path / "j.db", clock)
    told: list[str] = []
    again.notice = lambda what, detail: told.append(what)
    await again.unsent(Kind.ALARMS, limit=9)
    again.append(Kind.ALARMS, [{"n": 3}], at=now_ms(clock))
    await again.commit()
    assert len(await again.unsent(Kind.ALARMS, limit=9)) == 3
    assert told == ["quarantined"]
    assert again.stats().drops == {DropReason.CORRUPT: 1}
    await again.close()


def spoilt(path: Path, statement: str) -> None:
    """Change a closed or open journal's file from beside it."""
    with sqlite3.connect(path) as db:
        assert db.execute(statement).rowcount == 1
    db.close()


UNREADABLE = "UPDATE blocks SET digest = CAST(x'ff41' AS TEXT) WHERE position = 2"


async def test_damage_that_two_meet_at_once_sets_one_file_aside(tmp_path: Path) -> None:
    clock = manual_clock()
    await alarms_written(tmp_path / "j.db", clock, 3)
    store = Store(tmp_path / "j.db", max_bytes=64 * MIB, max_age_ms=86_400_000)
    again = Journal(store, clock=clock, offload=ThreadOffload("journal"), new_id=new_id)
    await again.open()
    told: list[str] = []
    again.notice = lambda what, detail: told.append(what)
    spoilt(tmp_path / "j.db", UNREADABLE)
    await asyncio.gather(*(again.unsent(Kind.ALARMS, limit=9) for _ in range(2)))
    assert told == ["quarantined"]
    assert len(await again.unsent(Kind.ALARMS, limit=9)) == 2
    await again.close()


async def test_a_broken_file_is_replaced_when_the_disk_has_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = manual_clock()
    await alarms_written(tmp_path / "j.db", clock, 3)
    again = await opened(tmp_path / "j.db", clock)
    told: list[str] = []
    again.notice = lambda what, detail: told.append(what)
    spoilt(tmp_path / "j.db", UNREADABLE)
    commit = Store.commit

    def no_room(self: Store, *values: Any, **named: Any) -> Any:
        if self.path.name.endswith(".replaying"):
            raise StoreFull("database or disk is full")
        return commit(self, *values, **named)

    monkeypatch.setattr(Store, "commit", no_room)
    for second in range(30):
        await again.unsent(Kind.ALARMS, limit=9)
        again.append(Kind.ALARMS, [{"n": second}], at=now_ms(clock))
        await again.commit()
        clock.advance(1)
    assert told == ["degraded"], "and it is not opened as if nothing had been found"
    monkeypatch.setattr(Store, "commit", commit)
    clock.advance(10)
    await again.commit()
    assert told == ["degraded", "quarantined", "healed"]
    assert len(await again.unsent(Kind.ALARMS, limit=99)) == 2 + 30
    await again.close()


async def test_a_disk_that_refuses_while_nothing_happens_is_asked_again_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = manual_clock()
    await alarms_written(tmp_path / "j.db", clock, 3)
    store = Store(tmp_path / "j.db", max_bytes=64 * MIB, max_age_ms=86_400_000)
    journal = Journal(store, clock=clock, offload=InlineOffload(), new_id=new_id, group_commit_s=0.01)
    await journal.open()
    run = asyncio.create_task(journal.run())
    await until_async(lambda: math.isfinite(journal._merge_at), what="idling until the next merge")
    spoilt(tmp_path / "j.db", UNREADABLE)

    def no_room(self: Store, *values: Any, **named: Any) -> Any:
        raise StoreFull("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "commit", no_room)
        await journal.unsent(Kind.ALARMS, limit=9)
        assert journal.stats().degraded
    clock.advance(RETRY_S)
    await until_async(lambda: not journal.stats().degraded, timeout=MERGE_EVERY_S / 2, what="asking the disk again")
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    await journal.close()


async def test_bytes_that_became_a_text_cost_nothing(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    journal.rules = lambda: b'{"version":1}'
    journal.append(Kind.ALARMS, [{"n": 1}], at=now_ms(clock))
    await journal.commit()
    await journal.close()
    spoilt(tmp_path / "j.db", "UPDATE rule_state SET state = CAST(state AS TEXT)")
    spoilt(tmp_path / "j.db", "UPDATE blocks SET body = CAST(body AS TEXT)")
    store = Store(tmp_path / "j.db", max_bytes=64 * MIB, max_age_ms=86_400_000)
    again = Journal(store, clock=clock, offload=InlineOffload(), new_id=new_id)
    report = await again.open()
    assert report.quarantined is None
    assert report.rule_state == b'{"version":1}'
    assert await unsent_count(again, Kind.ALARMS) == 1
    await again.close()


async def test_a_kind_that_is_none_is_corruption_and_stops_no_start(tmp_path: Path) -> None:
    clock = manual_clock()
    await alarms_written(tmp_path / "j.db", clock, 2)
    spoilt(tmp_path / "j.db", "UPDATE blocks SET kind = 'alasms' WHERE seq = 1")
    again = await opened(tmp_path / "j.db", clock)
    assert await unsent_count(again, Kind.ALARMS) == 1
    assert again.stats().drops == {DropReason.CORRUPT: 1}
    await again.close()


async def test_what_was_born_without_a_clock_holds_no_eviction_up(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock, max_age_ms=3_600_000)
    unset = ManualClock(from_ms(0))
    for _ in range(70):  # more than are evicted at once
        journal.append(Kind.EVENTS, [event(unset, "born in 1970")], at=now_ms(unset))
        await journal.commit()
    journal.append(Kind.EVENTS, [event(clock, "old")], at=now_ms(clock))
    await journal.commit()
    clock.advance(3700)
    journal.append(Kind.EVENTS, [event(clock, "new")], at=now_ms(clock))
    await journal.commit()
    found = [each.block.first_at for each in await journal.unsent(Kind.EVENTS, limit=100)]
    assert found == [0] * 70 + [now_ms(clock)]
    assert journal.stats().drops == {DropReason.TOO_OLD: 1}
    await journal.close()


async def test_a_disk_that_fails_while_it_is_looked_at_stops_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = manual_clock()
    await alarms_written(tmp_path / "j.db", clock, 2)

    def failing(self: Store) -> int:
        raise StoreFull("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "newest_born_at", failing)
        again = await opened(tmp_path / "j.db", clock)
        assert again.stats().degraded == "disk I/O error"
        again.append(Kind.ALARMS, [{"n": 2}], at=now_ms(clock))
        await again.commit()
        assert await unsent_count(again, Kind.ALARMS) == 3
    clock.advance(10)
    await again.commit()
    assert again.stats().degraded == ""
    assert len(await again.unsent(Kind.ALARMS, limit=9)) == 3
    await again.close()


async def test_files_set_aside_take_no_name_that_is_there(tmp_path: Path) -> None:
    clock = manual_clock()
    kept: dict[str, bytes] = {}
    for turn in range(3):  # one instant, and then a clock that was set back
        await alarms_written(tmp_path / "j.db", clock, 2)
        raw = (tmp_path / "j.db").read_bytes()[: 4096 * (turn + 3)]
        (tmp_path / "j.db").write_bytes(raw)
        report = await Journal(
            Store(tmp_path / "j.db", max_bytes=64 * MIB, max_age_ms=86_400_000),
            clock=manual_clock() if turn < 2 else ManualClock(from_ms(5000)),
            offload=InlineOffload(),
            new_id=new_id,
        ).open()
        assert report.quarantined is not None
        kept[report.quarantined.name] = raw
    assert {name: (tmp_path / name).read_bytes() for name in sorted(kept)} == kept
    assert len(kept) == 3


async def test_what_was_cut_off_between_the_names_takes_no_foreign_wal(tmp_path: Path) -> None:
    clock = manual_clock()
    digests = await alarms_written(tmp_path / "j.db", clock, 3)
    (tmp_path / "j.db").rename(tmp_path / "j.db.replaying")
    # The broken file has its new name already, its WAL not yet.
    other = await opened(tmp_path / "other.db", clock)
    for value in range(50):
        other.append(Kind.ALARMS, [{"other": value}], at=now_ms(clock))
        await other.commit()
    shutil.copy(tmp_path / "other.db-wal", tmp_path / "j.db-wal")
    (tmp_path / "j.db.corrupt-1").write_bytes(b"broken")
    await other.close()
    again = await opened(tmp_path / "j.db", clock)
    assert [each.block.digest for each in await again.unsent(Kind.ALARMS, limit=99)] == digests
    assert (tmp_path / "j.db.corrupt-1-wal").stat().st_size > 0
    await again.close()


async def test_a_block_renamed_in_memory_keeps_its_place(tmp_path: Path) -> None:
    clock = manual_clock()
    (tmp_path / "in-the-way").write_text("a file where the folder should be")
    journal = await opened(tmp_path / "in-the-way" / "j.db", clock)
    for value in range(3):
        journal.append(Kind.ALARMS, [{"n": value}], at=now_ms(clock))
        await journal.commit()
    held = [each.block for each in await journal.unsent(Kind.ALARMS, limit=9)]
    renamed = await journal.resequence(held[1].key)
    after = [each.block for each in await journal.unsent(Kind.ALARMS, limit=9)]
    assert [each.key for each in after] == [held[0].key, renamed, held[2].key]
    assert [each.body for each in after] == [each.body for each in held]
    await journal.close()

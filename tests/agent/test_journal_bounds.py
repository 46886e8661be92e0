"""What the journal holds at most, and what goes first; each test bears the name of an invariant of `agent.journal`."""

import random
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from agent.journal import BlockState, DropReason, Journal, Store
from agent.journal.sql import BATCH
from facility.clock import ManualClock, now_ms
from facility.wire import Kind
from tests.agent.journals import (
    MIB,
    START,
    alarm,
    bulky,
    commit_each,
    event,
    manual_clock,
    on_disk,
    opened,
    reading,
    rows,
    unsent_count,
)


async def test_bounded_by_bytes(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock, max_bytes=4 * MIB)
    for _ in range(40):
        journal.take(bulky(clock, 250))
        await journal.commit()
        clock.advance(1)
        assert journal.stats().used_bytes <= 4 * MIB
    files = on_disk(tmp_path)
    # The WAL comes on top, at most its size limit of 8 MiB.
    assert files <= (4 + 8 + 1) * MIB
    # The newest readings are the ones that stayed.
    offered = await journal.unsent(Kind.READINGS, limit=10_000)
    assert offered[-1].block.last_at == now_ms(clock) - 1000
    await journal.close()


async def test_bounded_by_age(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock, max_age_ms=3_600_000)
    journal.take([reading(clock, 21.0)])
    journal.append(Kind.ALARMS, [alarm(clock)], at=now_ms(clock))
    await journal.commit()
    clock.advance(3700)
    journal.take([reading(clock, 22.0)])
    await journal.commit()
    (kept,) = await journal.unsent(Kind.READINGS, limit=10)
    assert kept.block.first_at == now_ms(clock)
    assert await unsent_count(journal, Kind.ALARMS) == 1
    assert journal.stats().drops == {DropReason.TOO_OLD: 1}
    await journal.close()


async def test_a_whole_history_that_is_due_at_once_goes_some_blocks_at_a_time(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock, max_age_ms=3_600_000)
    journal.append(Kind.EVENTS, [event(clock, "oldest")], at=now_ms(clock))
    clock.advance(1)
    for _ in range(150):
        journal.take([reading(clock, 21.0)])
        await journal.commit()
    clock.advance(3700)
    # Readings first, though the event is older.
    for gone, events in ((BATCH, 1), (2 * BATCH, 1), (151, 0)):
        journal.take([reading(clock, 22.0)])
        await journal.commit()
        assert journal.stats().drops == {DropReason.TOO_OLD: gone}
        assert await unsent_count(journal, Kind.EVENTS) == events
        clock.advance(10)
    await journal.close()


async def test_alarms_are_never_evicted_before_readings(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock, max_bytes=4 * MIB)
    journal.append(Kind.ALARMS, [alarm(clock)], at=now_ms(clock))
    journal.append(Kind.EVENTS, [event(clock, "old")], at=now_ms(clock))
    await journal.commit()
    for _ in range(40):
        journal.take(bulky(clock, 250))
        await journal.commit()
    assert journal.stats().drops[DropReason.JOURNAL_FULL] > 0
    assert await unsent_count(journal, Kind.ALARMS) == 1
    assert await unsent_count(journal, Kind.EVENTS) == 1
    # What the centre has goes before what it has not, of the same kind.
    before = journal.stats().drops[DropReason.JOURNAL_FULL]
    for each in await journal.unsent(Kind.READINGS, limit=10_000):
        journal.settle(each.block.key, BlockState.COMMITTED)
    for _ in range(10):
        journal.take(bulky(clock, 250))
        await journal.commit()
    assert journal.stats().drops[DropReason.JOURNAL_FULL] == before
    assert await unsent_count(journal) == 2500
    await journal.close()


def noisy(number: int) -> dict[str, str]:
    """A catalog of some 20 KiB that does not compress."""
    return {"name": random.Random(number).randbytes(20_000).hex()}


@pytest.mark.parametrize("disk", ["takes them", "refuses"])
async def test_catalogs_that_nothing_names_go_before_anything_else(tmp_path: Path, disk: str) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock, max_bytes=MIB, memory_bytes=MIB)
    with file_limit(on_disk(tmp_path) if disk == "refuses" else MIB * 64):
        journal.append_catalog(noisy(0), "named", at=now_ms(clock))
        journal.take([reading(clock, 21.0)])
        journal.append(Kind.ALARMS, [alarm(clock)], at=now_ms(clock))
        journal.append(Kind.EVENTS, [event(clock, "old")], at=now_ms(clock))
        await journal.commit()
        # Started and cut off again and again: each opening has a catalog of its own.
        for number in range(1, 100):
            journal.append_catalog(noisy(number), f"catalog {number}", at=now_ms(clock))
            await journal.commit()
            clock.advance(1)
        assert journal.degraded == (disk == "refuses")
        assert journal.stats().drops == {}
        assert [await unsent_count(journal, kind) for kind in (Kind.READINGS, Kind.ALARMS, Kind.EVENTS)] == [1, 1, 1]
        names = [each.block.names for each in await journal.unsent(Kind.CATALOG, limit=200)]
        assert names[0] == "named", "the reading speaks of it"
        assert names[-1] == "catalog 99"
        assert len(names) < 60
        assert max(journal.stats().used_bytes, journal.stats().memory_bytes) <= MIB
    if disk == "takes them":
        assert journal.stats().unsent_blocks[Kind.CATALOG] == len(names)
    await journal.close()


async def test_every_evicted_reading_is_counted(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock, max_bytes=4 * MIB)
    told: list[tuple[str, dict[str, str]]] = []
    journal.notice = lambda what, detail: told.append((what, detail))
    for _ in range(40):
        journal.take(bulky(clock, 250))
        await journal.commit()
    dropped = journal.stats().drops[DropReason.JOURNAL_FULL]
    assert dropped + await unsent_count(journal) == 40 * 250
    assert dropped > 0
    assert sum(int(detail["count"]) for what, detail in told if what == "evicted") == dropped
    await journal.close()
    # The count is in the file, made by the transaction that evicted: a restart knows it.
    assert rows(tmp_path / "j.db", "SELECT reason, count FROM dropped") == [("journal_full", dropped)]


async def test_deleted_only_when_answered_or_evicted(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    await commit_each(journal, clock, range(5))
    for _ in range(3):  # offered again and again, whatever became of the sending
        assert [each.block.key.seq for each in await journal.unsent(Kind.READINGS, limit=10)] == [1, 2, 3, 4, 5]
    offered = await journal.unsent(Kind.READINGS, limit=10)
    journal.settle(offered[1].block.key, BlockState.COMMITTED)
    journal.settle(offered[3].block.key, BlockState.REJECTED, "corrupt")
    assert [each.block.key.seq for each in await journal.unsent(Kind.READINGS, limit=10)] == [1, 3, 5]
    await journal.commit()
    await journal.close()
    again = await opened(tmp_path / "j.db", clock)
    assert [each.block.key.seq for each in await again.unsent(Kind.READINGS, limit=10)] == [1, 3, 5]
    # Answered ones stay as local history, refused ones as quarantine with the reason.
    assert rows(tmp_path / "j.db", "SELECT state, reason FROM blocks WHERE seq IN (2, 4) AND kind = 'readings'") == [
        (1, ""),
        (2, "corrupt"),
    ]
    await again.close()


async def test_blocks_set_aside_are_bounded_and_keep_nothing_from_being_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock, max_bytes=2 * MIB)

    async def refused(count: int, kind: Kind) -> None:
        for _ in range(count):
            if kind is Kind.READINGS:
                journal.take(bulky(clock, 250))
            else:
                journal.append(kind, [alarm(clock)], at=now_ms(clock))
            await journal.commit()
            (offered,) = await journal.unsent(kind, limit=1)
            journal.settle(offered.block.key, BlockState.REJECTED, "bad_time")
            await journal.commit()
            clock.advance(1)

    def aside() -> list[tuple[object, ...]]:
        return rows(tmp_path / "j.db", "SELECT kind, count(*) FROM blocks WHERE state = 2 GROUP BY kind")

    await refused(10, Kind.READINGS)
    for _ in range(14):
        journal.take(bulky(clock, 250))
        await journal.commit()
        clock.advance(1)
    assert journal.stats().drops == {}, "what nobody will ever take goes before what waits"
    assert await unsent_count(journal) == 14 * 250
    assert aside() == []
    monkeypatch.setattr("agent.journal.sql.MOST_ASIDE", 3)
    await refused(5, Kind.ALARMS)
    assert aside() == [("alarms", 3)], "the oldest go"
    monkeypatch.setattr("agent.journal.sql.MOST_ASIDE_BYTES", 1)
    await refused(1, Kind.ALARMS)
    assert aside() == []
    monkeypatch.undo()
    await refused(1, Kind.ALARMS)
    clock.advance(8 * 86_400)
    journal.append(Kind.EVENTS, [event(clock, "later")], at=now_ms(clock))
    await journal.commit()
    assert aside() == [], "and none is older than the journal keeps anything"
    await journal.close()


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """No file grows beyond this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("left", ["room for what is dear", "no room at all"])
async def test_a_stop_loses_nothing_uncounted(tmp_path: Path, caplog: pytest.LogCaptureFixture, left: str) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock, memory_bytes=MIB)
    state = b"before"
    journal.rules = lambda: state
    journal.append(Kind.ALARMS, [alarm(clock)], at=now_ms(clock))
    await journal.commit()
    with file_limit(on_disk(tmp_path) if left == "room for what is dear" else 1):
        journal.take(bulky(clock, 700))
        await journal.commit()
        assert journal.stats().degraded
        assert DropReason.MEMORY_FULL not in journal.stats().drops
        # Within the time in which a disk that refused is not asked again.
        clock.advance(1)
        state = b"after"
        journal.append(Kind.ALARMS, [alarm(clock)], at=now_ms(clock))
        journal.append(Kind.EVENTS, [event(clock, "1"), event(clock, "2")], at=now_ms(clock))
        await journal.close()
    (said,) = [each.__dict__ for each in caplog.records if "what was in memory only is lost" in each.message]
    assert (said["levelname"], said["lost_readings"]) == ("ERROR", "700")
    again = Store(tmp_path / "j.db", max_bytes=64 * MIB, max_age_ms=86_400_000)
    again.open()
    unknown = [each for each in caplog.records if "does not know what was lost" in each.message]
    if left == "room for what is dear":
        assert {kind: again.unsent.blocks.get(kind, 0) for kind in Kind if kind in again.unsent.blocks} == {
            Kind.ALARMS: 2,
            Kind.EVENTS: 1,
        }
        assert again.rule_state() == b"after"
        assert again.dropped()[journal.stream] == {DropReason.STOPPED: 700}, "the next opening tells the centre"
        assert not unknown
        assert again.take_unclean() is None
    else:
        assert (said["lost_alarms"], said["lost_events"]) == ("1", "2")
        assert again.rule_state() == b"before", "what was lost is judged anew"
        assert unknown[0].__dict__["drops"] == {DropReason.STOPPED: 703}
        assert again.take_unclean() is not None
    again.close()


async def opened_after(path: Path, *, days: float, max_age_ms: int) -> tuple[Journal, ManualClock]:
    """What was taken and not sent at START, found by a machine whose clock says so much later."""
    clock = manual_clock()
    journal = await opened(path, clock, max_age_ms=max_age_ms)
    journal.take([reading(clock, 21.0)])
    await journal.close()
    later = ManualClock(START + timedelta(days=days))
    return await opened(path, later, max_age_ms=max_age_ms), later


async def test_a_clock_that_boots_far_ahead_makes_nothing_too_old(tmp_path: Path) -> None:
    journal, clock = await opened_after(tmp_path / "j.db", days=8, max_age_ms=7 * 86_400_000)
    for _ in range(3):
        journal.take([reading(clock, 22.0)])
        await journal.commit()
        clock.advance(600)
    assert await unsent_count(journal) == 4
    clock.step(-8 * 86_400)
    journal.take([reading(clock, 23.0)])
    await journal.commit()
    assert (await unsent_count(journal), journal.stats().drops) == (5, {})
    await journal.close()


async def test_a_clock_that_jumps_far_ahead_makes_nothing_too_old(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock, max_age_ms=7 * 86_400_000)
    for jump in (0, 8 * 86_400, 60):
        clock.step(jump)
        journal.take([reading(clock, 21.0)])
        await journal.commit()
        clock.advance(120)
    assert (await unsent_count(journal), journal.stats().drops) == (3, {})
    await journal.close()


async def test_a_clock_that_stays_ahead_is_followed_when_all_was_kept_for_max_age(tmp_path: Path) -> None:
    journal, clock = await opened_after(tmp_path / "j.db", days=8, max_age_ms=3_600_000)
    for _ in range(3):
        journal.take([reading(clock, 22.0)])
        await journal.commit()
        clock.advance(1750)
    assert journal.stats().drops == {}
    journal.take([reading(clock, 22.0)])
    await journal.commit()
    assert journal.stats().drops == {DropReason.TOO_OLD: 2}, "that of a week ago, and the first of this opening"
    await journal.close()


async def test_a_corrupt_file_is_replayed_whole_by_a_clock_that_boots_far_ahead(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    await commit_each(journal, clock, range(5))
    await journal.close()
    with sqlite3.connect(tmp_path / "j.db") as db:
        db.execute("PRAGMA user_version = 77")
    db.close()
    later = ManualClock(START + timedelta(days=30))
    again = await opened(tmp_path / "j.db", later)
    told = rows(tmp_path / "j.db", "PRAGMA user_version")
    again.take([reading(later, 22.0)])
    await again.commit()
    assert told != [(77,)], "it was replaced"
    assert (await unsent_count(again), again.stats().drops) == (6, {})
    await again.close()

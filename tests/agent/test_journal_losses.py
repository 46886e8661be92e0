"""What was lost is known over restarts and broken files."""

import sqlite3
from pathlib import Path

import pytest

from agent.journal import DropReason, Journal, Store
from agent.journal.reading import JournalReader
from agent.journal.recovery import open_or_recover
from facility.clock import ManualClock, now_ms
from facility.wire import Kind
from tests.agent.journals import MIB, manual_clock, opened
from tests.agent.test_journal_beyond import UNREADABLE, alarms_written, spoilt


async def lossy(journal: Journal, count: int) -> None:
    journal.count(DropReason.CLOCK, count)
    await journal.commit()


async def test_losses_of_many_streams_are_summed_up(tmp_path: Path) -> None:
    clock = manual_clock()
    for _ in range(20):
        journal = await opened(tmp_path / "j.db", clock)
        await lossy(journal, 1)
        await journal.close()
    journal = await opened(tmp_path / "j.db", clock)
    dropped = dict(journal.stats().dropped)
    assert dropped.pop("") == {"clock": 4}
    assert list(dropped.values()) == [{"clock": 1}] * 16
    await journal.close()


async def test_what_the_file_has_summed_up_is_not_counted_by_its_name_again(tmp_path: Path) -> None:
    clock = manual_clock()
    for _ in range(16):
        journal = await opened(tmp_path / "j.db", clock)
        await lossy(journal, 1)
        await journal.close()
    journal = await opened(tmp_path / "j.db", clock)  # knows sixteen by their names
    await lossy(journal, 1)  # the seventeenth: the file forgets the name of the first
    journal._store.broken = "for the test"
    await journal._recover("for the test")
    assert journal.stats().drops == {"clock": 1}
    dropped = dict(journal.stats().dropped)
    assert dropped.pop("") == {"clock": 1}
    assert list(dropped.values()) == [{"clock": 1}] * 15
    assert JournalReader(tmp_path / "j.db").status().drops == {"clock": 17}
    await journal.close()


async def test_a_count_that_broke_is_known_from_memory(tmp_path: Path) -> None:
    clock = manual_clock()
    for _ in range(16):
        journal = await opened(tmp_path / "j.db", clock)
        await lossy(journal, 1)
        await journal.close()
    journal = await opened(tmp_path / "j.db", clock)
    with sqlite3.connect(tmp_path / "j.db") as db:
        db.execute("UPDATE dropped SET count = -1 WHERE rowid = 5")
    db.close()
    journal._store.broken = "for the test"
    await journal._recover("for the test")
    assert JournalReader(tmp_path / "j.db").status().drops == {"clock": 16}
    assert list(journal.stats().dropped.values()) == [{"clock": 1}] * 16
    await journal.close()


async def test_losses_outlive_the_file(tmp_path: Path) -> None:
    clock = manual_clock()
    first = await opened(tmp_path / "j.db", clock)
    await lossy(first, 3)
    await first.close()
    journal = await opened(tmp_path / "j.db", clock)
    journal.append(Kind.ALARMS, [{"n": 1}], at=now_ms(clock))
    await lossy(journal, 4)
    # The table of losses is gone with the rest: what this process knows it writes into the new file.
    journal._store.close()
    for name in ("j.db-wal", "j.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "j.db").write_bytes(b"\xa5" * 40_960)
    journal._store.broken = "noise"
    await journal._recover("noise")
    assert journal.stats().drops == {"clock": 4}
    await journal.close()
    again = await opened(tmp_path / "j.db", clock)
    assert again.stats().dropped == {first.stream: {"clock": 3}, journal.stream: {"clock": 4}}
    await again.close()


async def test_losses_of_a_broken_file_are_taken_over(tmp_path: Path) -> None:
    clock = manual_clock()
    await alarms_written(tmp_path / "j.db", clock, 3)
    first = await opened(tmp_path / "j.db", clock)
    await lossy(first, 3)
    await first.close()
    spoilt(tmp_path / "j.db", UNREADABLE)
    again = await opened(tmp_path / "j.db", clock)
    await again.unsent(Kind.ALARMS, limit=9)
    assert again.stats().drops == {"corrupt": 1}
    again._store.close()  # killed before anything else is committed
    last = await opened(tmp_path / "j.db", clock)
    assert last.stats().dropped == {first.stream: {"clock": 3}, again.stream: {"corrupt": 1}}
    await last.close()


async def of_the_first_version(path: Path, clock: ManualClock) -> list[str]:
    """A journal with three alarms and eight readings lost; the alarms' digests."""
    digests = await alarms_written(path, clock, 3)
    with sqlite3.connect(path) as db:
        db.executescript(
            "DROP TABLE dropped; CREATE TABLE drops (reason TEXT PRIMARY KEY, count INTEGER NOT NULL);"
            "INSERT INTO drops VALUES ('clock', 8); PRAGMA user_version = 1;"
        )
    db.close()
    return digests


@pytest.mark.parametrize("broken", ["ALTER TABLE drops RENAME TO dropz", "UPDATE drops SET reason = NULL"])
async def test_broken_losses_of_the_first_version_hold_nothing_up(tmp_path: Path, broken: str) -> None:
    clock = manual_clock()
    digests = await of_the_first_version(tmp_path / "j.db", clock)
    with sqlite3.connect(tmp_path / "j.db") as db:
        db.execute(broken)
    db.close()
    again = await opened(tmp_path / "j.db", clock)
    assert again.stats().degraded == ""
    assert [each.block.digest for each in await again.unsent(Kind.ALARMS, limit=9)] == digests
    await again.close()


async def test_losses_of_a_broken_journal_of_the_first_version_are_taken_over(tmp_path: Path) -> None:
    clock = manual_clock()
    await of_the_first_version(tmp_path / "j.db", clock)
    store = Store(tmp_path / "j.db", max_bytes=64 * MIB, max_age_ms=86_400_000)
    store.stream, store.broken = "this opening", "for the test"
    report = open_or_recover(store, now_ms=now_ms(clock))
    assert report.quarantined is not None
    assert report.dropped == {"": {"clock": 8}}
    store.close()


async def test_a_journal_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    clock = manual_clock()
    digests = await of_the_first_version(tmp_path / "j.db", clock)
    again = await opened(tmp_path / "j.db", clock)
    assert [each.block.digest for each in await again.unsent(Kind.ALARMS, limit=9)] == digests
    assert JournalReader(tmp_path / "j.db").status().drops == {"clock": 8}
    await again.close()

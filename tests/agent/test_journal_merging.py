"""Small blocks become large ones: what is merged, what never is, and that nobody who reads it sees a difference."""

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.backtest_cli import _chunks
from agent.journal import BlockState, Journal, Key, Stored
from agent.journal.journal import MERGE_EVERY_S
from agent.journal.merging import Extent, choose
from agent.journal.packing import MAX_PACKED
from agent.journal.reading import JournalReader
from facility.clock import ManualClock, now_ms
from facility.items import decode_series
from facility.reading import PointKey, Quality, QualityReason, Reading
from facility.wire import Kind, decode, digest
from rules.backtest import Chunk, backtest
from rules.facts import DeviceFacts
from rules.model import RuleSet
from tests.agent.journals import (
    commit_each,
    event,
    manual_clock,
    opened,
    reading,
    rows,
)
from tests.rules.support import high

# Values in a commit of the tests: 250 blocks are one merged one.
SMALL = 20
POINTS = 100


def row(
    position: int, count: int = SMALL, *, at: int = 0, catalog: str = "", size: int = 200, parted_at: int = 0
) -> Extent:
    return Extent(catalog, position, count, size, at, at + 1000, parted_at)


@pytest.mark.parametrize(
    ("rows", "full", "group", "upto"),
    [
        ([], False, 0, 7),
        ([row(8), row(9)], False, 0, 7),  # there is room for more
        ([row(8), row(9)], True, 2, 9),
        ([row(8 + n, 1000) for n in range(6)], False, 5, 12),
        ([row(8), row(9, 4000), row(10), row(11)], False, 0, 9),  # what is large already is left
        ([row(8), row(9), row(10, 4000)], False, 2, 9),
        ([row(8), row(9), row(10, catalog="other")], False, 2, 9),
        ([row(8), row(9, parted_at=7), row(12, parted_at=11)], False, 2, 9),  # one of another state between
        ([row(8), row(9), row(10, size=131_000)], False, 2, 9),  # long texts
        ([row(8), row(9, at=4_000_000), row(10, at=4_000_000)], True, 2, 10),  # over an hour apart
        ([row(8, at=60_000), row(9, at=60_000), row(10, at=0)], False, 2, 9),  # the clock was set back
        ([row(8, 2000), row(9, 10), row(10, catalog="other")], False, 0, 9),  # not worth writing 2,000 anew
    ],
)
def test_which_neighbours_become_one(rows: list[Extent], full: bool, group: int, upto: int) -> None:
    choice = choose(rows, after=7, full=full)
    assert (len(choice.group), choice.upto) == (group, upto)


def taken_in(journal: Journal, clock: ManualClock, commit: int) -> list[Reading]:
    """Readings of one small commit, some of them not good and with what stood there."""
    found = []
    for n in range(SMALL):
        probe = (commit * SMALL + n) % POINTS
        bad = probe == 7
        found.append(
            Reading(
                "t-1", "room.temperature", f"probe/{probe}", None if bad else 20.0 + commit / 10, now_ms(clock) + n,
                Quality.BAD if bad else Quality.GOOD, QualityReason.TIMEOUT if bad else None, "n/a" if bad else None,
            )
        )  # fmt: skip
    journal.take(found)
    return found


async def small_blocks(journal: Journal, clock: ManualClock, count: int, *, start: int = 0) -> list[Reading]:
    found = []
    for commit in range(start, start + count):
        found += taken_in(journal, clock, commit)
        await journal.commit()
        clock.advance(1)
    return found


async def merged(journal: Journal, clock: ManualClock) -> None:
    for _ in range(20):
        clock.advance(MERGE_EVERY_S)
        await journal.merge()


def waiting(journal: Journal) -> list[Stored]:
    """What waits, without offering it to anybody."""
    return journal._store.unsent_of(Kind.READINGS, limit=100_000)


def readings_of(blocks: list[Stored]) -> list[Reading]:
    found = []
    for each in blocks:
        series, refused = decode_series(decode(each.block.payload()).items, now_ms=1 << 60)
        assert not refused
        found += [one for each in series for one in each.readings()]
    return found


def in_time(found: list[Reading]) -> list[Reading]:
    return sorted(found, key=lambda each: (each.taken_at, each.subject))


async def test_waiting_blocks_are_merged_before_they_were_offered(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    taken = await small_blocks(journal, clock, 600)
    before = waiting(journal)
    await merged(journal, clock)
    after = waiting(journal)
    assert [each.block.count for each in after[:2]] == [5000, 5000]
    assert len(after) == 2 + 100, "a group that has room is waited for"
    assert in_time(readings_of(after)) == in_time(taken)
    assert [each.position for each in after] == sorted(each.position for each in after)
    assert after[0].position == before[249].position, "the place is that of the last"
    known = {each.block.key for each in before}
    assert known.isdisjoint(each.block.key for each in after[:2]), "no name is given twice"
    assert journal.stats().unsent_blocks[Kind.READINGS] == len(after)
    await journal.close()


async def test_where_nothing_was_to_be_merged_some_blocks_must_come_before_the_next_look(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    asked: list[str] = []
    assert journal._store._db is not None
    journal._store._db.set_trace_callback(asked.append)

    async def looks(commits: int) -> bool:
        await small_blocks(journal, clock, commits)
        asked.clear()
        await merged(journal, clock)
        return any("FROM blocks AS each" in each for each in asked)

    assert await looks(2)
    assert not await looks(0), "nothing came"
    assert await looks(98)
    assert not await looks(23), "a quarter of the 99 that the last look read"
    assert await looks(1)
    assert await looks(200), "what is full is merged at once"
    assert [each.block.count for each in waiting(journal)][:1] == [5000]
    await journal.close()


async def test_what_was_offered_keeps_name_and_bytes(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    await small_blocks(journal, clock, 400)
    offered = await journal.unsent(Kind.READINGS, limit=100)
    await small_blocks(journal, clock, 400, start=400)
    await merged(journal, clock)
    after = waiting(journal)
    assert after[:100] == offered
    assert after[100].block.count == 5000, "what nobody was offered is merged"
    await journal.close()


async def test_what_another_process_may_have_sent_keeps_name_and_bytes(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    await small_blocks(journal, clock, 400)
    before = waiting(journal)
    await journal.close()
    again = await opened(tmp_path / "j.db", clock)
    await small_blocks(again, clock, 10)
    await merged(again, clock)
    assert waiting(again)[:400] == before
    await again.close()


async def test_what_was_offered_from_memory_keeps_name_and_bytes(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock, memory_bytes=1 << 24)
    await small_blocks(journal, clock, 1)
    with failing(journal, "INSERT ON blocks"):
        await small_blocks(journal, clock, 300, start=1)
        sent = [each.block for each in await journal.unsent(Kind.READINGS, limit=1000)]
        assert len(sent) == 301
    clock.advance(10)
    await journal.commit()
    assert journal.stats().degraded == ""
    await small_blocks(journal, clock, 1, start=301)
    await merged(journal, clock)
    assert [each.block for each in waiting(journal)[:301]] == sent
    await journal.close()


@contextmanager
def failing(journal: Journal, what: str) -> Iterator[None]:
    """The disk refuses these statements."""
    db = journal._store._open_db()
    db.execute(f"CREATE TEMP TRIGGER refuse BEFORE {what} BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    try:
        yield
    finally:
        if journal._store._db is db:
            db.execute("DROP TRIGGER refuse")


def played(chunks: list[Chunk]) -> dict[PointKey, list[tuple[int, float | str | None]]]:
    """What rules are given of each point, in the order in which they are given it."""
    found: dict[PointKey, list[tuple[int, float | str | None]]] = {}
    for chunk in chunks:
        for point, at, values, _ in chunk.columns:
            found.setdefault(point, []).extend(zip(at, values, strict=True))
    return found


async def delivered(journal: Journal, clock: ManualClock, count: int) -> list[Reading]:
    taken = await small_blocks(journal, clock, count)
    for each in await journal.unsent(Kind.READINGS, limit=count):
        journal.settle(each.block.key, BlockState.COMMITTED)
    await journal.commit()
    await small_blocks(journal, clock, 1, start=count)
    return taken


async def test_history_is_merged_and_reads_as_before(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    taken = await delivered(journal, clock, 800)
    read = JournalReader(tmp_path / "j.db")

    def history() -> list[Reading]:
        return list(read.history("t-1", from_ms=0, to_ms=taken[-1].taken_at + 1))

    before, chunks = history(), list(_chunks(read, 0))
    used = journal.stats().used_bytes
    await merged(journal, clock)
    await small_blocks(journal, clock, 1, start=801)
    counted = "SELECT count FROM blocks WHERE kind = 'readings' AND state = 1 ORDER BY position"
    assert rows(tmp_path / "j.db", counted)[:4] == [(5000,), (5000,), (5000,), (SMALL,)]
    assert journal.stats().used_bytes < used / 2
    assert history() == before == in_time(taken)
    again = list(_chunks(read, 0))
    assert len(again) < len(chunks) // 10
    # The two commits behind were written since.
    last = chunks[-1].until_ms
    assert {point: [one for one in row if one[0] <= last] for point, row in played(again).items()} == played(chunks)
    await journal.close()


async def test_what_is_delivered_late_is_merged_too(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    await small_blocks(journal, clock, 300)
    late = await journal.unsent(Kind.READINGS, limit=300)
    await small_blocks(journal, clock, 300, start=300)
    for each in waiting(journal)[300:]:
        journal.settle(each.block.key, BlockState.COMMITTED)
    await journal.commit()
    await merged(journal, clock)
    assert waiting(journal) == late
    for each in late:
        journal.settle(each.block.key, BlockState.COMMITTED)
    await small_blocks(journal, clock, 1, start=600)
    await merged(journal, clock)
    counted = "SELECT count FROM blocks WHERE kind = 'readings' AND state = 1 ORDER BY position LIMIT 3"
    assert rows(tmp_path / "j.db", counted) == [(5000,), (1000,), (5000,)]
    await journal.close()


@pytest.mark.parametrize("fate", [BlockState.UNSENT, BlockState.COMMITTED, BlockState.REJECTED, BlockState.CORRUPT])
async def test_what_was_between_neighbours_hides_none_of_them_from_a_backtest(tmp_path: Path, fate: BlockState) -> None:
    """A reading each 10 s, hot for ten minutes; one block gets its answer late, or never, or a bad one."""
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    for n in range(500):
        journal.take([reading(clock, 30.0 if 100 <= n < 160 else 20.0)])
        await journal.commit()
        clock.advance(10)
    offered = await journal.unsent(Kind.READINGS, limit=500)
    odd = offered.pop(300).block.key
    for each in offered:
        journal.settle(each.block.key, BlockState.COMMITTED)
    if fate in (BlockState.REJECTED, BlockState.CORRUPT):
        journal.settle(odd, fate, "bad")
    await journal.commit()
    await merged(journal, clock)
    if fate is BlockState.COMMITTED:
        journal.settle(odd, fate)
        await journal.commit()
        await merged(journal, clock)
    read = JournalReader(tmp_path / "j.db")
    times = [each.taken_at for each in read.history("t-1", from_ms=0, to_ms=1 << 60)]
    assert times == sorted(times)
    assert len(times) == 500
    assert len(rows(tmp_path / "j.db", "SELECT position FROM blocks")) < 250, "most are merged"
    rules, point = RuleSet((high(metric="room.temperature"),)), PointKey("t-1", "room.temperature", "")
    report = backtest(rules, [DeviceFacts("t-1", "sensor", points=(point,))], _chunks(read, 0))
    assert sum(report.raised.values()) == 1
    await journal.close()


async def test_a_disk_that_refuses_a_merge_keeps_what_was_there(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    await small_blocks(journal, clock, 300)
    before = waiting(journal)
    with failing(journal, "INSERT ON blocks"):
        await merged(journal, clock)
        assert waiting(journal) == before
    assert journal.stats().degraded == ""
    await merged(journal, clock)
    after = waiting(journal)
    assert after[0].block.count == 5000
    assert after[0].block.key.seq > 300, "a number that was given stays given"
    await journal.close()


async def test_a_broken_block_is_not_merged_away(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    await delivered(journal, clock, 600)
    with sqlite3.connect(tmp_path / "j.db") as db:
        db.execute("UPDATE blocks SET body = zeroblob(40) WHERE position = 100")
    db.close()
    await merged(journal, clock)
    broken = rows(tmp_path / "j.db", "SELECT body, state FROM blocks WHERE position = 100")
    assert broken == [(bytes(40), BlockState.COMMITTED)]
    counted = "SELECT count(*) FROM blocks WHERE kind = 'readings' AND count = 5000"
    assert rows(tmp_path / "j.db", counted) == [(1,)]
    await journal.close()


@pytest.mark.parametrize(
    "items", [b"no JSON", b'[{"device":"t-1","metric":"room.temperature","at":[1],"value":[1.0,2.0]}]']
)
async def test_what_cannot_be_decoded_stays_as_it_is(tmp_path: Path, items: bytes) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    await small_blocks(journal, clock, 100)
    body = zlib.compress(items)
    with sqlite3.connect(tmp_path / "j.db") as db:
        fits = digest(Kind.READINGS, "", body)
        db.execute("UPDATE blocks SET body = ?, digest = ? WHERE position = 50", (body, fits))
    db.close()
    await small_blocks(journal, clock, 500, start=100)
    await merged(journal, clock)
    assert waiting(journal)[49].block.body == body
    assert [each.block.count for each in waiting(journal)][249:252] == [SMALL, 5000, SMALL]
    await journal.close()


async def test_other_kinds_and_their_order_stay(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    for commit in range(300):
        taken_in(journal, clock, commit)
        journal.append(Kind.EVENTS, [event(clock, str(commit))], at=now_ms(clock))
        await journal.commit()
        clock.advance(1)
    said = journal._store.unsent_of(Kind.EVENTS, limit=1000)
    await merged(journal, clock)
    assert waiting(journal)[0].block.count == 5000
    assert journal._store.unsent_of(Kind.EVENTS, limit=1000) == said
    await journal.close()


async def test_packing_goes_on_where_it_was_after_a_quarantine(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    await commit_each(journal, clock, range(200))
    assert await journal.pack(busy=set(), spacing_ms=0) == (0, False)
    await commit_each(journal, clock, range(200, 260))
    packed = [each.block for each in waiting(journal) if each.position <= journal.packed]
    assert [each.count for each in packed] == [200]
    with sqlite3.connect(tmp_path / "j.db") as db:
        db.execute("UPDATE blocks SET digest = CAST(x'ff41' AS TEXT) WHERE position = 230")
    db.close()
    await journal.unsent(Kind.READINGS, limit=1000)
    await journal.commit()
    assert [each.block for each in waiting(journal) if each.position <= journal.packed] == packed
    assert len(waiting(journal)) == 60, "one was broken"
    await journal.pack(busy=set(), spacing_ms=0)
    assert [each.block.count for each in waiting(journal)] == [200, 59]
    await journal.close()


async def test_one_step_of_packing_decodes_so_much_and_no_more(tmp_path: Path) -> None:
    """What waits after an outage is merged: 600 blocks would be three million values, and alarms wait meanwhile."""
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    for commit in range(30):
        journal.take(
            [
                Reading("t-1", "room.temperature", f"probe/{n}", float(commit), now_ms(clock) + n)
                for n in range(MAX_PACKED)
            ]
        )
        await journal.commit()
        clock.advance(60)
    every = [each.position for each in waiting(journal)]
    assert len(every) == 30
    assert await journal.pack(busy=set(), spacing_ms=3_600_000) == (19 * MAX_PACKED, True)
    assert journal.packed == every[19]
    assert [each.position for each in waiting(journal)] == [every[0], *every[20:]]
    assert await journal.pack(busy=set(), spacing_ms=3_600_000) == (10 * MAX_PACKED, False)
    assert journal.packed == every[-1]
    await journal.close()


async def test_a_name_of_the_merged_is_not_that_of_another(tmp_path: Path) -> None:
    """Whatever becomes of it: names of this stream are counted on."""
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    await small_blocks(journal, clock, 300)
    await merged(journal, clock)
    await small_blocks(journal, clock, 5, start=300)
    keys = [each.block.key for each in waiting(journal)]
    assert len(set(keys)) == len(keys)
    assert keys[0] == Key(journal.stream, 301)
    assert keys[-1] == Key(journal.stream, 306)
    await journal.close()

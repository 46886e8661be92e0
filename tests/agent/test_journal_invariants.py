"""One test for each invariant of `agent.journal`, by its name; those of its bounds lie in `test_journal_bounds`."""

import asyncio
import json
import re
import resource
import sqlite3
from pathlib import Path

import agent.journal
from agent.journal import BlockState, DropReason, InlineOffload, Journal, Store, ThreadOffload
from agent.journal.reading import JournalReader
from facility.clock import ManualClock, SystemClock, now_ms
from facility.ids import new_id
from facility.wire import Kind, decode
from tests.agent import test_journal_bounds
from tests.agent.journals import (
    MIB,
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


def test_every_invariant_has_a_test() -> None:
    named = re.findall(r"^- (\w+):", agent.journal.__doc__ or "", re.MULTILINE)
    assert len(named) >= 13
    here = globals() | vars(test_journal_bounds)
    missing = [name for name in named if f"test_{name}" not in here]
    assert missing == []


async def test_published_only_after_commit(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    journal.take([reading(clock, 21.0)])
    journal.append(Kind.ALARMS, [alarm(clock)], at=now_ms(clock))
    assert await unsent_count(journal) == 0
    assert await unsent_count(journal, Kind.ALARMS) == 0
    await journal.commit()
    for kind in (Kind.READINGS, Kind.ALARMS):
        (offered,) = await journal.unsent(kind, limit=10)
        assert offered.position > 0
        on_disk = rows(tmp_path / "j.db", f"SELECT digest FROM blocks WHERE position = {offered.position}")
        assert on_disk == [(offered.block.digest,)]
    with sqlite3.connect(tmp_path / "j.db") as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()
    assert journal._store._open_db().execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    await journal.close()


async def test_loss_bound_is_one_group_commit(tmp_path: Path) -> None:
    clock = SystemClock(asyncio.sleep)
    store = Store(tmp_path / "j.db", max_bytes=64 * MIB, max_age_ms=86_400_000)
    offload = ThreadOffload("test journal")
    journal = Journal(store, clock=clock, offload=offload, new_id=new_id, group_commit_s=0.2)
    await journal.open()
    loop = asyncio.get_running_loop()
    running = asyncio.create_task(journal.run())
    try:
        taken = loop.time()
        journal.take([reading(clock, 21.0)])  # type: ignore[arg-type]
        await asyncio.wait_for(journal.changed.wait(), 5)
        assert await unsent_count(journal) == 1
        # One interval, and a margin for a busy machine; without a group commit it would wait for ever.
        assert loop.time() - taken < 1.0
        journal.changed.clear()
        journal.append(Kind.EVENTS, [event(clock, "at once")], at=now_ms(clock))  # type: ignore[arg-type]
        await asyncio.wait_for(journal.changed.wait(), 5)
        assert await unsent_count(journal, Kind.EVENTS) == 1
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await journal.close()
        offload.close()


async def test_an_unclean_stop_is_said(tmp_path: Path) -> None:
    said: list[tuple[str, dict[str, str]]] = []

    async def opening(clock: ManualClock) -> Journal:
        store = Store(tmp_path / "j.db", max_bytes=64 * MIB, max_age_ms=86_400_000)
        journal = Journal(store, clock=clock, offload=InlineOffload(), new_id=new_id)
        journal.notice = lambda what, detail: said.append((what, detail))
        await journal.open()
        return journal

    clock = manual_clock()
    first = await opening(clock)
    first.take([reading(clock, 21.0)])
    await first.close()
    second = await opening(clock)
    assert said == [], "a first start and an orderly stop are nothing to tell"
    second.take([reading(clock, 22.0)])
    await second.commit()
    committed = now_ms(clock)
    second.take([reading(clock, 23.0)])
    second._store.close()  # the process ends here: nobody closes the journal
    clock.advance(42.0)
    third = await opening(clock)
    assert said == [
        ("unclean_stop", {"last_commit_at": str(committed), "down_s": "42.0", "lost_at_most_s": "1"}),
    ]
    await third.close()


async def test_a_new_stream_per_open(tmp_path: Path) -> None:
    clock = manual_clock()
    seen: dict[tuple[str, int], str] = {}
    streams = set()
    for _ in range(3):
        journal = await opened(tmp_path / "j.db", clock)
        streams.add(journal.stream)
        journal.take([reading(clock, 20.0 + len(streams))])
        await journal.commit()
        for each in await journal.unsent(Kind.READINGS, limit=10):
            name = (each.block.key.stream, each.block.key.seq)
            # The blocks of earlier openings keep their names and contents.
            assert seen.setdefault(name, each.block.digest) == each.block.digest
        await journal.close()
        clock.advance(1)
    assert len(streams) == 3
    assert len(seen) == 3
    assert len(set(seen.values())) == 3


async def test_event_and_rule_state_are_one_transaction(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    known: list[str] = []
    journal.rules = lambda: ",".join(known).encode()
    await journal.commit()
    item = alarm(clock)
    known.append("raised")
    journal.append(Kind.ALARMS, [item], at=now_ms(clock))
    db = journal._store._open_db()
    # The insert of the rule state fails: the event must not be there either.
    db.execute("CREATE TRIGGER refuse BEFORE INSERT ON rule_state BEGIN SELECT RAISE(ABORT, 'no'); END")
    await journal.commit()
    assert journal.stats().degraded
    assert rows(tmp_path / "j.db", "SELECT count(*) FROM blocks WHERE kind = 'alarms'") == [(0,)]
    db.execute("DROP TRIGGER refuse")
    clock.advance(10)
    await journal.commit()
    assert rows(tmp_path / "j.db", "SELECT count(*) FROM blocks WHERE kind = 'alarms'") == [(1,)]
    assert rows(tmp_path / "j.db", "SELECT state FROM rule_state") == [(b"raised",)]
    await journal.close()


async def test_a_full_disk_degrades_to_bounded_memory_and_heals(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock, memory_bytes=MIB)
    told: list[str] = []
    journal.notice = lambda what, detail: told.append(what)
    journal.take([reading(clock, 21.0)])
    await journal.commit()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = on_disk(tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        for _ in range(10):
            journal.take(bulky(clock, 250))
            await journal.commit()
            clock.advance(1)
        journal.append(Kind.ALARMS, [alarm(clock)], at=now_ms(clock))
        await journal.commit()
        stats = journal.stats()
        assert stats.degraded
        assert stats.memory_bytes <= MIB
        assert stats.drops[DropReason.MEMORY_FULL] > 0
        # The centre gets what is held, from memory, alarms first of all.
        (offered,) = await journal.unsent(Kind.ALARMS, limit=10)
        assert offered.position == 0
        held = await unsent_count(journal)
        assert held + stats.drops[DropReason.MEMORY_FULL] == 1 + 10 * 250
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    clock.advance(10)
    await journal.commit()
    assert journal.stats().degraded == ""
    assert told.count("degraded") == 1
    assert told.count("healed") == 1
    assert await unsent_count(journal) == held
    assert await unsent_count(journal, Kind.ALARMS) == 1
    assert rows(tmp_path / "j.db", "SELECT count FROM dropped") == [(stats.drops[DropReason.MEMORY_FULL],)]
    await journal.close()


async def test_a_corrupt_file_is_quarantined_and_the_rest_replayed(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    journal.rules = lambda: b"state"
    for _ in range(30):
        journal.take(bulky(clock, 20))
        await journal.commit()
        clock.advance(1)
    journal.append(Kind.ALARMS, [alarm(clock)], at=now_ms(clock))
    await journal.commit()
    before = {each.block.key: each.block.digest for each in await journal.unsent(Kind.READINGS, limit=100)}
    await journal.close()
    raw = bytearray((tmp_path / "j.db").read_bytes())
    page = 4096
    for number in (40, 41):  # two pages in the middle become noise
        raw[number * page : (number + 1) * page] = b"\xa5" * page
    (tmp_path / "j.db").write_bytes(raw)

    store = Store(tmp_path / "j.db", max_bytes=64 * MIB, max_age_ms=86_400_000)
    again = Journal(store, clock=clock, offload=InlineOffload(), new_id=new_id)
    told: list[str] = []
    again.notice = lambda what, detail: told.append(what)
    report = await again.open()
    assert report.quarantined is not None
    assert report.quarantined.read_bytes()[40 * page : 41 * page] == b"\xa5" * page
    after = {each.block.key: each.block.digest for each in await again.unsent(Kind.READINGS, limit=100)}
    assert 0 < len(after) < len(before)
    assert after.items() <= before.items()
    assert report.salvaged == len(after) + 1
    assert report.lost == len(before) - len(after)
    assert again.stats().drops[DropReason.CORRUPT] == report.lost_unsent
    assert report.lost <= report.lost_unsent <= 20 * report.lost
    assert await unsent_count(again, Kind.ALARMS) == 1
    assert report.rule_state == b"state"
    assert told == ["quarantined"]
    again.take([reading(clock, 21.0)])
    await again.commit()
    assert again.stats().degraded == ""
    await again.close()


async def test_a_corrupt_block_is_kept_and_counted_never_sent(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    await commit_each(journal, clock, range(3))
    with sqlite3.connect(tmp_path / "j.db") as db:
        db.execute("UPDATE blocks SET body = zeroblob(40) WHERE seq = 2")
    db.close()
    assert [each.block.key.seq for each in await journal.unsent(Kind.READINGS, limit=10)] == [1, 3]
    await journal.commit()
    assert journal.stats().drops == {DropReason.CORRUPT: 1}
    assert rows(tmp_path / "j.db", "SELECT state, reason FROM blocks WHERE seq = 2") == [
        (BlockState.CORRUPT, "corrupt")
    ]
    assert [each.block.key.seq for each in await journal.unsent(Kind.READINGS, limit=10)] == [1, 3]
    await journal.close()


async def test_order_is_kept_within_a_kind(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    for value in range(50):
        journal.take([reading(clock, float(value))])
        journal.append(Kind.EVENTS, [event(clock, str(value))], at=now_ms(clock))
        await journal.commit()
        clock.advance(1)
    for kind in (Kind.READINGS, Kind.EVENTS):
        times = [each.block.first_at for each in await journal.unsent(kind, limit=100)]
        assert times == sorted(times)
        assert len(times) == 50
    await journal.close()


async def test_merged_out_of_sight(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    for value in range(2000):
        journal.take([reading(clock, float(value))])
        await journal.commit()
        clock.advance(1)
        await journal.merge()
        if value == 99:
            sent = await journal.unsent(Kind.READINGS, limit=100)
    found = await journal.unsent(Kind.READINGS, limit=2000)
    assert found[:100] == sent
    assert [each.block.count for each in found[100:103]] == [600, 600, 600]
    values = [
        value for each in found for item in decode(each.block.payload()).items for value in json.loads(item)["value"]
    ]
    assert values == [float(value) for value in range(2000)]
    await journal.close()


async def test_packed_in_place_without_loss(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    await commit_each(journal, clock, range(200))
    before = journal.stats().used_bytes
    flying = (await journal.unsent(Kind.READINGS, limit=200))[120].block.key
    assert await journal.pack(busy={flying}, spacing_ms=0) == (0, False)
    packed = await journal.unsent(Kind.READINGS, limit=200)
    assert [each.block.count for each in packed] == [120, 1, 79]
    assert [each.block.first_at for each in packed] == sorted(each.block.first_at for each in packed)
    assert journal.stats().unsent_blocks[Kind.READINGS] == 3
    assert journal.stats().used_bytes < before / 2
    journal.take([reading(clock, 200.0)])
    await journal.commit()
    found = [
        value
        for each in await journal.unsent(Kind.READINGS, limit=200)
        for item in decode(each.block.payload()).items
        for value in json.loads(item)["value"]
    ]
    assert found == [float(value) for value in range(201)]
    await journal.close()


async def test_losses_are_kept_by_the_stream_that_had_them(tmp_path: Path) -> None:
    clock = manual_clock()
    known: dict[str, dict[str, int]] = {}
    for count in (5, 0, 7):
        journal = await opened(tmp_path / "j.db", clock)
        assert journal.stats().dropped == known
        assert journal.stats().drops == {}
        for _ in range(2):
            journal.count(DropReason.CLOCK, count)
            await journal.commit()
        if count:
            known[journal.stream] = {"clock": 2 * count}
            assert journal.stats().drops == {"clock": 2 * count}
        await journal.close()
    assert JournalReader(tmp_path / "j.db").status().drops == {"clock": 24}

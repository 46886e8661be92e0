"""A disk that refuses while blocks are packed, or while the centre asks for a catalog: nothing is taken for gone."""

from pathlib import Path

from agent.journal import Journal
from facility.clock import now_ms
from facility.reading import Reading
from tests.agent.journals import manual_clock, opened, reading, unsent_count


def refuse(journal: Journal, refuses: bool) -> None:
    db = journal._store._db
    assert db is not None
    db.execute(f"PRAGMA query_only = {int(refuses)}")


async def test_a_change_of_state_is_kept_though_its_packing_was_refused_at_first(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    for door in ("closed", "open"):
        journal.take([Reading("t-1", "door.state", "", door, now_ms(clock))])
        await journal.commit()
        refuse(journal, door == "open")
        assert await journal.pack(busy=set(), spacing_ms=120_000) == (0, False)
        clock.advance(10)
    refuse(journal, False)
    assert await journal.pack(busy=set(), spacing_ms=120_000) == (0, False), "the disk had refused it, nobody has it"
    assert await unsent_count(journal) == 2
    await journal.close()


async def test_what_was_thinned_before_the_disk_refused_is_counted(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    for catalog in ("1" * 32, "2" * 32):
        journal.append_catalog({"name": catalog}, catalog, at=now_ms(clock))
        for second in range(10):
            journal.take([reading(clock, float(second))])
            await journal.commit()
            clock.advance(1)
    db = journal._store._db
    assert db is not None
    db.execute(
        "CREATE TRIGGER refusing BEFORE DELETE ON blocks WHEN old.catalog LIKE '2%'"
        " BEGIN SELECT RAISE(ABORT, 'this one not'); END"
    )
    assert await journal.pack(busy=set(), spacing_ms=120_000) == (9, False)
    assert await unsent_count(journal) == 1 + 10
    db.execute("DROP TRIGGER refusing")
    thinned, _ = await journal.pack(busy=set(), spacing_ms=120_000)
    assert thinned + await unsent_count(journal) == 1 + 10
    await journal.close()


async def test_a_catalog_is_not_given_up_as_gone_while_the_disk_does_not_say(tmp_path: Path) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    journal.append_catalog({"name": "hall"}, "1" * 32, at=now_ms(clock))
    await journal.commit()
    journal._store.close()
    assert await journal.offer_catalog("1" * 32, at=now_ms(clock)), "the uplink would name another to its blocks"
    journal._store.open()
    assert await journal.offer_catalog("1" * 32, at=now_ms(clock))
    assert not await journal.offer_catalog("2" * 32, at=now_ms(clock))
    await journal.close()

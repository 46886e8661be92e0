"""Journals with one bit flipped, a thousand of them too large to be checked at opening: the damage is met in reading.

What nobody can see without the check is an entry of an index that has become another valid one: the block it stood for
is not offered. It is a handful of bits in a thousand.
"""

import os
import random
import shutil
from pathlib import Path

import pytest

from agent.journal import BlockState, InlineOffload, Journal, Key, Store, store
from facility.clock import ManualClock, now_ms
from facility.ids import new_id
from facility.wire import Kind
from tests.agent.journals import MIB, bulky, event, manual_clock, opened, reading

UNSEEN = 5


async def full_of_blocks(path: Path, clock: ManualClock) -> dict[Key, str]:
    """A closed journal with blocks of two kinds, unsent, delivered and counted as dropped; name -> digest of unsent."""
    journal = await opened(path, clock)
    journal.rules = lambda: b'{"version":1}'
    for value in range(40):
        journal.take(bulky(clock, 4) if value % 8 == 0 else [reading(clock, float(value))])
        journal.append(Kind.EVENTS, [event(clock, str(value))], at=now_ms(clock))
        await journal.commit()
        clock.advance(1)
    for each in (await journal.unsent(Kind.READINGS, limit=10))[:6]:
        journal.settle(each.block.key, BlockState.COMMITTED)
    await journal.commit()
    found = await offered(journal)
    await journal.close()
    return found


async def offered(journal: Journal) -> dict[Key, str]:
    return {
        each.block.key: each.block.digest
        for kind in (Kind.READINGS, Kind.EVENTS)
        for each in await journal.unsent(kind, limit=1000)
    }


@pytest.mark.parametrize(("flips", "checked", "unseen"), [(1000, 0, UNSEEN), (200, 1 << 30, 0)])
async def test_any_flipped_bit_starts_and_says_what_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flips: int, checked: int, unseen: int
) -> None:
    monkeypatch.setattr(store, "CHECKED_AT_OPEN", checked)
    clock = manual_clock()
    whole = await full_of_blocks(tmp_path / "j.db", clock)
    content = (tmp_path / "j.db").read_bytes()
    chance = random.Random(9)
    memory = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else tmp_path
    silent: list[str] = []
    for flip in range(flips):
        folder = memory / f"{tmp_path.name}-flip-{os.getpid()}"
        folder.mkdir()
        raw = bytearray(content)
        place, bit = chance.randrange(len(raw)), chance.randrange(8)
        raw[place] ^= 1 << bit
        (folder / "j.db").write_bytes(raw)
        told: list[str] = []
        journal = Journal(
            Store(folder / "j.db", max_bytes=64 * MIB, max_age_ms=86_400_000),
            clock=clock,
            offload=InlineOffload(),
            new_id=new_id,
        )
        journal.notice = lambda what, detail, told=told: told.append(what)  # type: ignore[misc]
        where = f"flip {flip}: bit {bit} of byte {place}"
        await journal.open()
        for value in range(3):
            await offered(journal)
            journal.take([reading(clock, float(value))])
            await journal.commit()
            clock.advance(10)
            await journal.commit()  # what a commit that met the damage did not write is written by the next one
        found = await offered(journal)
        assert not journal.stats().degraded, where
        assert Key(journal.stream, 3) in found, where
        await journal.close()
        for key in whole.keys() & found.keys():
            assert found[key] == whole[key], where
        if set(whole.values()) - set(found.values()) and not told:
            silent.append(where)
        shutil.rmtree(folder)
    assert len(silent) <= unseen, silent

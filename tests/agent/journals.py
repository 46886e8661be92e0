"""Journals for tests: inline, on a clock that moves when told, with readings made to measure."""

import random
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from agent.journal import InlineOffload, Journal, Store
from facility.alarms import AlarmEvent, AlarmEventKind
from facility.clock import Clock, ManualClock, now_ms
from facility.ids import new_id
from facility.items import AlarmItem, EventItem, EventKind
from facility.reading import Reading
from facility.severity import Severity
from facility.wire import Kind

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
MIB = 1 << 20


def manual_clock() -> ManualClock:
    return ManualClock(START)


async def opened(
    path: Path,
    clock: Clock,
    *,
    max_bytes: int = 64 * MIB,
    max_age_ms: int = 7 * 86_400_000,
    memory_bytes: int = MIB,
) -> Journal:
    store = Store(path, max_bytes=max_bytes, max_age_ms=max_age_ms)
    journal = Journal(store, clock=clock, offload=InlineOffload(), new_id=new_id, memory_bytes=memory_bytes)
    await journal.open()
    return journal


def reading(clock: ManualClock, value: float, *, metric: str = "room.temperature", subject: str = "") -> Reading:
    return Reading("t-1", metric, subject, value, now_ms(clock))


def bulky(clock: ManualClock, count: int) -> list[Reading]:
    """Readings whose raw text does not compress: about 1 KiB each."""
    noise = random.Random(count)
    return [
        Reading("t-1", "room.temperature", f"probe/{i}", 21.5, now_ms(clock), raw=noise.randbytes(450).hex())
        for i in range(count)
    ]


def event(clock: ManualClock, note: str) -> EventItem:
    at = now_ms(clock)
    return EventItem(new_id(at), at, EventKind.JOURNAL, "", {"note": note})


async def unsent_count(journal: Journal, kind: Kind = Kind.READINGS) -> int:
    """Readings (or items) that are still offered."""
    return sum(each.block.count for each in await journal.unsent(kind, limit=100_000))


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    """What another reader of the file sees: only what is committed."""
    with sqlite3.connect(path) as db:
        found = db.execute(sql).fetchall()
    db.close()
    return found


def alarm(clock: ManualClock) -> AlarmItem:
    at = now_ms(clock)
    raised = AlarmEvent(
        new_id(at), 1, AlarmEventKind.RAISED, "edge-1", "t-1", "room-hot", "", "room.temperature", "hi", Severity.MAJOR,
        at, 30.0, 27.0, "above_limit", "0" * 12,
    )  # fmt: skip
    return AlarmItem(event=raised)


def on_disk(folder: Path) -> int:
    """Bytes of the journal's file and its companions."""
    return sum(path.stat().st_size for path in folder.glob("j.db*"))


async def commit_each(journal: Journal, clock: ManualClock, values: Iterable[int]) -> None:
    """Each value in a block of its own, a second apart."""
    for value in values:
        journal.take([reading(clock, float(value))])
        await journal.commit()
        clock.advance(1)

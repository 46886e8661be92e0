"""Power cuts and broken files: `python -m bench.power_cut [--cuts 200] [--broken 1000]`.

A cut: the true journal commits each second; then the files are put back to what the disk had synced before the last
commit, with a random, torn part of what was written since. Every fourth disk lies: it drops the commit that was synced
and already published. A broken file: a copy of a journal that was running, truncated or with 1 to 64 bytes changed,
database or WAL. After each, the journal is opened, takes readings, and what it offers is held against plain books of
every block ever published, by name and digest.
"""

import asyncio
import logging
import platform
import random
import resource
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from agent.journal import InlineOffload, Journal, Key, Store
from agent.journal.sql import StoreFull
from facility.clock import ManualClock, from_ms, now_ms
from facility.ids import new_id
from facility.items import EventItem, EventKind
from facility.reading import Reading
from facility.wire import Kind

console = Console(width=130)
START = from_ms(1_790_000_000_000)
MIB = 1 << 20
PER_SECOND = 200
SECTOR = 512
NAME = "journal.db"


@dataclass
class Books:
    """What was ever published: name -> digest, and name -> how many readings."""

    digests: dict[Key, str] = field(default_factory=dict)
    counts: dict[Key, int] = field(default_factory=dict)
    confused: int = 0
    said: Counter[str] = field(default_factory=Counter)

    def note(self, key: Key, digest: str, count: int) -> None:
        if self.digests.setdefault(key, digest) != digest:
            self.confused += 1
        self.counts[key] = count


async def opened(folder: Path, clock: ManualClock, books: Books) -> Journal:
    store = Store(folder / NAME, max_bytes=64 * MIB, max_age_ms=3650 * 86_400_000)
    journal = Journal(store, clock=clock, offload=InlineOffload(), new_id=new_id)

    def notice(what: str, detail: dict[str, str]) -> None:
        books.said[what] += 1

    journal.notice = notice
    await journal.open()
    return journal


async def second(journal: Journal, clock: ManualClock, chance: random.Random) -> None:
    """One second: readings, sometimes an event, one commit."""
    clock.advance(1)
    at = now_ms(clock)
    journal.take([Reading(f"unit-{i}", "room.temperature", "", chance.random() * 30, at) for i in range(PER_SECOND)])
    if chance.random() < 0.2:
        journal.append(Kind.EVENTS, [EventItem(new_id(at), at, EventKind.JOURNAL, "", {"n": str(at)})], at=at)
    await journal.commit()


async def offered(journal: Journal) -> dict[Key, tuple[str, int]]:
    found = {}
    for kind in (Kind.READINGS, Kind.EVENTS):
        for each in await journal.unsent(kind, limit=100_000):
            found[each.block.key] = (each.block.digest, each.block.count)
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (NAME, f"{NAME}-wal") if (folder / name).exists()}


def torn(before: dict[str, bytes], after: dict[str, bytes], chance: random.Random) -> dict[str, bytes]:
    """What a disk may hold that had synced `before` and was writing `after`: any of its sectors, in any order."""
    database, wal = f"{NAME}", f"{NAME}-wal"
    old, new = before.get(wal, b""), after.get(wal, b"")
    mixed = bytearray(new)
    for start in range(0, len(new), SECTOR):
        was, now = old[start : start + SECTOR], new[start : start + SECTOR]
        if was != now and chance.random() < 0.5:
            mixed[start : start + len(now)] = was.ljust(len(now), b"\0")[: len(now)]
    mixed = mixed[: chance.randint(min(len(old), len(new)), len(new))]
    if before[database] != after[database]:
        # A checkpoint copies pages whose WAL is synced: the WAL as it was, and some of the pages.
        return {database: _mixed(before[database], after[database], chance), wal: old}
    return {database: before[database], wal: bytes(mixed)}


def _mixed(old: bytes, new: bytes, chance: random.Random) -> bytes:
    size = 4096
    old = old.ljust(len(new), b"\0")
    return b"".join(chance.choice((old, new))[start : start + size] for start in range(0, len(new), size))


def put(folder: Path, content: dict[str, bytes]) -> None:
    for path in folder.glob(f"{NAME}*"):
        if ".corrupt-" not in path.name:
            path.unlink()
    for name, data in content.items():
        (folder / name).write_bytes(data)


def abandon(journal: Journal) -> None:
    """The process is gone: its connection must not tidy up the files, so it is closed after they were copied."""
    journal._store.close()


async def cuts(folder: Path, count: int, seed: int) -> dict[str, object]:
    chance, books, clock = random.Random(seed), Books(), ManualClock(START)
    lost = worst = beyond = lying = 0
    journal = await opened(folder, clock, books)
    for number in range(count):
        for _ in range(chance.randint(1, 8)):
            await second(journal, clock, chance)
        durable = await offered(journal)
        before = files(folder)
        await second(journal, clock, chance)
        published = await offered(journal)
        for key, (digest, held) in published.items():
            books.note(key, digest, held)
        lies = number % 4 == 3
        after = files(folder)
        if lies:
            lying += 1
            state = torn(before, after, chance)
        else:
            # The commit was synced; a further one is being written when the power goes. It was never published.
            durable = published
            await second(journal, clock, chance)
            state = torn(after, files(folder), chance)
        abandon(journal)
        put(folder, state)
        journal = await opened(folder, clock, books)
        await second(journal, clock, chance)
        found = await offered(journal)
        for key, (digest, held) in found.items():
            books.note(key, digest, held)
        gone = sum(books.counts[key] for key in durable if key not in found)
        beyond += gone
        # What was taken in the second of the cut is the stated bound; on a lying disk also the one it dropped.
        taken = sum(held for key, (_, held) in published.items() if key not in durable and key not in found)
        lost += taken
        worst = max(worst, taken)
        if len(found) > 150:
            await journal.close()
            put(folder, {})
            journal = await opened(folder, clock, books)
    await journal.close()
    return {
        "power cuts (of these on a disk that lies)": f"{count} ({lying})",
        "blocks published": f"{len(books.digests):,}",
        "synced readings lost": beyond,
        "published readings lost to lying disks": f"{lost:,}, at most {worst} (one second) in one cut",
        "blocks confused (same name, other content)": books.confused,
        "files quarantined": books.said["quarantined"],
        "unclean stops said": books.said["unclean_stop"],
    }


def breakage(content: dict[str, bytes], chance: random.Random) -> tuple[dict[str, bytes], str]:
    name = chance.choice(sorted(content))
    data = bytearray(content[name])
    if chance.random() < 0.5:
        del data[chance.randint(0, len(data) - 1) :]
        how = "truncated"
    else:
        for _ in range(chance.randint(1, 64)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        how = "flipped"
    return {**content, name: bytes(data)}, f"{'wal' if name.endswith('wal') else 'db'} {how}"


def listed(counts: Counter[str]) -> str:
    return ", ".join(f"{kind} {n:,}" for kind, n in sorted(counts.items()))


async def breaks(folder: Path, count: int, seed: int) -> dict[str, object]:
    chance, clock = random.Random(seed), ManualClock(START)
    books = Books()
    journal = await opened(folder, clock, books)
    for _ in range(60):
        await second(journal, clock, chance)
    # Some of it in the database, some in the WAL only.
    journal._store._open_db().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for _ in range(20):
        await second(journal, clock, chance)
    whole = await offered(journal)
    content = files(folder)
    abandon(journal)
    kinds: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    silent: Counter[str] = Counter()
    as_unclean: Counter[str] = Counter()
    foreign = stuck = 0
    slowest = 0.0
    for number in range(count):
        case = folder / f"case-{number}"
        case.mkdir()
        broken, kind = breakage(content, chance)
        kinds[kind] += 1
        put(case, broken)
        each = Books()
        began = time.perf_counter()
        journal = await opened(case, clock, each)
        await second(journal, clock, chance)
        found = await offered(journal)
        slowest = max(slowest, time.perf_counter() - began)
        await journal.commit()
        stuck += bool(journal.stats().degraded)
        foreign += sum(1 for key, (digest, _) in found.items() if key in whole and whole[key][0] != digest)
        missing = len(whole.keys() - found.keys())
        lost[kind] += missing
        if missing and not each.said:
            silent[kind] += 1
        elif missing and not each.said.keys() & {"quarantined", "corrupt_block"}:
            as_unclean[kind] += 1
        with suppress(StoreFull):
            await journal.close()
        shutil.rmtree(case)
    return {
        "broken files": f"{count}: {listed(kinds)}",
        "started and took readings again": count - stuck,
        "blocks lost": f"{lost.total():,} of {len(whole) * count:,}: {listed(lost)}",
        "losses nobody was told of": f"{silent.total()} {listed(silent)}",
        "losses told as an unclean stop only": f"{as_unclean.total()}: {listed(as_unclean)}",
        "blocks offered with another content": foreign,
        "slowest start s": f"{slowest:.2f}",
    }


def main(cut: Annotated[int, typer.Option("--cuts")] = 200, broken: int = 1000, seed: int = 1) -> None:
    logging.disable()  # a thousand stops that were not in order
    began, cpu = time.perf_counter(), time.process_time()
    rows: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="coldaisle-cut-") as folder:
        rows |= asyncio.run(cuts(Path(folder), cut, seed))
    with tempfile.TemporaryDirectory(prefix="coldaisle-broken-") as folder:
        rows |= asyncio.run(breaks(Path(folder), broken, seed))
    # ru_maxrss is in KiB on Linux.
    rows["memory at most MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    rows["seconds, CPU seconds"] = f"{time.perf_counter() - began:.0f}, {time.process_time() - cpu:.0f}"
    programs = f"SQLite {sqlite3.sqlite_version}, Python {platform.python_version()}, coldaisle {version('coldaisle')}"
    table = Table("", programs)
    for name, value in rows.items():
        table.add_row(name, str(value))
    console.print(table)


if __name__ == "__main__":
    typer.run(main)

"""Power cuts and broken files: `python -m bench.power_cut [--cuts 200] [--broken 1000]`.

A cut: the true journal commits each second; then the files are put back to what the disk had synced before the last
commit, with a random, torn part of what was written since. Every fourth disk lies: it drops the commit that was synced
and already published. A broken file: a copy of a journal that was running, truncated or with 1 to 64 bytes changed,
database or WAL. After each, the journal is opened, takes readings, and what it offers, read with json and zlib alone,
is held against plain books of what it was given and of every block ever published. Exits with 1 if anything is missing
that must be there, changed, twice, or gone without a word.
"""

import asyncio
import json
import logging
import platform
import random
import resource
import shutil
import sqlite3
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
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
from tests.server.ingest.wire_by_hand import digest as digest_of

console = Console(width=130)
START = from_ms(1_790_000_000_000)
MIB = 1 << 20
PER_SECOND = 200
SECTOR = 512
NAME = "journal.db"


@dataclass(frozen=True)
class Offer:
    """A block as the journal offers it. digest: of its body as it is here; intact: that it is the one it came with.

    values: of the units, by their time; events: their times. Of a body that cannot be read there are none.
    """

    digest: str
    intact: bool
    values: dict[int, dict[int, float]]
    events: list[int]


Offers = dict[Key, Offer]


@dataclass
class Books:
    """What was given to the journal and what it ever published.

    fed: time -> value of each unit; of an event, its time. owed: times of which everything must be there.
    """

    fed: dict[int, list[float]] = field(default_factory=dict)
    events: set[int] = field(default_factory=set)
    owed: set[int] = field(default_factory=set)
    digests: dict[Key, str] = field(default_factory=dict)
    # A name that stood for two contents, content that is broken or was never given, and what is offered twice.
    wrong: int = 0
    said: Counter[str] = field(default_factory=Counter)

    def note(self, offers: Offers) -> None:
        """Everything that is offered must be what was given, once, and what was published under its name before."""
        self.wrong += sum(self.digests.setdefault(key, one.digest) != one.digest for key, one in offers.items())
        self.wrong += unlike(offers.values(), self)
        times = Counter((at, unit) for one in offers.values() for at, row in one.values.items() for unit in row)
        times += Counter((at, -1) for one in offers.values() for at in one.events)
        self.wrong += sum(count - 1 for count in times.values())

    def missing(self, offers: Offers) -> dict[int, int]:
        """Time -> how many of the things that were given then are not offered."""
        here: Counter[int] = Counter()
        for one in offers.values():
            here.update({at: len(row) for at, row in one.values.items()})
            here.update(one.events)
        due = {at: len(row) + (at in self.events) for at, row in self.fed.items()}
        return {at: count - here[at] for at, count in due.items() if here[at] < count}


def unlike(offers: Iterable[Offer], books: Books) -> int:
    """How many of these are broken, or hold what was never given."""

    def given(at: int, row: dict[int, float]) -> bool:
        return at in books.fed and all(books.fed[at][unit] == value for unit, value in row.items())

    def good(offer: Offer) -> bool:
        return (
            offer.intact
            and all(given(at, row) for at, row in offer.values.items())
            and books.events.issuperset(offer.events)
        )

    return sum(not good(offer) for offer in offers)


async def opened(folder: Path, clock: ManualClock, books: Books) -> Journal:
    store = Store(folder / NAME, max_bytes=64 * MIB, max_age_ms=3650 * 86_400_000)
    journal = Journal(store, clock=clock, offload=InlineOffload(), new_id=new_id)

    def notice(what: str, detail: dict[str, str]) -> None:
        books.said[what] += 1

    journal.notice = notice
    await journal.open()
    return journal


async def second(journal: Journal, clock: ManualClock, chance: random.Random, books: Books) -> int:
    """One second: readings, sometimes an event, one commit. Returns its time."""
    clock.advance(1)
    at = now_ms(clock)
    books.fed[at] = [chance.random() * 30 for _ in range(PER_SECOND)]
    journal.take([Reading(f"unit-{i}", "room.temperature", "", value, at) for i, value in enumerate(books.fed[at])])
    if chance.random() < 0.2:
        books.events.add(at)
        journal.append(Kind.EVENTS, [EventItem(new_id(at), at, EventKind.JOURNAL, "", {"n": str(at)})], at=at)
    await journal.commit()
    return at


async def offered(journal: Journal) -> Offers:
    found: Offers = {}
    for kind in (Kind.READINGS, Kind.EVENTS):
        for each in await journal.unsent(kind, limit=100_000):
            block = each.block
            digest = digest_of(kind, block.catalog, block.body)
            values, events = content(kind, block.body)
            found[block.key] = Offer(digest, digest == block.digest and bool(values or events), values, events)
    return found


@lru_cache(maxsize=1000)
def content(kind: Kind, body: bytes) -> tuple[dict[int, dict[int, float]], list[int]]:
    """Values of units by their time, and times of events; nothing of what cannot be read."""
    values: dict[int, dict[int, float]] = {}
    events: list[int] = []
    try:
        for item in json.loads(zlib.decompress(body)):
            if kind is Kind.EVENTS:
                events.append(int(item["detail"]["n"]))
                continue
            unit = int(item["device"].rpartition("-")[2])
            for at, value in zip(item["at"], item["value"], strict=True):
                values.setdefault(at, {})[unit] = value
    except (zlib.error, ValueError, LookupError, TypeError):
        return {}, []
    return values, events


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


async def cuts(folder: Path, count: int, seed: int) -> tuple[dict[str, object], bool]:
    chance, books, clock = random.Random(seed), Books(), ManualClock(START)
    lost = worst = beyond = lying = 0
    journal = await opened(folder, clock, books)
    for number in range(count):
        for _ in range(chance.randint(1, 8)):
            books.owed.add(await second(journal, clock, chance, books))
        before = files(folder)
        last = await second(journal, clock, chance, books)
        books.note(await offered(journal))
        after = files(folder)
        if number % 4 == 3:
            lying += 1
            state = torn(before, after, chance)
        else:
            # The commit was synced; a further one is being written when the power goes. It was never published.
            books.owed.add(last)
            last = await second(journal, clock, chance, books)
            state = torn(after, files(folder), chance)
        abandon(journal)
        put(folder, state)
        journal = await opened(folder, clock, books)
        books.owed.add(await second(journal, clock, chance, books))
        found = await offered(journal)
        books.note(found)
        missing = books.missing(found)
        beyond += sum(gone for at, gone in missing.items() if at in books.owed)
        # What was taken in the second of the cut is the stated bound; on a lying disk that is the one it dropped.
        within = missing.get(last, 0)
        lost += within
        worst = max(worst, within)
        for at in missing:
            del books.fed[at]  # counted
        books.owed = set(books.fed)  # what is here by now was synced again
        if len(found) > 150:
            await journal.close()
            put(folder, {})
            journal = await opened(folder, clock, books)
            books.fed.clear()
            books.events.clear()
            books.owed.clear()
    await journal.close()
    return {
        "power cuts (of these on a disk that lies)": f"{count} ({lying})",
        "blocks published": f"{len(books.digests):,}",
        "synced readings and events lost": beyond,
        "of the second of the cut lost": f"{lost:,}, at most {worst} in one cut",
        "blocks and items offered changed or twice": books.wrong,
        "files quarantined": books.said["quarantined"],
        "unclean stops said": books.said["unclean_stop"],
    }, beyond == 0 and books.wrong == 0


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


async def breaks(folder: Path, count: int, seed: int) -> tuple[dict[str, object], bool]:
    chance, clock = random.Random(seed), ManualClock(START)
    books = Books()
    journal = await opened(folder, clock, books)
    for _ in range(60):
        await second(journal, clock, chance, books)
    # Some of it in the database, some in the WAL only.
    journal._store._open_db().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for _ in range(20):
        await second(journal, clock, chance, books)
    whole = await offered(journal)
    good = not books.missing(whole) and not unlike(whole.values(), books)
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
        each = Books(fed=dict(books.fed), events=set(books.events))
        began = time.perf_counter()
        journal = await opened(case, clock, each)
        await second(journal, clock, chance, each)
        found = await offered(journal)
        slowest = max(slowest, time.perf_counter() - began)
        await journal.commit()
        stuck += bool(journal.stats().degraded)
        foreign += sum(1 for key, one in found.items() if key in whole and whole[key].digest != one.digest)
        foreign += unlike(found.values(), each)
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
    }, good and not (stuck or foreign or silent)


def main(cut: Annotated[int, typer.Option("--cuts")] = 200, broken: int = 1000, seed: int = 1) -> None:
    logging.disable()  # a thousand stops that were not in order
    began, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory(prefix="coldaisle-cut-") as folder:
        of_cuts, survived = asyncio.run(cuts(Path(folder), cut, seed))
    with tempfile.TemporaryDirectory(prefix="coldaisle-broken-") as folder:
        of_breaks, told = asyncio.run(breaks(Path(folder), broken, seed))
    rows = of_cuts | of_breaks
    # ru_maxrss is in KiB on Linux.
    rows["memory at most MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    rows["seconds, CPU seconds"] = f"{time.perf_counter() - began:.0f}, {time.process_time() - cpu:.0f}"
    programs = f"SQLite {sqlite3.sqlite_version}, Python {platform.python_version()}, coldaisle {version('coldaisle')}"
    table = Table("", programs)
    for name, value in rows.items():
        table.add_row(name, str(value))
    console.print(table)
    if not (survived and told):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

"""The statements of the journal's file, each small, all inside the caller's transaction."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from agent.journal.block import BlockState, Key, Sealed, Stored
from agent.journal.eviction import ASIDE, MOST_ASIDE, MOST_ASIDE_BYTES, ORDER, Class, DropReason
from facility.items import EARLIEST_MS
from facility.wire import Kind

SCHEMA_VERSION = 2
# Blocks evicted by one statement.
BATCH = 64

SCHEMA = """
CREATE TABLE IF NOT EXISTS blocks (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    stream TEXT NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    born_at INTEGER NOT NULL,
    count INTEGER NOT NULL,
    size INTEGER NOT NULL,
    codec TEXT NOT NULL DEFAULT 'zlib',
    catalog TEXT NOT NULL,
    names TEXT NOT NULL,
    digest TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    body BLOB NOT NULL,
    UNIQUE (stream, seq)
);
CREATE INDEX IF NOT EXISTS blocks_by_state ON blocks (kind, state, position);
CREATE INDEX IF NOT EXISTS blocks_by_time ON blocks (kind, last_at);
CREATE TABLE IF NOT EXISTS rule_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    at INTEGER NOT NULL,
    state BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS dropped (
    stream TEXT NOT NULL,
    reason TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (stream, reason)
);
CREATE TABLE IF NOT EXISTS closed (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    at INTEGER NOT NULL
);
"""
# Version 1 counted losses by reason only. Its table let a flipped bit make nothing of a reason: that row is left out.
UPGRADE = """
BEGIN IMMEDIATE;
CREATE TABLE dropped (
    stream TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (stream, reason)
);
INSERT OR IGNORE INTO dropped SELECT '', reason, count FROM drops;
DROP TABLE drops;
PRAGMA user_version = 2;
COMMIT;
"""
# A body is read as bytes whatever one flipped bit makes of its type: its digest judges it.
COLUMNS = "position, stream, seq, kind, first_at, last_at, born_at, count, catalog, names, digest, CAST(body AS BLOB)"
# Answered by the index of names alone, which is asked whether it knows a block by the name that stands in its row.
BY_NAME = "SELECT position FROM blocks WHERE stream = ? AND seq = ?"
# The same of each row, in one statement.
KNOWN_AT = "(SELECT twin.position FROM blocks AS twin WHERE twin.stream = blocks.stream AND twin.seq = blocks.seq)"
RULE_STATE = "SELECT CAST(state AS BLOB) FROM rule_state WHERE state IS NOT NULL"
RULE_STATE_AT = "SELECT CAST(at AS INTEGER) FROM rule_state WHERE state IS NOT NULL"
# By a clock that was set.
NEWEST_BORN = (
    f"SELECT CAST(born_at AS INTEGER) FROM blocks WHERE born_at >= {EARLIEST_MS} ORDER BY position DESC LIMIT 1"
)
# Each names every column the journal will ask for.
PROBES = (
    f"SELECT {COLUMNS}, size, codec, state, reason FROM blocks LIMIT 0",
    "SELECT one, at, state FROM rule_state LIMIT 0",
    "SELECT stream, reason, count FROM dropped LIMIT 0",
    "SELECT one, at FROM closed LIMIT 0",
)


# What reading a broken file raises: a ValueError too, where SQLite's own words about it quote its broken bytes.
UNREADABLE = (sqlite3.Error, ValueError, TypeError)


class StoreFull(Exception):
    """The disk takes no more, or fails: nothing of the transaction was kept, everything before it was."""


class StoreCorrupt(Exception):
    """The file is no database any more, or a page of it is broken."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What became of a block."""

    key: Key
    state: BlockState
    reason: str = ""


@dataclass(slots=True)
class Counts:
    """Blocks of the outbox; kept beside the file so that asking costs nothing."""

    blocks: dict[Kind, int] = field(default_factory=dict)
    size: dict[Kind, int] = field(default_factory=dict)

    def add(self, kind: Kind, blocks: int, size: int) -> None:
        self.blocks[kind] = self.blocks.get(kind, 0) + blocks
        self.size[kind] = self.size.get(kind, 0) + size


@dataclass(slots=True)
class Evicted:
    """Readings (items, of other kinds) that went without having been delivered, by reason and kind."""

    count: dict[tuple[str, Kind], int] = field(default_factory=dict)

    def add(self, reason: str, kind: Kind, count: int) -> None:
        self.count[reason, kind] = self.count.get((reason, kind), 0) + count

    @property
    def by_reason(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for (reason, _), count in self.count.items():
            found[reason] = found.get(reason, 0) + count
        return found


def insert(
    db: sqlite3.Connection,
    blocks: Iterable[Sealed],
    counts: Counts,
    *,
    position: int | None = None,
    state: BlockState = BlockState.UNSENT,
) -> int:
    """Blocks at the end, or one at a position that is free. Returns the last position that one took, 0 for none."""
    last = 0
    for block in blocks:
        # A commit whose caller was cancelled is made again with the same blocks.
        added = db.execute(
            "INSERT INTO blocks (position, state, stream, seq, kind, first_at, last_at, born_at, count, size, catalog,"
            " names, digest, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (stream, seq) DO NOTHING",
            (
                position,
                state,
                block.key.stream,
                block.key.seq,
                block.kind,
                block.first_at,
                block.last_at,
                block.born_at,
                block.count,
                block.size,
                block.catalog,
                block.names,
                block.digest,
                block.body,
            ),
        )
        if added.rowcount:
            last = added.lastrowid or 0
            if state is BlockState.UNSENT:
                counts.add(block.kind, 1, block.size)
    return last


def mark(db: sqlite3.Connection, marks: Iterable[Mark], counts: Counts) -> int | None:
    """Write answers down. Returns the lowest position that was marked, None for none."""
    lowest: int | None = None
    aside = False
    for each in marks:
        aside = aside or each.state in ASIDE
        rows = db.execute(
            "UPDATE blocks SET state = ?, reason = ? WHERE stream = ? AND seq = ? AND state = 0"
            " RETURNING kind, size, position",
            (each.state, each.reason, each.key.stream, each.key.seq),
        ).fetchall()
        for kind, size, position in rows:
            counts.add(Kind(kind), -1, -int(size))
            lowest = int(position) if lowest is None else min(lowest, int(position))
    if aside:
        _bound_aside(db)
    return lowest


def _bound_aside(db: sqlite3.Connection) -> None:
    """Let the oldest go of what was set aside, where it is too much; it was counted when it was refused or found."""
    states = ", ".join(str(int(state)) for state in ASIDE)
    db.execute(
        "DELETE FROM blocks WHERE position IN (SELECT position FROM ("
        " SELECT position, row_number() OVER newer AS nth, sum(size) OVER newer AS bytes"
        f" FROM blocks WHERE state IN ({states}) WINDOW newer AS (ORDER BY position DESC)"
        ") WHERE nth > ? OR bytes > ?)",
        (MOST_ASIDE, MOST_ASIDE_BYTES),
    )


def evict(db: sqlite3.Connection, each: Class, state: BlockState, counts: Counts, evicted: Evicted) -> int:
    """Delete the oldest blocks of a class, `BATCH` at most, because the journal is full; how many."""
    which = "INDEXED BY blocks_by_state WHERE kind = ? AND state = ? ORDER BY position"
    return _delete(db, which, (each.kind, state), DropReason.JOURNAL_FULL, counts, evicted)


# Kinds whose blocks speak of a catalog; one of these itself names what holds, and is needed by nobody for that.
_SPEAKING = ", ".join(f"'{kind}'" for kind in Kind if kind is not Kind.CATALOG)


def evict_catalogs(db: sqlite3.Connection, counts: Counts) -> None:
    """Delete unsent catalogs that no unsent block speaks of, all but the newest: with them nothing is lost."""
    rows = db.execute(
        "DELETE FROM blocks WHERE kind = ? AND state = 0"
        " AND position < (SELECT max(position) FROM blocks WHERE kind = ?)"
        f" AND names NOT IN (SELECT catalog FROM blocks WHERE kind IN ({_SPEAKING}) AND state = 0) RETURNING size",
        (Kind.CATALOG, Kind.CATALOG),
    ).fetchall()
    counts.add(Kind.CATALOG, -len(rows), -sum(int(size) for (size,) in rows))


# By age nothing of an alarm that was not answered goes: it is small, and it is what the agent is for. What a clock that
# was not set has stamped has no age. By time: found by position, so many of those would stand before what is too old
# for ever.
_EXPIRED = (
    f"INDEXED BY blocks_by_time WHERE kind = ? AND last_at >= {EARLIEST_MS} AND last_at < ?"
    f" AND (kind != '{Kind.ALARMS}' OR state != {BlockState.UNSENT:d}) ORDER BY last_at"
)
_KINDS = tuple(dict.fromkeys(each.kind for each in ORDER))


def expire(db: sqlite3.Connection, before: int, counts: Counts, evicted: Evicted) -> int:
    """Delete what ended before `before`, `BATCH` blocks at most, readings before alarms; how many."""
    gone = 0
    for kind in _KINDS:
        if gone < BATCH:
            gone += _delete(db, _EXPIRED, (kind, before), DropReason.TOO_OLD, counts, evicted, limit=BATCH - gone)
    return gone


def _delete(
    db: sqlite3.Connection,
    which: str,
    values: tuple[object, ...],
    reason: DropReason,
    counts: Counts,
    evicted: Evicted,
    *,
    limit: int = BATCH,
) -> int:
    rows = db.execute(
        f"DELETE FROM blocks WHERE position IN (SELECT position FROM blocks {which} LIMIT ?)"
        " RETURNING kind, state, count, size",
        (*values, limit),
    ).fetchall()
    for kind, state, count, size in rows:
        if state == BlockState.UNSENT:
            counts.add(Kind(kind), -1, -int(size))
            evicted.add(reason, Kind(kind), int(count))
    return len(rows)


def remove(db: sqlite3.Connection, old: Stored, state: BlockState, counts: Counts) -> None:
    """Delete one block from its place. ValueError when another stands there, or in another state."""
    key = old.block.key
    gone = db.execute(
        "DELETE FROM blocks WHERE position = ? AND stream = ? AND seq = ? AND state = ?",
        (old.position, key.stream, key.seq, state),
    )
    if gone.rowcount != 1:
        raise ValueError(f"at {old.position} stands another block")
    if state is BlockState.UNSENT:
        counts.add(old.block.kind, -1, -old.block.size)


def prune_catalogs(db: sqlite3.Connection) -> None:
    """Forget delivered catalogs that no unsent block speaks of; the newest always stays."""
    db.execute(
        "DELETE FROM blocks WHERE kind = ? AND state != 0"
        " AND names NOT IN (SELECT DISTINCT catalog FROM blocks WHERE state = 0)"
        " AND position < (SELECT max(position) FROM blocks WHERE kind = ?)",
        (Kind.CATALOG, Kind.CATALOG),
    )


def count_unsent(db: sqlite3.Connection) -> Counts:
    counts = Counts()
    for kind, blocks, size in db.execute("SELECT kind, count(*), sum(size) FROM blocks WHERE state = 0 GROUP BY kind"):
        counts.add(Kind(kind), int(blocks), int(size))
    return counts


def last_position(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT coalesce(max(position), 0) FROM blocks").fetchone()[0])


_USED = (
    "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)


def used(db: sqlite3.Connection) -> int:
    """Bytes of the pages that hold something."""
    return int(db.execute(_USED).fetchone()[0])


# One flipped bit makes a number of a text, or nothing of either.
_TYPES = (int, str, int, str, int, int, int, int, str, str, str, bytes)


def stored(row: tuple[Any, ...]) -> Stored:
    """A row of COLUMNS. ValueError when it holds what no journal writes."""
    if tuple(map(type, row)) != _TYPES:
        raise ValueError("a column of a block is of another type")
    position, stream, seq, kind, first_at, last_at, born_at, count, catalog, names, digest, body = row
    block = Sealed(
        key=Key(stream, seq),
        kind=Kind(kind),
        first_at=first_at,
        last_at=last_at,
        born_at=born_at,
        count=count,
        catalog=catalog,
        names=names,
        digest=digest,
        body=body,
    )
    return Stored(block, position)


def roll_back(db: sqlite3.Connection) -> None:
    """End a failed transaction; SQLite has often rolled back by itself after a full disk."""
    if db.in_transaction:
        try:
            db.execute("ROLLBACK")
        except UNREADABLE:
            # The file is gone or broken; the error that brought us here says so already.
            return


# The file itself is broken; everything else (full, read-only, I/O error, locked) may pass.
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def judged(exc: sqlite3.Error) -> StoreFull | StoreCorrupt:
    """What an error of SQLite means for the journal."""
    code = getattr(exc, "sqlite_errorcode", None)
    # What Python itself cannot read comes without a code; a text that is no UTF-8 is an OperationalError to it. Taken
    # for a passing trouble, one such row would hold back every younger block of its kind for ever.
    unread = type(exc) is sqlite3.DatabaseError or "decode to UTF-8" in str(exc)
    # The low byte is the primary code of an extended one.
    if (code is not None and code & 0xFF in _CORRUPT) or (code is None and unread):
        return StoreCorrupt(str(exc))
    return StoreFull(str(exc))

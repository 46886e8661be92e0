"""The SQLite file under the journal. Every call blocks and is made by one thread at a time.

One connection, WAL, `synchronous=FULL`. A commit is one transaction of new blocks, answers, rule state, counters and
evictions. `StoreFull` means "try again later", `StoreCorrupt` means "this file is done for".
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.journal.block import BlockState, Key, Sealed, Stored
from agent.journal.bounds import Bounds
from agent.journal.losses import Dropped, count_drops, dropped_by_stream, summed
from agent.journal.merging import Extent
from agent.journal.sql import (
    COLUMNS,
    KNOWN_AT,
    NEWEST_BORN,
    PROBES,
    RULE_STATE,
    SCHEMA,
    SCHEMA_VERSION,
    UNREADABLE,
    UPGRADE,
    Counts,
    Evicted,
    Mark,
    StoreCorrupt,
    StoreFull,
    count_unsent,
    insert,
    judged,
    last_position,
    mark,
    prune_catalogs,
    remove,
    roll_back,
    stored,
)
from facility.wire import Kind

# integrity_check reads the whole file: 278 MB took 0.6 s. It compares indexes with their table too (quick_check does
# not), and a block that its index does not know is never offered. A larger file is judged by what reading it brings.
CHECKED_AT_OPEN = 256 * 1024 * 1024
# How long a reader beside us (`coldaisle agent history`) may hold a lock before it counts as a fault.
_BUSY_S = 5.0


class Store:
    """One journal file. max_bytes bounds its used pages, max_age_ms what stands in them."""

    def __init__(self, path: Path, *, max_bytes: int, max_age_ms: int) -> None:
        self.path = path
        self.bounds = Bounds(max_bytes=max_bytes, max_age_ms=max_age_ms)
        self.unsent = Counts()
        # Whose losses are counted: the stream of this opening; and what it lost by eviction here, by reason.
        self.stream = ""
        self.evicted: dict[str, int] = {}
        self._counted: dict[str, int] = {}
        # What was found wrong with the file in use. Opening it again would not see it: the file is to be replaced.
        self.broken = ""
        # Positions: the last; up to which unsent readings may have been sent; and up to which they were packed.
        self.last = 0
        self.offered = 0
        self.packed = 0
        self._merged: dict[BlockState, int] = {}
        # When the oldest block of the outbox was born, in ms UTC.
        self.oldest: int | None = None
        # Blocks that were written and answered for since the program began.
        self.moved = 0
        self._db: sqlite3.Connection | None = None

    def begin(self, stream: str, *, monotonic: Callable[[], float]) -> None:
        """Which opening this is, and what tells it that time has passed."""
        self.stream, self.bounds.monotonic = stream, monotonic

    # --- opening ---------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open or create the file. StoreCorrupt when it cannot be trusted, StoreFull when it cannot be written."""
        self.close()
        if self.broken:
            raise StoreCorrupt(self.broken)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists() and self.path.stat().st_size == 0:
                # SQLite would take it for a new one, and nobody would hear that a journal is gone.
                raise StoreCorrupt("the file is empty")
            db = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.OperationalError) as exc:
            raise StoreFull(f"{self.path} cannot be opened: {exc}") from exc
        try:
            self._prepare(db)
            self.unsent = count_unsent(db)
            self.bounds.opened(db)
            # Whoever wrote them may have sent them.
            self.last = self.offered = last_position(db)
            self._merged, self._counted = {}, {}
        except (StoreCorrupt, *UNREADABLE) as exc:
            db.close()
            raise _meaning(exc) from exc
        self._db = db

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # takes effect in a new file only
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        # The WAL returns to this size after a checkpoint; without it one large transaction leaves it large for ever.
        db.execute("PRAGMA journal_size_limit = 8388608")
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version not in (0, 1, SCHEMA_VERSION):
            raise StoreCorrupt(f"made by another version of the journal: {version}, this one is {SCHEMA_VERSION}")
        if self.path.stat().st_size <= CHECKED_AT_OPEN:
            verdict = str(db.execute("PRAGMA integrity_check(1)").fetchone()[0])
            if verdict != "ok":
                raise StoreCorrupt(verdict)
        if version == 0:
            db.executescript(SCHEMA)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            return
        try:
            if version == 1:
                db.executescript(UPGRADE)
            for probe in PROBES:
                db.execute(probe)
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode == sqlite3.SQLITE_ERROR:
                # A name in the schema itself is broken; the check does not look at names.
                raise StoreCorrupt(str(exc)) from exc
            raise

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def close_orderly(self, now_ms: int) -> None:
        """Close, and leave word that nothing was held in memory any more."""
        if self._db is not None:
            try:
                self._db.execute("INSERT OR REPLACE INTO closed VALUES (1, ?)", (now_ms,))
            except UNREADABLE as exc:
                raise self._judged(exc) from exc
            finally:
                self.close()

    def take_unclean(self) -> int | None:
        """When the last block before this opening was born (ms UTC), if no orderly close followed it.

        The word of the close is taken away: it is good for one opening.
        """
        orderly = self._ask("DELETE FROM closed RETURNING at")
        return None if orderly else self.newest_born_at()

    def newest_born_at(self) -> int | None:
        """When the last block was born by a clock that was set, in ms UTC."""
        rows = self._ask(NEWEST_BORN)
        return int(rows[0][0]) if rows else None

    def rule_state(self) -> bytes | None:
        row = self._ask(RULE_STATE)
        return bytes(row[0][0]) if row else None

    def dropped(self) -> dict[str, dict[str, int]]:
        """Everything ever lost, by the stream that counted it and by reason."""
        try:
            return dropped_by_stream(self._open_db())
        except UNREADABLE as exc:
            raise self._judged(exc) from exc

    # --- writing ---------------------------------------------------------------------------------------------------

    def commit(
        self,
        blocks: Iterable[Sealed],
        marks: Iterable[Mark] = (),
        *,
        rule_state: bytes | None = None,
        drops: Mapping[str, int] | None = None,
        dropped: Dropped | None = None,
        offered: bool = False,
        now_ms: int,
    ) -> Evicted:
        """One durable transaction; when this returns, a power cut takes none of it. Says what had to go for it.

        drops: what this stream lost in all before it came here, by reason; dropped: what other streams lost.
        offered: blocks among these may have been sent, from memory.
        """
        counts = Counts()
        blocks, marks = list(blocks), list(marks)
        with self._transaction() as db:
            last = max(self.last, insert(db, blocks, counts))
            marked = mark(db, marks, counts)
            if Kind.CATALOG in counts.blocks:
                prune_catalogs(db)
            if rule_state is not None:
                db.execute("INSERT OR REPLACE INTO rule_state VALUES (1, ?, ?)", (now_ms, rule_state))
            evicted = self.bounds.keep(db, now_ms, counts)
            lost = summed(self.evicted, evicted.by_reason)
            own = summed(lost, drops or {})
            if dropped or own != self._counted:
                count_drops(db, {**(dropped or {}), self.stream: own})
            if offered:
                self.offered = last
        self.last, self.evicted, self._counted = last, lost, own
        self.moved += len(blocks) + len(marks)
        if marked is not None:
            # What was delivered late stands among what was merged long ago.
            self._merged[BlockState.COMMITTED] = min(self.merged(BlockState.COMMITTED), marked - 1)
        for kind in counts.blocks:
            self.unsent.add(kind, counts.blocks[kind], counts.size[kind])
        return evicted

    def replace(self, old: Key, new: Sealed) -> None:
        """Give a block another name (and catalog): one transaction, its place in the order is kept."""
        with self._transaction() as db:
            db.execute(
                "UPDATE blocks SET stream = ?, seq = ?, catalog = ?, digest = ? WHERE stream = ? AND seq = ?",
                (new.key.stream, new.key.seq, new.catalog, new.digest, old.stream, old.seq),
            )

    def merge(self, old: Sequence[Stored], new: Sealed | None, state: BlockState) -> None:
        """Put one block in the place of several neighbours, or nothing: one transaction, the order is kept."""
        counts = Counts()
        with self._transaction() as db:
            for each in old:
                remove(db, each, state, counts)
            if new is not None:
                insert(db, [new], counts, position=old[-1].position, state=state)
            self.bounds.look(db)
        for kind in counts.blocks:
            self.unsent.add(kind, counts.blocks[kind], counts.size[kind])

    # --- merging ---------------------------------------------------------------------------------------------------

    def mergeable(self, state: BlockState, *, above: int, limit: int) -> list[Extent]:
        """Blocks of readings in a state that may become one with their neighbours, in order.

        The centre knows a block by its name once it may have been sent, so unsent ones are left up to the last that was
        offered. The journal's last block stays: when it was born is when this journal was last written.
        """
        if state is BlockState.UNSENT:
            above = max(above, self.offered, self.packed)
        if above >= self.last:
            return []
        # Each found in the index at once; a range of states would be read through.
        parted = ", ".join(
            "coalesce((SELECT max(position) FROM blocks"
            f" WHERE kind = each.kind AND state = {int(other)} AND position < each.position), 0)"
            for other in BlockState
            if other is not state
        )
        rows = self._ask(
            f"SELECT catalog, position, count, size, first_at, last_at, max({parted}) FROM blocks AS each"
            " WHERE kind = ? AND state = ? AND position > ? AND position < (SELECT max(position) FROM blocks)"
            " ORDER BY position LIMIT ?",
            (Kind.READINGS, state, above, limit),
        )
        try:
            return [Extent(str(row[0]), *map(int, row[1:])) for row in rows]
        except UNREADABLE as exc:
            raise self._judged(exc) from exc

    def at(self, positions: Sequence[int]) -> list[Stored]:
        """The blocks at these positions, in order."""
        marks = ", ".join("?" * len(positions))
        return self._blocks(f"position IN ({marks}) ORDER BY position", positions) if positions else []

    def merged(self, state: BlockState) -> int:
        """Up to which position blocks of a state were merged."""
        return self._merged.get(state, 0)

    def merged_upto(self, state: BlockState, position: int) -> None:
        self._merged[state] = position

    # --- the outbox ------------------------------------------------------------------------------------------------

    def unsent_of(self, kind: Kind, *, above: int = 0, upto: int | None = None, limit: int) -> list[Stored]:
        """The oldest unsent blocks of a kind whose position is above `above` and at most `upto`."""
        return self._blocks(
            "kind = ? AND state = 0 AND position > ? AND position <= ? ORDER BY position LIMIT ?",
            (kind, above, (1 << 62) if upto is None else upto, limit),
        )

    def unsent_reach(self, kind: Kind, *, above: int, limit: int, values: int) -> int:
        """Position of the block with which the oldest unsent ones above `above`, at most `limit`, hold `values`."""
        reach = above
        for position, count in self._ask(
            "SELECT position, CAST(count AS INTEGER) FROM blocks WHERE kind = ? AND state = 0 AND position > ?"
            " ORDER BY position LIMIT ?",
            (kind, above, limit),
        ):
            if values <= 0:
                break
            reach = int(position)
            values -= int(count)
        return reach

    def offer(self, kind: Kind, *, above: int = 0, upto: int | None = None, limit: int) -> list[Stored]:
        """The same, to be sent: from now on the centre may know them by their names."""
        found = self.unsent_of(kind, above=above, upto=upto, limit=limit)
        if kind is Kind.READINGS and found:
            self.offered = max(self.offered, found[-1].position)
        return found

    def get(self, key: Key) -> Stored | None:
        found = self._blocks("stream = ? AND seq = ?", (key.stream, key.seq))
        return found[0] if found else None

    def catalog(self, names: str) -> Sealed | None:
        """The newest block that carries the catalog of this digest."""
        found = self._blocks("kind = ? AND names = ? ORDER BY position DESC LIMIT 1", (Kind.CATALOG, names))
        return found[0].block if found else None

    def look(self) -> None:
        """Note when the oldest block of the outbox was born."""
        ages = [
            row[0]
            for kind in Kind
            if self.unsent.blocks.get(kind)
            for row in self._ask(
                "SELECT CAST(born_at AS INTEGER) FROM blocks WHERE kind = ? AND state = 0 ORDER BY position LIMIT 1",
                (kind,),
            )
        ]
        self.oldest = min(ages, default=None)

    # --- plumbing --------------------------------------------------------------------------------------------------

    def _open_db(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreFull(f"{self.path} is not open")
        return self._db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._open_db()
        try:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        except UNREADABLE as exc:
            # A ValueError is a kind that is none, or a number that is a text: what no journal writes.
            roll_back(db)
            raise self._judged(exc) from exc

    def _ask(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._open_db().execute(sql, values).fetchall()
        except UNREADABLE as exc:
            raise self._judged(exc) from exc

    def _blocks(self, condition: str, values: Sequence[object]) -> list[Stored]:
        rows = self._ask(f"SELECT {COLUMNS}, {KNOWN_AT} FROM blocks WHERE {condition}", values)
        try:
            found = []
            for row in rows:
                # By a name that one flipped bit has changed no answer would find it: it would be sent for ever.
                if row[-1] != row[0]:
                    raise ValueError(f"the block at {row[0]} is not known by its name")
                found.append(stored(row[:-1]))
            return found
        except UNREADABLE as exc:
            raise self._judged(exc) from exc

    def _judged(self, exc: Exception) -> StoreFull | StoreCorrupt:
        found = _meaning(exc)
        if isinstance(found, StoreCorrupt):
            self.broken = str(found)
        return found


def _meaning(exc: Exception) -> StoreFull | StoreCorrupt:
    """What an exception of reading or writing the file says of it."""
    match exc:
        case StoreFull() | StoreCorrupt():
            return exc
        case sqlite3.Error():
            return judged(exc)
    return StoreCorrupt(f"holds what no journal writes: {exc}")

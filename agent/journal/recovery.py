"""A journal file that cannot be trusted: renamed aside, and what can still be read of it taken over."""

import dataclasses
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec

from agent.journal.block import BlockState, Key, Sealed, Stored
from agent.journal.eviction import DropReason
from agent.journal.losses import Dropped, dropped_by_stream, summed, together
from agent.journal.sql import (
    BY_NAME,
    COLUMNS,
    RULE_STATE,
    RULE_STATE_AT,
    UNREADABLE,
    Mark,
    StoreCorrupt,
    StoreFull,
    stored,
)
from agent.journal.store import Store
from facility.wire import Kind

# Files beside the database that belong to it: replaying a stale WAL into a new file would corrupt that one too.
_COMPANIONS = ("", "-wal", "-shm")
_STEP = 64
_ROWS = f"SELECT {COLUMNS}, state, reason FROM blocks"
# Positions looked for at most: four weeks of blocks, one a second.
_MOST_LOOKED_FOR = 2_500_000
# Quarantined files kept; the oldest go, so that a disk that corrupts daily does not fill itself.
_KEPT = 3


@dataclass(frozen=True, slots=True)
class OpenReport:
    """What opening found. quarantined: where a corrupt file went; salvaged and lost: blocks of it.

    newest: when the last block before this opening was born (ms UTC); unclean: the same, if the program did not end in
    order. forgotten: why a rule state that may have been there could not be read; saved_at: when the one that was read
    had been saved (ms UTC), if the file takes no newer one now.
    dropped: what was ever lost, by stream and reason.
    """

    rule_state: bytes | None = None
    quarantined: Path | None = None
    cause: str = ""
    salvaged: int = 0
    lost: int = 0
    unclean: int | None = None
    newest: int | None = None
    forgotten: str = ""
    saved_at: int | None = None
    dropped: Dropped = field(default_factory=dict)


def open_or_recover(
    store: Store, *, now_ms: int, drops: Mapping[str, int] | None = None, dropped: Dropped | None = None
) -> OpenReport:
    """Open the store, quarantining and replaying a corrupt file.

    drops: what the present stream has lost; dropped: what is known of others. A new file is given both.
    StoreFull when the disk refuses altogether, StoreCorrupt when it spoils a new file, too.
    """
    try:
        return _open(store, now_ms, drops or {}, dropped or {})
    except OSError as exc:
        raise StoreFull(f"{store.path}: {exc}") from exc


def _open(store: Store, now_ms: int, drops: Mapping[str, int], dropped: Dropped) -> OpenReport:
    fresh = _beside(store.path)
    if fresh.exists() and not store.path.exists():
        # Cut off between the renames: what was replayed is whole, only its name is missing.
        _take_place(fresh, store.path)
    try:
        store.open()
        return _opened(store)
    except StoreCorrupt as exc:
        store.close()
        return _replace(store, str(exc), now_ms, drops, dropped)


def glimpse(path: Path, cause: str) -> OpenReport:
    """What the rules knew, read from a file that cannot be opened for writing because of `cause`; nothing is changed.

    Its blocks are offered once it can be opened. Without what the rules knew, all that stands would be raised anew
    until then, and no end be known for one.
    """
    if not path.exists():
        return OpenReport(cause=cause)
    refused = ""
    # Who reads a WAL wants an index of it in a file beside it. A full disk has no room for one: the only user of the
    # journal may keep it in memory.
    for locking in ("NORMAL", "EXCLUSIVE"):
        try:
            with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)) as db:
                db.execute(f"PRAGMA locking_mode = {locking}")
                found = db.execute(RULE_STATE).fetchone()
                saved = db.execute(RULE_STATE_AT).fetchone()
        except UNREADABLE as exc:
            refused = refused or str(exc)
            continue
        if found is None or saved is None:
            return OpenReport(cause=cause)
        # One flipped bit makes nothing of a time.
        return OpenReport(bytes(found[0]), cause=cause, saved_at=int(saved[0] or 0))
    return OpenReport(cause=cause, forgotten=refused)


def _opened(store: Store) -> OpenReport:
    rule_state = store.rule_state()
    try:
        unclean = store.take_unclean()
    except StoreFull:
        # Full, but readable: what the rules knew is worth more than knowing how the program ended.
        unclean = None
    return OpenReport(
        rule_state=rule_state,
        unclean=unclean,
        newest=store.newest_born_at(),
        dropped=store.dropped(),
    )


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.replaying")


def _replace(store: Store, cause: str, now_ms: int, drops: Mapping[str, int], dropped: Dropped) -> OpenReport:
    """Replay the corrupt file into a new one, and only then set it aside: cut off anywhere, it is begun again."""
    fresh, aside = _beside(store.path), _free_name(store.path, now_ms)
    _remove(fresh)
    target = Store(fresh, max_bytes=store.bounds.max_bytes, max_age_ms=store.bounds.max_age_ms)
    target.stream, target.evicted = store.stream, dict(store.evicted)
    try:
        target.open()
        found = _replay(store.path, target, now_ms, packed=store.packed, drops=drops, dropped=dropped)
        target.close()
        if Path(f"{fresh}-wal").exists():
            raise StoreFull(f"{fresh} could not be written to its end")
        # Up to here nothing has happened. The database goes first: without its WAL it would open, and have lost blocks.
        store.path.rename(aside)
    except (StoreFull, StoreCorrupt, OSError):
        target.close()
        _remove(fresh)
        raise
    _take_place(fresh, store.path)
    _forget_oldest(store.path)
    store.broken, store.packed, store.evicted = "", found.packed, target.evicted
    store.open()
    opened = dataclasses.replace(_opened(store), rule_state=found.rule_state, unclean=None)
    return dataclasses.replace(
        opened,
        quarantined=aside,
        cause=cause,
        salvaged=found.salvaged,
        lost=found.lost,
        forgotten=cause if found.rule_state is None else "",
    )


def _remove(path: Path) -> None:
    for companion in _COMPANIONS:
        Path(f"{path}{companion}").unlink(missing_ok=True)


def _take_place(fresh: Path, path: Path) -> None:
    """Give what was replayed its name. What still lies there of the old file would be replayed into the new one."""
    asides = _asides(path)
    for companion in _COMPANIONS[1:]:
        left = Path(f"{path}{companion}")
        if asides and left.exists():
            left.rename(f"{asides[-1]}{companion}")
        left.unlink(missing_ok=True)
    fresh.rename(path)


def _asides(path: Path) -> list[Path]:
    """Files set aside before, oldest first."""
    found = path.parent.glob(f"{path.name}.corrupt-*")
    return sorted((each for each in found if _number(each) is not None), key=lambda each: _number(each) or 0)


def _number(aside: Path) -> int | None:
    """When a file was set aside, in ms UTC; None for what only lies beside it."""
    number = aside.name.rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() else None


def _free_name(path: Path, now_ms: int) -> Path:
    """Where to set the file aside: over none that is there, and after them all, whatever the clock says."""
    newest = max((_number(each) or 0 for each in _asides(path)), default=0)
    return path.with_name(f"{path.name}.corrupt-{max(now_ms, newest + 1)}")


def _forget_oldest(path: Path) -> None:
    for each in _asides(path)[:-_KEPT]:
        _remove(each)


@dataclass(slots=True)
class _Replayed:
    """Blocks taken over, blocks known to be lost, the rule state if it was readable, and the losses known to the file.

    Positions are given anew, from 1; packed: where the new file has what the old one had up to its `packed`.
    """

    salvaged: int = 0
    lost: int = 0
    rule_state: bytes | None = None
    packed: int = 0
    dropped: Dropped = field(default_factory=dict)


def _replay(
    source: Path, store: Store, now_ms: int, *, packed: int, drops: Mapping[str, int], dropped: Dropped
) -> _Replayed:
    """Take over what can be read, and in the last commit what was lost before and by this."""
    found = _Replayed()
    blocks: list[Sealed] = []
    marks: list[Mark] = []
    for position, block, state, reason in _source(source, found):
        if block is None or not block.intact():
            found.lost += 1
            continue
        blocks.append(block)
        if state is not BlockState.UNSENT:
            marks.append(Mark(block.key, state, reason))
        found.salvaged += 1
        if position <= packed:
            found.packed = found.salvaged
        if len(blocks) >= _STEP:
            store.commit(blocks, marks, now_ms=now_ms)
            blocks, marks = [], []
    lost = summed(drops, {DropReason.CORRUPT: found.lost} if found.lost else {})
    known = together(found.dropped, dropped)
    known.pop(store.stream, None)  # of its own the memory knows more
    store.commit(blocks, marks, rule_state=found.rule_state, drops=lost, dropped=known, now_ms=now_ms)
    return found


def _source(source: Path, found: _Replayed) -> Iterator[tuple[int, Sealed | None, BlockState, str]]:
    """The blocks of a broken file; what else it says goes to `found`."""
    try:
        db = sqlite3.connect(f"file:{quote(str(source))}?mode=rw", uri=True, isolation_level=None)
    except UNREADABLE:
        return
    with closing(db):
        with suppress(*UNREADABLE):
            row = db.execute(RULE_STATE).fetchone()
            found.rule_state = bytes(row[0]) if row else None
        with suppress(*UNREADABLE):
            found.dropped = dropped_by_stream(db)
        yield from _readable(db)


def _readable(db: sqlite3.Connection) -> Iterator[tuple[int, Sealed | None, BlockState, str]]:
    """Every block row in order, None for one that is there but cannot be read. A broken page costs its rows only."""
    bounds = _bounds(db)
    if bounds is None:
        return
    first, last = bounds
    for start in range(first, last + 1, _STEP):
        step = (start, min(start + _STEP - 1, last))
        try:
            rows = db.execute(f"{_ROWS} WHERE position BETWEEN ? AND ?", step).fetchall()
        except UNREADABLE:
            rows = []
            for position in range(step[0], step[1] + 1):
                row = _one(db, position)
                if row is None:
                    continue
                rows.append(row)
        for row in rows:
            yield _block(db, row)


def _bounds(db: sqlite3.Connection) -> tuple[int, int] | None:
    """The first and last position to look for; None when there is nothing to be found."""
    found: dict[str, list[int]] = {"min": [], "max": []}
    # With the first or the last page of the table broken, an index may still know, or the counter of positions.
    for end, ask in (
        ("min", "SELECT min(position) FROM blocks"),
        ("min", "SELECT min(position) FROM blocks INDEXED BY blocks_by_state WHERE kind >= ''"),
        ("max", "SELECT max(position) FROM blocks"),
        ("max", "SELECT seq FROM sqlite_sequence WHERE name = 'blocks'"),
    ):
        try:
            row = db.execute(ask).fetchone()
        except UNREADABLE:
            continue
        if row is not None and isinstance(row[0], int):
            found[end].append(row[0])
    if not found["max"]:
        return None
    # One flipped bit makes a position of billions of billions; the others are then right.
    nearest = min(found["max"])
    last = max(position for position in found["max"] if position <= nearest + _MOST_LOOKED_FOR)
    return max(min(found["min"], default=1), last - _MOST_LOOKED_FOR), last


def _one(db: sqlite3.Connection, position: int) -> tuple[object, ...] | None:
    try:
        row: tuple[object, ...] | None = db.execute(f"{_ROWS} WHERE position = ?", (position,)).fetchone()
    except UNREADABLE:
        return ()
    return row


def _block(db: sqlite3.Connection, row: tuple[Any, ...]) -> tuple[int, Sealed | None, BlockState, str]:
    try:
        *columns, state, reason = row
        found = stored(tuple(columns))
        return found.position, _by_its_name(db, found), BlockState(state), str(reason)
    except (ValueError, TypeError):
        return 0, None, BlockState.CORRUPT, ""


def _by_its_name(db: sqlite3.Connection, found: Stored) -> Sealed | None:
    """The block; under a name of its own if what stands in its row is not what the index of names says.

    One flipped bit gives it the name of another block, or one that is still to be given. Its content is whole (its
    digest says so), and a block that the centre gets a second time under another name changes nothing there. A catalog
    is lost: the order of catalogs is that of their names, and the agent offers its own again.
    """
    block = found.block
    try:
        row = db.execute(BY_NAME, (block.key.stream, block.key.seq)).fetchone()
    except UNREADABLE:
        row = None
    if row == (found.position,):
        return block
    if block.kind is Kind.CATALOG:
        return None
    return msgspec.structs.replace(block, key=Key(str(UUID(block.digest)), 1))

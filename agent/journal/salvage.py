"""What can still be read of a broken journal, row by row."""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from typing import Any
from uuid import UUID

import msgspec

from agent.journal.block import BlockState, Key, Sealed, Stored
from agent.journal.sql import BY_NAME, COLUMNS, UNREADABLE, stored
from facility.wire import MAX_UNPACKED, Kind

_STEP = 64
_ROWS = f"SELECT {COLUMNS}, state, reason FROM blocks"
_COUNT = COLUMNS.split(", ").index("count")
# A time and a value take more than eight bytes of a body.
_MOST_COUNT = MAX_UNPACKED // 8
# Positions looked for at most: four weeks of blocks, one a second.
_MOST_LOOKED_FOR = 2_500_000


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the broken file. block: None where it cannot be read; count: what it held, 1 where nobody knows.

    What cannot be known to have been answered for counts as unsent.
    """

    position: int = 0
    block: Sealed | None = None
    state: BlockState = BlockState.UNSENT
    reason: str = ""
    count: int = 1


def readable(db: sqlite3.Connection) -> Iterator[Row]:
    """Every block row in order, without a block for one that cannot be read. A broken page costs its rows only."""
    bounds = _bounds(db)
    if bounds is None:
        return
    first, last = bounds
    for start in range(first, last + 1, _STEP):
        step = (start, min(start + _STEP - 1, last))
        try:
            rows = db.execute(f"{_ROWS} WHERE position BETWEEN ? AND ?", step).fetchall()
        except UNREADABLE:
            yield from _one_by_one(db, *step)
            continue
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


def _one_by_one(db: sqlite3.Connection, first: int, last: int) -> Iterator[Row]:
    indexed, whole = _indexed(db, first, last)
    for position in range(first, last + 1):
        try:
            row = db.execute(f"{_ROWS} WHERE position = ?", (position,)).fetchone()
        except UNREADABLE:
            # Below a broken page nothing says which positions are taken but the index.
            if position in indexed or not whole:
                yield Row(state=indexed.get(position, BlockState.UNSENT), count=_counted(db, position))
            continue
        if row is not None:
            yield _block(db, row)


def _indexed(db: sqlite3.Connection, first: int, last: int) -> tuple[dict[int, BlockState], bool]:
    """The states of the rows between two positions by the word of their index, and whether all of it can be read."""
    found: dict[int, BlockState] = {}
    whole = True
    for kind, state in product(Kind, BlockState):
        try:
            rows = db.execute(
                "SELECT position FROM blocks INDEXED BY blocks_by_state"
                " WHERE kind = ? AND state = ? AND position BETWEEN ? AND ?",
                (kind, state, first, last),
            ).fetchall()
        except UNREADABLE:
            whole = False
            continue
        found.update((position, state) for (position,) in rows)
    return found, whole


def _counted(db: sqlite3.Connection, position: int) -> int:
    """What a block holds whose body cannot be read; it often lies on other pages than the rest of its row."""
    with suppress(*UNREADABLE):
        row = db.execute("SELECT count FROM blocks WHERE position = ?", (position,)).fetchone()
        return 1 if row is None else _sane(row[0])
    return 1


def _sane(count: object) -> int:
    """A count that no flipped bit has made of another: of billions nobody would believe the next."""
    return count if isinstance(count, int) and 0 < count <= _MOST_COUNT else 1


def _block(db: sqlite3.Connection, row: tuple[Any, ...]) -> Row:
    *columns, code, reason = row
    state = BlockState(code) if code in set(BlockState) else BlockState.UNSENT
    count = _sane(columns[_COUNT])
    try:
        found = stored(tuple(columns))
        if state == code:
            return Row(found.position, _by_its_name(db, found), state, str(reason), count)
    except (ValueError, TypeError):
        pass
    return Row(state=state, count=count)


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

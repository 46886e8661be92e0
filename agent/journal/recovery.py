"""A journal file that cannot be trusted: renamed aside, and what can still be read of it taken over."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from agent.journal.block import BlockState, Sealed
from agent.journal.sql import COLUMNS, RULE_STATE, Mark, StoreCorrupt, StoreFull, stored
from agent.journal.store import Store

# Files beside the database that belong to it: replaying a stale WAL into a new file would corrupt that one too.
_COMPANIONS = ("", "-wal", "-shm")
_STEP = 64
# Positions looked for at most: four weeks of blocks, one a second.
_MOST_LOOKED_FOR = 2_500_000
# Quarantined files kept; the oldest go, so that a disk that corrupts daily does not fill itself.
_KEPT = 3


@dataclass(frozen=True, slots=True)
class OpenReport:
    """What opening found. quarantined: where a corrupt file went; salvaged and lost: blocks of it.

    newest: when the last block before this opening was born (ms UTC); unclean: the same, if the program did not end in
    order.
    """

    rule_state: bytes | None = None
    quarantined: Path | None = None
    cause: str = ""
    salvaged: int = 0
    lost: int = 0
    unclean: int | None = None
    newest: int | None = None


def open_or_recover(store: Store, *, now_ms: int) -> OpenReport:
    """Open the store, quarantining and replaying a corrupt file. StoreFull when the disk refuses altogether."""
    fresh = _beside(store.path)
    if fresh.exists() and not store.path.exists():
        # Cut off between the two renames: what was replayed is whole, only its name is missing.
        _move(fresh, store.path)
    try:
        store.open()
        return _opened(store)
    except StoreCorrupt as exc:
        store.close()
        return _replace(store, str(exc), now_ms)


def _opened(store: Store) -> OpenReport:
    rule_state = store.rule_state()
    try:
        unclean = store.take_unclean()
    except StoreFull:
        # Full, but readable: what the rules knew is worth more than knowing how the program ended.
        unclean = None
    return OpenReport(rule_state=rule_state, unclean=unclean, newest=store.newest_born_at())


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.replaying")


def _replace(store: Store, cause: str, now_ms: int) -> OpenReport:
    """Replay the corrupt file into a new one, and only then set it aside: cut off anywhere, it is begun again."""
    fresh = _beside(store.path)
    _remove(fresh)
    target = Store(fresh, max_bytes=store.max_bytes, max_age_ms=store.max_age_ms)
    try:
        target.open()
        salvaged, lost, rule_state = _replay(store.path, target, now_ms)
        target.close()
        aside = _set_aside(store.path, now_ms)
    except StoreFull:
        target.close()
        _remove(fresh)
        raise
    _move(fresh, store.path)
    store.broken = ""
    store.open()
    return OpenReport(rule_state, aside, cause, salvaged, lost, newest=store.newest_born_at())


def _remove(path: Path) -> None:
    for companion in _COMPANIONS:
        Path(f"{path}{companion}").unlink(missing_ok=True)


def _move(source: Path, target: Path) -> None:
    """Rename a database with its companions, the database last: while it has its old name nothing has happened."""
    for companion in reversed(_COMPANIONS):
        part = Path(f"{source}{companion}")
        if part.exists():
            try:
                part.rename(f"{target}{companion}")
            except OSError as exc:
                raise StoreFull(f"{part} cannot be renamed: {exc}") from exc


def _set_aside(path: Path, now_ms: int) -> Path:
    old = sorted(path.parent.glob(f"{path.name}.corrupt-*"))
    for each in [name for name in old if not name.name.endswith(("-wal", "-shm"))][: -(_KEPT - 1)]:
        _remove(each)
    aside = path.with_name(f"{path.name}.corrupt-{now_ms}")
    _move(path, aside)
    return aside


def _replay(source: Path, store: Store, now_ms: int) -> tuple[int, int, bytes | None]:
    """Blocks taken over, blocks known to be lost, and the rule state if it was readable."""
    try:
        db = sqlite3.connect(f"file:{quote(str(source))}?mode=rw", uri=True, isolation_level=None)
    except sqlite3.Error:
        return 0, 0, None
    blocks: list[Sealed] = []
    marks: list[Mark] = []
    salvaged = lost = 0
    rule_state: bytes | None = None
    try:
        try:
            found = db.execute(RULE_STATE).fetchone()
            rule_state = bytes(found[0]) if found else None
        except sqlite3.Error:
            rule_state = None
        for block, state in _readable(db):
            if block is None or not block.intact():
                lost += 1
                continue
            blocks.append(block)
            if state is not BlockState.UNSENT:
                marks.append(Mark(block.key, state))
            salvaged += 1
            if len(blocks) >= _STEP:
                store.commit(blocks, marks, now_ms=now_ms)
                blocks, marks = [], []
    finally:
        db.close()
    store.commit(blocks, marks, rule_state=rule_state, now_ms=now_ms)
    return salvaged, lost, rule_state


def _readable(db: sqlite3.Connection) -> Iterator[tuple[Sealed | None, BlockState]]:
    """Every block row in order, None for one that is there but cannot be read. A broken page costs its rows only."""
    bounds = _bounds(db)
    if bounds is None:
        return
    first, last = bounds
    for start in range(first, last + 1, _STEP):
        step = (start, min(start + _STEP - 1, last))
        try:
            rows = db.execute(f"SELECT {COLUMNS}, state FROM blocks WHERE position BETWEEN ? AND ?", step).fetchall()
        except sqlite3.Error:
            rows = []
            for position in range(step[0], step[1] + 1):
                row = _one(db, position)
                if row is None:
                    continue
                rows.append(row)
        for row in rows:
            yield _block(row)


def _bounds(db: sqlite3.Connection) -> tuple[int, int] | None:
    """The first and last position to look for; None when there is nothing to be found."""
    found: dict[str, int] = {}
    # With the first or the last page of the table broken, an index may still know, or the counter of positions.
    for end, ask in (
        ("min", "SELECT min(position) FROM blocks"),
        ("min", "SELECT min(position) FROM blocks INDEXED BY blocks_by_state WHERE kind >= ''"),
        ("max", "SELECT max(position) FROM blocks"),
        ("max", "SELECT seq FROM sqlite_sequence WHERE name = 'blocks'"),
    ):
        try:
            row = db.execute(ask).fetchone()
        except sqlite3.Error:
            continue
        if row is not None and isinstance(row[0], int):
            found.setdefault(end, row[0])
    if "max" not in found:
        return None
    return max(found.get("min", 1), found["max"] - _MOST_LOOKED_FOR), found["max"]


def _one(db: sqlite3.Connection, position: int) -> tuple[object, ...] | None:
    try:
        row: tuple[object, ...] | None = db.execute(
            f"SELECT {COLUMNS}, state FROM blocks WHERE position = ?", (position,)
        ).fetchone()
    except sqlite3.Error:
        return ()
    return row


def _block(row: tuple[object, ...]) -> tuple[Sealed | None, BlockState]:
    try:
        return stored(row[:-1]).block, BlockState(row[-1])  # type: ignore[arg-type]
    except (ValueError, TypeError, IndexError):
        return None, BlockState.CORRUPT

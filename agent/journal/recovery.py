"""A journal file that cannot be trusted: renamed aside, and what can still be read of it taken over."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.journal.block import BlockState, Sealed
from agent.journal.sql import COLUMNS, Mark, StoreCorrupt, StoreFull, stored
from agent.journal.store import Store

# Files beside the database that belong to it: replaying a stale WAL into a new file would corrupt that one too.
_COMPANIONS = ("", "-wal", "-shm")
_STEP = 64
# Quarantined files kept; the oldest go, so that a disk that corrupts daily does not fill itself.
_KEPT = 3


@dataclass(frozen=True, slots=True)
class OpenReport:
    """What opening found. quarantined: where a corrupt file went; salvaged and lost: blocks of it.

    unclean: when the last block before this opening was born (ms UTC), if the program did not end in order.
    """

    rule_state: bytes | None = None
    quarantined: Path | None = None
    cause: str = ""
    salvaged: int = 0
    lost: int = 0
    unclean: int | None = None


def open_or_recover(store: Store, *, now_ms: int) -> OpenReport:
    """Open the store, quarantining and replaying a corrupt file. StoreFull when the disk refuses altogether."""
    try:
        store.open()
        return OpenReport(rule_state=store.rule_state(), unclean=store.take_unclean())
    except StoreCorrupt as exc:
        cause = str(exc)
    store.close()
    aside = _rename(store.path, now_ms)
    store.open()
    salvaged, lost, rule_state = _replay(aside, store, now_ms)
    return OpenReport(rule_state, aside, cause, salvaged, lost)


def _rename(path: Path, now_ms: int) -> Path:
    old = sorted(path.parent.glob(f"{path.name}.corrupt-*"))
    for each in [name for name in old if not name.name.endswith(("-wal", "-shm"))][: -(_KEPT - 1)]:
        for companion in _COMPANIONS:
            Path(f"{each}{companion}").unlink(missing_ok=True)
    aside = path.with_name(f"{path.name}.corrupt-{now_ms}")
    for companion in _COMPANIONS:
        source = Path(f"{path}{companion}")
        if source.exists():
            try:
                source.rename(f"{aside}{companion}")
            except OSError as exc:
                raise StoreFull(f"{source} cannot be set aside: {exc}") from exc
    return aside


def _replay(aside: Path, store: Store, now_ms: int) -> tuple[int, int, bytes | None]:
    """Blocks taken over, blocks known to be lost, and the rule state if it was readable."""
    try:
        db = sqlite3.connect(f"file:{aside}?mode=rw", uri=True, isolation_level=None)
    except sqlite3.Error:
        return 0, 0, None
    salvaged = lost = 0
    rule_state: bytes | None = None
    try:
        try:
            found = db.execute("SELECT state FROM rule_state").fetchone()
            rule_state = bytes(found[0]) if found else None
        except sqlite3.Error:
            rule_state = None
        for block, state in _readable(db):
            if block is None or not block.intact():
                lost += 1
                continue
            marks = [] if state is BlockState.UNSENT else [Mark(block.key, state)]
            store.commit([block], marks, now_ms=now_ms)
            salvaged += 1
    finally:
        db.close()
    if rule_state is not None:
        store.commit([], rule_state=rule_state, now_ms=now_ms)
    return salvaged, lost, rule_state


def _readable(db: sqlite3.Connection) -> Iterator[tuple[Sealed | None, BlockState]]:
    """Every block row in order, None for one that is there but cannot be read. A broken page costs its rows only."""
    try:
        first, last = db.execute("SELECT min(position), max(position) FROM blocks").fetchone()
    except sqlite3.Error:
        return
    if first is None:
        return
    for start in range(first, last + 1, _STEP):
        bounds = (start, min(start + _STEP - 1, last))
        try:
            rows = db.execute(f"SELECT {COLUMNS}, state FROM blocks WHERE position BETWEEN ? AND ?", bounds).fetchall()
        except sqlite3.Error:
            rows = []
            for position in range(bounds[0], bounds[1] + 1):
                row = _one(db, position)
                if row is None:
                    continue
                rows.append(row)
        for row in rows:
            yield _block(row)


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

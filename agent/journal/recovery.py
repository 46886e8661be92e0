"""A journal file that cannot be trusted: renamed aside, and what can still be read of it taken over."""

import dataclasses
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from agent.journal.block import BlockState, Sealed
from agent.journal.bounds import NO_AGE
from agent.journal.eviction import DropReason
from agent.journal.losses import Dropped, dropped_by_stream, summed, together
from agent.journal.salvage import Row, readable
from agent.journal.sql import RULE_STATE, RULE_STATE_AT, UNREADABLE, Mark, StoreCorrupt, StoreFull
from agent.journal.store import Store

# Files beside the database that belong to it: replaying a stale WAL into a new file would corrupt that one too.
_COMPANIONS = ("", "-wal", "-shm")
# Blocks taken over in one commit.
_STEP = 64
# Quarantined files kept; the oldest go, so that a disk that corrupts daily does not fill itself.
_KEPT = 3


@dataclass(frozen=True, slots=True)
class OpenReport:
    """What opening found. quarantined: where a corrupt file went; salvaged and lost: blocks of it.

    lost_unsent: readings and items of lost blocks that the centre had not taken, as far as that can be known.

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
    lost_unsent: int = 0
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
    # What is too old goes once the file is opened, which tells up to when the journal went.
    target = Store(fresh, max_bytes=store.bounds.max_bytes, max_age_ms=NO_AGE)
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
        lost_unsent=found.lost_unsent,
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
    """Blocks taken over, blocks known to be lost and what unsent ones of these held, the rule state if it was readable,
    and the losses known to the file.

    Positions are given anew, from 1; packed: where the new file has what the old one had up to its `packed`.
    """

    salvaged: int = 0
    lost: int = 0
    lost_unsent: int = 0
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
    for row in _source(source, found):
        block = row.block
        if block is None or not block.intact():
            found.lost += 1
            found.lost_unsent += row.count if row.state is BlockState.UNSENT else 0
            continue
        blocks.append(block)
        if row.state is not BlockState.UNSENT:
            marks.append(Mark(block.key, row.state, row.reason))
        found.salvaged += 1
        if row.position <= packed:
            found.packed = found.salvaged
        if len(blocks) >= _STEP:
            store.commit(blocks, marks, now_ms=now_ms)
            blocks, marks = [], []
    lost = summed(drops, {DropReason.CORRUPT: found.lost_unsent} if found.lost_unsent else {})
    known = together(found.dropped, dropped)
    known.pop(store.stream, None)  # of its own the memory knows more
    store.commit(blocks, marks, rule_state=found.rule_state, drops=lost, dropped=known, now_ms=now_ms)
    return found


def _source(source: Path, found: _Replayed) -> Iterator[Row]:
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
        yield from readable(db)

"""What was lost, by the stream that had it and by reason. Counts only grow: said twice, they count once."""

import sqlite3
from collections.abc import Mapping

from agent.journal.eviction import DropReason

# Streams whose losses are told one by one: each was, every minute of its life and of those of its successors.
_STREAMS = 16
# More than any journal can lose; a count beyond it is a broken bit.
_MOST_DROPPED = 1 << 48
_REASONS = frozenset(DropReason)

Dropped = Mapping[str, Mapping[str, int]]


def summed(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Both together, by reason."""
    return {reason: one.get(reason, 0) + other.get(reason, 0) for reason in {**one, **other}}


def together(file: Dropped, known: Dropped) -> dict[str, dict[str, int]]:
    """What a file and the memory know of losses: counts only grow, so the greater is the later.

    A stream that the memory knows and a file full of names does not was summed up there: by its name it would count
    twice.
    """
    is_full = len(file.keys() - {""}) >= _STREAMS
    found = {stream: dict(counts) for stream, counts in file.items()}
    for stream, counts in known.items():
        if is_full and stream and stream not in file:
            continue
        most = found.setdefault(stream, {})
        for reason, count in counts.items():
            most[reason] = max(count, most.get(reason, 0))
    return found


def count_drops(db: sqlite3.Connection, dropped: Dropped) -> None:
    """Write down what each stream lost in all, by reason. Never less than stands there: said twice, it counts once."""
    for stream, counts in dropped.items():
        for reason, count in counts.items():
            db.execute(
                "INSERT INTO dropped VALUES (?, ?, ?) ON CONFLICT (stream, reason)"
                " DO UPDATE SET count = max(count, excluded.count)",
                (stream, reason, count),
            )
    streams = "SELECT stream FROM dropped WHERE stream != '' GROUP BY stream ORDER BY max(rowid) DESC LIMIT -1 OFFSET ?"
    for (stream,) in db.execute(streams, (_STREAMS,)).fetchall():
        db.execute(
            "INSERT INTO dropped SELECT '', reason, count FROM dropped WHERE stream = ?"
            " ON CONFLICT (stream, reason) DO UPDATE SET count = count + excluded.count",
            (stream,),
        )
        db.execute("DELETE FROM dropped WHERE stream = ?", (stream,))


def dropped_by_stream(db: sqlite3.Connection) -> dict[str, dict[str, int]]:
    """What each stream lost, by reason; under "" that of streams long gone. A count that cannot be is left out."""
    found: dict[str, dict[str, int]] = {}
    try:
        rows = db.execute("SELECT stream, reason, count FROM dropped ORDER BY rowid")
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        rows = db.execute("SELECT '', reason, count FROM drops")  # a file of version 1, too broken to be upgraded
    for stream, reason, count in rows:
        counts = found.setdefault(str(stream), {})
        if reason in _REASONS and isinstance(count, int) and 0 < count < _MOST_DROPPED:
            counts[reason] = count
    return found

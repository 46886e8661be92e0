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


def most(one: Dropped, other: Dropped) -> dict[str, dict[str, int]]:
    """What two know of losses: counts only grow, so the greater is the later."""
    found = {stream: dict(counts) for stream, counts in one.items()}
    for stream, counts in other.items():
        known = found.setdefault(stream, {})
        for reason, count in counts.items():
            known[reason] = max(count, known.get(reason, 0))
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
    """What each stream lost, by reason; under "" that of streams long gone. What cannot be is left out."""
    found: dict[str, dict[str, int]] = {}
    for stream, reason, count in db.execute("SELECT stream, reason, count FROM dropped ORDER BY rowid"):
        if reason in _REASONS and isinstance(count, int) and 0 < count < _MOST_DROPPED:
            found.setdefault(str(stream), {})[reason] = count
    return found

"""The file beside the journal in which notices survive a restart. Calls block and are made by one thread at a time.

The notices themselves are held in memory, bounded by the policy; the file follows them. A file that cannot be written
costs only this: a restart meanwhile forgets what it did not take.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import msgspec

from agent.notify.policy import Notice

_SCHEMA = """
CREATE TABLE IF NOT EXISTS notices (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sent (channel TEXT NOT NULL, at INTEGER NOT NULL);
"""
_BUSY_S = 5.0
_decoder = msgspec.json.Decoder(Notice)


class NoticeStore:
    """notices by id, and when each channel was last sent something."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None

    def load(self) -> tuple[list[Notice], list[tuple[str, int]]]:
        """What the file holds; sqlite3.Error or OSError when it cannot be read. An entry that is damaged is skipped."""
        db = self._open()
        notices = []
        for (body,) in db.execute("SELECT body FROM notices ORDER BY id"):
            try:
                notices.append(_decoder.decode(body))
            except msgspec.DecodeError:
                continue
        return notices, [(str(channel), int(at)) for channel, at in db.execute("SELECT channel, at FROM sent")]

    def save(self, notices: Iterable[Notice], sent: Iterable[tuple[str, int]], gone: Iterable[int]) -> None:
        """In one transaction: these notices as they are now, without those gone, and all sendings that count."""
        db = self._open()
        db.execute("BEGIN IMMEDIATE")
        try:
            db.executemany("DELETE FROM notices WHERE id = ?", [(one,) for one in gone])
            db.executemany(
                "INSERT OR REPLACE INTO notices VALUES (?, ?)",
                [(notice.id, msgspec.json.encode(notice)) for notice in notices],
            )
            db.execute("DELETE FROM sent")
            db.executemany("INSERT INTO sent VALUES (?, ?)", list(sent))
            db.execute("COMMIT")
        except BaseException:
            # A full disk has rolled back by itself.
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def discard(self) -> None:
        """Put a file that is no database any more out of the way, under the name of the last such one."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                part.replace(part.with_name(part.name + ".corrupt"))

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                db.executescript(_SCHEMA)
            except sqlite3.Error:
                db.close()
                raise
            self._db = db
        return self._db

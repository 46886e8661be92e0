"""The file beside the journal in which notices survive a restart. Calls block and are made by one thread at a time.

The notices themselves are held in memory, bounded by the policy; the file follows them. A file that cannot be written
costs only this: a restart meanwhile forgets what it did not take.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from agent.notify.policy import Notice
from facility.wire import UNREADABLE

_SCHEMA = """
CREATE TABLE IF NOT EXISTS notices (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sent (channel TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS aside (id INTEGER PRIMARY KEY, reason TEXT NOT NULL, body BLOB);
"""
# Notices set aside to be looked at; a disk that breaks one a day fills nothing with them.
_MOST_ASIDE = 100
_BUSY_S = 5.0
_decoder = msgspec.json.Decoder(Notice)


@dataclass(slots=True)
class Found:
    """What the file holds. damaged: why a notice could not be read, by its id; sendings: how many could not."""

    notices: list[Notice] = field(default_factory=list)
    sent: list[tuple[str, int]] = field(default_factory=list)
    damaged: dict[int, str] = field(default_factory=dict)
    sendings: int = 0


class NoticeStore:
    """notices by id, and when each channel was last sent something."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None

    def load(self) -> Found:
        """What the file holds; sqlite3.Error or OSError when it cannot be read. An entry that is damaged is told of."""
        db = self._open()
        found = Found()
        # One flipped bit makes a text or nothing of bytes: as bytes all but nothing can be read, and is judged here.
        for number, body in db.execute("SELECT id, CAST(body AS BLOB) FROM notices ORDER BY id"):
            try:
                # The row's number is what the file knows it by.
                found.notices.append(msgspec.structs.replace(_decoder.decode(body), id=number))
            except (*UNREADABLE, TypeError) as exc:
                found.damaged[number] = str(exc)
        for channel, at in db.execute("SELECT CAST(channel AS BLOB), at FROM sent"):
            try:
                name = bytes(channel).decode()
            except (UnicodeDecodeError, TypeError):
                name = ""
            if name and type(at) is int:
                found.sent.append((name, at))
            else:
                found.sendings += 1
        return found

    def set_aside(self, damaged: Mapping[int, str]) -> None:
        """Keep these notices where they can be looked at and are not read again, the newest of them."""
        db = self._open()
        with self._transaction(db):
            for number, reason in damaged.items():
                db.execute(
                    "INSERT OR REPLACE INTO aside SELECT id, ?, body FROM notices WHERE id = ?", (reason, number)
                )
                db.execute("DELETE FROM notices WHERE id = ?", (number,))
            db.execute(
                "DELETE FROM aside WHERE id NOT IN (SELECT id FROM aside ORDER BY id DESC LIMIT ?)", (_MOST_ASIDE,)
            )

    def save(self, notices: Iterable[Notice], sent: Iterable[tuple[str, int]], gone: Iterable[int]) -> None:
        """In one transaction: these notices as they are now, without those gone, and all sendings that count."""
        db = self._open()
        with self._transaction(db):
            db.executemany("DELETE FROM notices WHERE id = ?", [(one,) for one in gone])
            db.executemany(
                "INSERT OR REPLACE INTO notices VALUES (?, ?)",
                [(notice.id, msgspec.json.encode(notice)) for notice in notices],
            )
            db.execute("DELETE FROM sent")
            db.executemany("INSERT INTO sent VALUES (?, ?)", list(sent))

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

    @contextmanager
    def _transaction(self, db: sqlite3.Connection) -> Iterator[None]:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            # A full disk has rolled back by itself.
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

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

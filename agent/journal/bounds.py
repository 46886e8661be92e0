"""The journal's two bounds, kept within the transaction that would pass them: bytes of its pages, and age."""

import sqlite3

from agent.journal.eviction import ORDER, TARGET
from agent.journal.sql import BATCH, Counts, Evicted, evict, expire, used

# Ages are hours to years.
_AGE_EVERY_MS = 60_000
# While more is too old than goes at once: a whole history may be due.
_AGAIN_MS = 10_000


class Bounds:
    """max_bytes bounds the pages in use, max_age_ms what stands in them. used: bytes of those pages, as last seen."""

    def __init__(self, *, max_bytes: int, max_age_ms: int) -> None:
        self.max_bytes = max_bytes
        self.max_age_ms = max_age_ms
        self.used = 0
        self._aged_at, self._age_due = 0, 0

    def keep(self, db: sqlite3.Connection, now_ms: int, counts: Counts) -> Evicted:
        """Delete what is over them; `counts` follows. What was lost by it is returned, to be counted."""
        evicted = Evicted()
        self._aged(db, now_ms, counts, evicted)
        self._over(db, counts, evicted)
        return evicted

    def _aged(self, db: sqlite3.Connection, now_ms: int, counts: Counts, evicted: Evicted) -> None:
        if self._aged_at <= now_ms < self._age_due:
            return
        # Bounded per commit: after a step of the clock a whole history is due at once.
        more = expire(db, now_ms - self.max_age_ms, counts, evicted) == BATCH
        self._aged_at, self._age_due = now_ms, now_ms + (_AGAIN_MS if more else _AGE_EVERY_MS)

    def _over(self, db: sqlite3.Connection, counts: Counts, evicted: Evicted) -> None:
        if self.look(db) <= self.max_bytes:
            return
        target = int(self.max_bytes * TARGET)
        for each in ORDER:
            for state in each.states:
                while self.look(db) > target and evict(db, each, state, counts, evicted):
                    pass

    def look(self, db: sqlite3.Connection) -> int:
        """Bytes of the pages in use now."""
        self.used = used(db)
        return self.used

"""The journal's two bounds, kept within the transaction that would pass them: bytes of its pages, and age.

Age is judged by the clock, but no further on than time has passed since the journal's newest block: a machine that
boots a week ahead in an outage would else lose at once all that it has not sent. A clock that stays ahead is followed
when it has been so for `max_age`: whatever was here then has been kept for so long.
"""

import sqlite3
from collections.abc import Callable

from agent.journal.eviction import ORDER, TARGET
from agent.journal.sql import BATCH, NEWEST_BORN, Counts, Evicted, evict, evict_catalogs, expire, used

# Ages are hours to years.
_AGE_EVERY_MS = 60_000
# While more is too old than goes at once: a whole history may be due.
_AGAIN_MS = 10_000
# Slewing, and the time a restart takes: no reason to think that the clock was set.
_AHEAD_MS = 60_000
# For a file that keeps all that it is given.
NO_AGE = 1 << 62


class Bounds:
    """max_bytes bounds the pages in use, max_age_ms what stands in them. used: bytes of those pages, as last seen."""

    def __init__(self, *, max_bytes: int, max_age_ms: int) -> None:
        self.max_bytes = max_bytes
        self.max_age_ms = max_age_ms
        self.used = 0
        self.monotonic: Callable[[], float] | None = None
        # What the clock would say had nobody set it since the newest block, and when that was looked at; since when
        # (monotonic) the clock is ahead of it.
        self._unset_ms: int | None = None
        self._looked_at = 0.0
        self._ahead_since: float | None = None
        self._aged_at, self._age_due = 0, 0

    def opened(self, db: sqlite3.Connection) -> None:
        """Look at a file before anything is written to it."""
        self.look(db)
        newest = db.execute(NEWEST_BORN).fetchone()
        if newest is not None and self._unset_ms is None and self.monotonic is not None:
            self._unset_ms, self._looked_at = int(newest[0]), self.monotonic()

    def keep(self, db: sqlite3.Connection, now_ms: int, counts: Counts) -> Evicted:
        """Delete what is over them; `counts` follows. What was lost by it is returned, to be counted."""
        evicted = Evicted()
        self._aged(db, self._now(now_ms), counts, evicted)
        self._over(db, counts, evicted)
        return evicted

    def _now(self, now_ms: int) -> int:
        """By what time age is judged."""
        if self.monotonic is None:
            return now_ms
        at = self.monotonic()
        if self._unset_ms is None:
            self._unset_ms = now_ms
        else:
            self._unset_ms += round((at - self._looked_at) * 1000)
        self._looked_at = at
        if now_ms <= self._unset_ms + _AHEAD_MS:
            self._ahead_since = None
        elif self._ahead_since is None:
            self._ahead_since = at
        elif (at - self._ahead_since) * 1000 >= self.max_age_ms:
            self._unset_ms, self._ahead_since = now_ms, None
        return min(now_ms, self._unset_ms)

    def _aged(self, db: sqlite3.Connection, now_ms: int, counts: Counts, evicted: Evicted) -> None:
        if self._aged_at <= now_ms < self._age_due:
            return
        # Bounded per commit: after a step of the clock a whole history is due at once.
        more = expire(db, now_ms - self.max_age_ms, counts, evicted) == BATCH
        self._aged_at, self._age_due = now_ms, now_ms + (_AGAIN_MS if more else _AGE_EVERY_MS)

    def _over(self, db: sqlite3.Connection, counts: Counts, evicted: Evicted) -> None:
        if self.look(db) <= self.max_bytes:
            return
        evict_catalogs(db, counts)
        target = int(self.max_bytes * TARGET)
        for each in ORDER:
            for state in each.states:
                while self.look(db) > target and evict(db, each, state, counts, evicted):
                    pass

    def look(self, db: sqlite3.Connection) -> int:
        """Bytes of the pages in use now."""
        self.used = used(db)
        return self.used

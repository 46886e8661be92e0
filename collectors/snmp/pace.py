"""How much one agent is asked at once: objects in a GET, rows in a GETBULK, found out and remembered.

Pure: decisions take `now` (monotonic seconds). What failed once may have been the link, so both sizes grow back: rows
with every walk that needed several requests, up to a size that failed twice; everything after a day.
"""

from dataclasses import dataclass

# Low first: agents of UPS cards have answered 25 with silence (seen by users of snmp_exporter).
MAX_REPETITIONS = 10
# Rows of some 25 bytes each: more would not fit one datagram of an Ethernet (1,472 bytes), and agents cut it anyway.
MOST_REPETITIONS = 50
# What had to shrink is tried in full size again after a day: the link may have been bad, not the agent.
REGROW_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Known:
    """What was found out. shrunk_at: monotonic seconds, None where nothing had to shrink."""

    batch: int
    bulk: bool
    rows: int
    ceiling: int
    shrunk_at: float | None


class Pace:
    """What one agent stands. batch: objects in one GET; repetitions: rows in one GETBULK, 0 where it is not used."""

    def __init__(self, *, batch: int, bulk: bool) -> None:
        self._first = (batch, bulk)
        self._forget()

    def _forget(self) -> None:
        self.batch, self._bulk = self._first
        self._rows = MAX_REPETITIONS
        self._ceiling = MOST_REPETITIONS
        self._failed_size = 0
        self._shrunk_at: float | None = None

    def known(self) -> Known:
        return Known(self.batch, self._bulk, self._rows, self._ceiling, self._shrunk_at)

    def recall(self, *, batch: int, bulk: bool, rows: int, ceiling: int, since: float) -> None:
        """What an earlier program found out, `since` monotonic seconds; never beyond what is asked for now."""
        self.batch = max(1, min(batch, self.batch))
        self._bulk = self._bulk and bulk
        self._ceiling = max(1, min(ceiling, MOST_REPETITIONS))
        self._rows = max(1, min(rows, self._ceiling))
        self._shrunk_at = since

    @property
    def bulk(self) -> bool:
        return self._bulk

    @property
    def repetitions(self) -> int:
        """Rows in one GETBULK at present, 0 for GETNEXT."""
        return self._rows if self._bulk else 0

    def repetitions_for(self, rows: int | None) -> int:
        """For a table that had so many rows last time: one row more shows its end, and nothing else is asked for."""
        return self.repetitions if rows is None else min(self.repetitions, rows + 1)

    def wake(self, now: float) -> None:
        """Start of a poll: a day after something shrank all of it is tried anew."""
        if self._shrunk_at is not None and now - self._shrunk_at > REGROW_S:
            self._forget()

    def batch_failed(self, stood: int, now: float) -> bool:
        """A GET came only in parts of `stood` objects. True where that is news."""
        if stood >= self.batch:
            return False
        self.batch, self._shrunk_at = stood, now
        return True

    def walked(self, rows: int, asked: int) -> None:
        """A walk came whole, `asked` rows at a time; one that took several requests may ask for more."""
        if self._bulk and asked == self._rows and rows > asked:
            self._rows = min(self._ceiling, self._rows * 2)

    def walk_failed(self, asked: int, now: float) -> None:
        """A GETBULK of `asked` rows met silence: half of it next time, and no more than that if it happens again."""
        if asked < 1:
            return
        if asked == self._failed_size:
            self._ceiling, self._shrunk_at = max(1, asked - 1), now
        self._failed_size = asked
        self._rows = max(1, min(self._rows, asked // 2))

    def bulk_cut_short(self, rows: int, asked: int, now: float) -> None:
        """GETNEXT brings more than GETBULK did: fewer rows at a time, or row by row where it brought none at all."""
        self._shrunk_at = now
        if rows == 0 or asked <= 1:
            self._bulk = False
        else:
            self._rows = self._ceiling = max(1, asked // 2)

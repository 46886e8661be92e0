"""Rolling readings up into 5 minutes and hours, and letting old ones go. Bounded per call; safe in several processes.

A run takes a part of the series that have something to do, locks their rows (so that no reading slips in between
computing a bucket and calling it done), computes, and moves `rolled_to` or clears the dirty marks in one transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from facility.clock import to_ms
from server.config import RetentionConfig
from server.db.session import Database
from server.history import bulk
from server.history.partitions import Partitions, month_of
from server.history.reading import samples_of, spans_of, stored_buckets
from server.history.rollup import DAY_MS, FINE_MS, HOUR_MS, LONGEST_HOLD_MS, Bucket, floor, fold, merge
from server.history.sql import SeriesState, states_by

# A bucket is rolled up once it is over and readings in flight had time to come; later ones mark it dirty.
GRACE_MS = 60_000
# Series in one transaction: about 100 ms of work, the longest an ingest waits for the same rows.
SERIES_AT_ONCE = 250
MARKS_AT_ONCE = 2000
# A series that comes back after a long time is worked off in pieces.
SPAN_AT_ONCE_MS = 2 * DAY_MS
EXPIRE_AT_ONCE = 100
LEDGER_KEEP = timedelta(days=90)  # agents keep unsent blocks 7 days by default; a block this old comes no more

_COLUMNS = (
    "series int, at bigint, n int, low float8, high float8, value_ms float8, good_ms bigint, first float8, last float8"
)


@dataclass(frozen=True, slots=True)
class Keep:
    """How long each tier is kept."""

    raw: timedelta
    fine: timedelta
    hours: timedelta


def keep_of(config: RetentionConfig) -> Keep:
    return Keep(raw=config.raw, fine=config.five_minutes, hours=config.hours)


@dataclass(frozen=True, slots=True)
class _Work:
    state: SeriesState
    start: int
    end: int


def raw_cutoff(now: datetime, keep: Keep) -> int:
    """Raw readings before this are let go: whole days, so that no 5-minute bucket is ever half there."""
    return floor(to_ms(now - keep.raw), DAY_MS)


def oldest_taken(now: datetime, keep: Keep) -> int:
    """Older readings are not taken at all: a day of room lets every bucket be rolled up before its readings go."""
    return raw_cutoff(now, keep) + DAY_MS


class Roller:
    """The work on one history database."""

    def __init__(self, db: Database, keep: Keep) -> None:
        self._db = db
        self._keep = keep
        self._partitions = Partitions(db)
        self._next_series = 0

    async def roll(self, now: datetime) -> int:
        """Roll up one part of what is pending, and one of what is dirty; returns how many spans were done."""
        closed = floor(to_ms(now) - GRACE_MS, FINE_MS)
        async with self._db.write() as session:
            link = await bulk.connection(session)
            pending = await self._pending(link, closed)
            await _roll_spans(link, pending)
            await _advance(link, pending)
        async with self._db.write() as session:
            link = await bulk.connection(session)
            stale = await self._stale(link)
            await _roll_spans(link, stale)
            await _mend_hours(link, stale)
        return len(pending) + len(stale)

    async def _pending(self, link: AsyncConnection, closed: int) -> list[_Work]:
        statement = (
            "SELECT id, point, hold_ms, rolled_to, reaches_to, latest_at, latest_value, latest_quality, latest_reason"
            " FROM history_series WHERE rolled_to < :closed AND rolled_to < reaches_to ORDER BY rolled_to, id LIMIT :n"
        )
        bound: dict[str, object] = {"closed": closed, "n": SERIES_AT_ONCE}
        states = await states_by(link, statement, bound, lock=True, skip=True)
        return [
            _Work(s, s.rolled_to, min(closed, s.reaches_to, s.rolled_to + SPAN_AT_ONCE_MS)) for s in states.values()
        ]

    async def _stale(self, link: AsyncConnection) -> list[_Work]:
        query = sa.text("SELECT series, at FROM history_dirty ORDER BY series, at LIMIT :n")
        marked: dict[int, list[int]] = {}
        for series, at in await link.execute(query, {"n": MARKS_AT_ONCE}):
            marked.setdefault(series, []).append(at)
        if not marked:
            return []
        statement = (
            "SELECT id, point, hold_ms, rolled_to, reaches_to, latest_at, latest_value, latest_quality, latest_reason"
            " FROM history_series WHERE " + bulk.among("id", link, "ids") + " ORDER BY id"
        )
        states = await states_by(link, statement, {"ids": sorted(marked)}, lock=True, skip=True)
        work = [
            _Work(state, start, end)
            for state in states.values()
            for start, end in spans_of(sorted(marked[state.id]), FINE_MS)
        ]
        for item in work:
            for table in ("history_dirty", "history_fine"):
                await _delete(link, table, item.state.id, item.start, item.end)
        return work

    async def expire(self, now: datetime) -> int:
        """Let go what is out of retention, for one part of the series; returns how many series were looked at."""
        cutoff = raw_cutoff(now, self._keep)
        fine, hours = to_ms(now - self._keep.fine), to_ms(now - self._keep.hours)
        async with self._db.write() as session:
            link = await bulk.connection(session)
            statement = (
                "SELECT s.id, s.hold_ms, s.rolled_to, s.reaches_to, (SELECT min(d.at) FROM history_dirty d"
                " WHERE d.series = s.id) FROM history_series s WHERE s.id > :after ORDER BY s.id LIMIT :n"
            )
            rows = (await link.execute(sa.text(statement), {"after": self._next_series, "n": EXPIRE_AT_ONCE})).all()
            self._next_series = rows[-1][0] if len(rows) == EXPIRE_AT_ONCE else 0
            for series, hold, rolled_to, reaches_to, dirty in rows:
                limit = min([cutoff, *(_needed(hold, rolled_to, reaches_to, dirty))])
                if bulk.is_sqlite(link):
                    await _delete(link, "history_readings", series, 0, limit, column="taken_at")
                await _delete(link, "history_raws", series, 0, limit, column="taken_at")
                await _delete(link, "history_fine", series, 0, fine)
                await _delete(link, "history_hours", series, 0, hours)
        return len(rows)

    async def housekeep(self, now: datetime) -> None:
        """Once in a while: partitions ahead and out of retention, and the ledger of long ago."""
        await self._partitions.ensure({month_of(to_ms(now) + days * DAY_MS) for days in (0, 31)})
        async with self._db.write() as session:
            link = await bulk.connection(session)
            old = to_ms(now - LEDGER_KEEP)
            await link.execute(sa.text("DELETE FROM history_blocks WHERE at < :old"), {"old": old})
            oldest = await link.execute(
                sa.text(
                    "SELECT min(rolled_to) FROM history_series WHERE rolled_to < reaches_to"
                    " UNION ALL SELECT min(at) FROM history_dirty"
                )
            )
            needed = [row[0] - LONGEST_HOLD_MS for row in oldest if row[0] is not None]
        if self._db.dialect != "sqlite":
            await self._partitions.drop_before(min([raw_cutoff(now, self._keep), *needed]))


def _needed(hold: int, rolled_to: int, reaches_to: int, dirty: int | None) -> list[int]:
    """Readings from here on are still wanted by a roll-up to come."""
    wanted = [] if rolled_to >= reaches_to else [rolled_to - hold]
    return wanted if dirty is None else [*wanted, dirty - hold]


async def _delete(link: AsyncConnection, table: str, series: int, start: int, end: int, *, column: str = "at") -> None:
    statement = f"DELETE FROM {table} WHERE series = :series AND {column} >= :start AND {column} < :end"
    await link.execute(sa.text(statement), {"series": series, "start": start, "end": end})


def _row(series: int, bucket: Bucket) -> tuple[object, ...]:
    b = bucket
    return (series, b.at, b.n, b.minimum, b.maximum, b.value_ms, b.good_ms, b.first, b.last)


async def _roll_spans(link: AsyncConnection, work: Sequence[_Work]) -> None:
    """Compute 5-minute buckets; series with the same span are read together, which is nearly all of them when live."""
    groups: dict[tuple[int, int], list[SeriesState]] = {}
    for item in work:
        groups.setdefault((item.start, item.end), []).append(item.state)
    for (start, end), states in groups.items():
        reach = max(state.hold_ms for state in states)
        samples = await samples_of(link, [state.id for state in states], start - reach, end)
        rows = [
            _row(state.id, bucket)
            for state in states
            for bucket in fold(samples.get(state.id, []), start=start, end=end, width=FINE_MS, hold=state.hold_ms)
        ]
        await bulk.insert(link, "history_fine", _COLUMNS, rows, replace="series, at")


async def _advance(link: AsyncConnection, work: Sequence[_Work]) -> None:
    for item in work:
        start, end = floor(item.start, HOUR_MS), floor(item.end, HOUR_MS)
        if start < end:
            await _make_hours(link, item.state.id, start, end)
    await bulk.update_series(link, "rolled_to bigint", [(item.end, item.state.id) for item in work])


async def _mend_hours(link: AsyncConnection, work: Sequence[_Work]) -> None:
    for item in work:
        start = floor(item.start, HOUR_MS)
        end = min(floor(item.end + HOUR_MS - 1, HOUR_MS), floor(item.state.rolled_to, HOUR_MS))
        if start < end:
            await _delete(link, "history_hours", item.state.id, start, end)
            await _make_hours(link, item.state.id, start, end)


async def _make_hours(link: AsyncConnection, series: int, start: int, end: int) -> None:
    hours = merge(await stored_buckets(link, "history_fine", series, start, end), HOUR_MS)
    rows = [_row(series, bucket) for bucket in hours]
    await bulk.insert(link, "history_hours", _COLUMNS, rows, replace="series, at")

"""History in SQLite and PostgreSQL: reading. Stale roll-ups are computed from raw readings on the way out, so an answer
never depends on how far the roll-up job has come.
"""

import json
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from server.db.session import Database
from server.history import bulk
from server.history.rollup import FINE_MS, HOUR_MS, Bucket, Sample, floor, fold, merge
from server.history.sql import SeriesState, read_states
from server.history.store import RawReading

Span = tuple[int, int]
_COLUMNS = "at, n, low, high, value_ms, good_ms, first, last"


class SqlReader:
    """Answers from committed data; every call is one read transaction. See `store.History`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def raw(self, point: str, start: int, end: int, *, limit: int) -> list[RawReading]:
        """The readings taken in [start, end), oldest first, at most `limit`."""
        statement = (
            "SELECT r.taken_at, r.value, r.quality, r.reason, w.raw FROM history_readings r"
            " LEFT JOIN history_raws w ON w.series = r.series AND w.taken_at = r.taken_at"
            " WHERE r.series = :series AND r.taken_at >= :start AND r.taken_at < :end ORDER BY r.taken_at LIMIT :limit"
        )
        async with self._db.read() as session:
            link = await bulk.connection(session)
            state = (await read_states(link, [point])).get(point)
            if state is None:
                return []
            bound = {"series": state.id, "start": start, "end": end, "limit": limit}
            rows = (await link.execute(sa.text(statement), bound)).all()
        return [RawReading(*row) for row in rows]

    async def window(self, points: Sequence[str], start: int, end: int) -> dict[str, list[Sample]]:
        """The readings taken in [start, end) of each point that has some, oldest first."""
        if not points:
            return {}
        async with self._db.read() as session:
            link = await bulk.connection(session)
            states = await read_states(link, points)
            found = await samples_of(link, [state.id for state in states.values()], start, end)
        return {point: found[state.id] for point, state in states.items() if state.id in found}

    async def buckets(self, point: str, start: int, end: int, *, step_ms: int) -> list[Bucket]:
        """Buckets aligned to the step since the epoch, those that hold any of [start, end); gaps are left out."""
        start, end = floor(start, step_ms), floor(end + step_ms - 1, step_ms)
        async with self._db.read() as session:
            link = await bulk.connection(session)
            state = (await read_states(link, [point])).get(point)
            if state is None or start >= end:
                return []
            if step_ms % HOUR_MS == 0:
                return merge(await _hours(link, state, start, end), step_ms)
            if step_ms % FINE_MS == 0:
                return merge(await _fine(link, state, start, end), step_ms)
            return await _folded(link, state, start, end, step_ms)

    async def latest(self, points: Sequence[str]) -> dict[str, Sample]:
        """The newest reading of each point that has one."""
        async with self._db.read() as session:
            states = await read_states(await bulk.connection(session), points)
        return {point: state.latest for point, state in states.items() if state.latest.at > 0}


async def samples_of(link: AsyncConnection, series: Sequence[int], start: int, end: int) -> dict[int, list[Sample]]:
    """Readings in [start, end) of several series, each in order of time."""
    statement = (
        "SELECT series, taken_at, value, quality FROM history_readings WHERE "
        + bulk.among("series", link, "series")
        + " AND taken_at >= :start AND taken_at < :end ORDER BY series, taken_at"
    )
    listed = json.dumps(list(series)) if bulk.is_sqlite(link) else list(series)
    found: dict[int, list[Sample]] = {}
    for row in await link.execute(sa.text(statement), {"series": listed, "start": start, "end": end}):
        found.setdefault(row[0], []).append(Sample(row[1], row[2], row[3]))
    return found


async def _folded(link: AsyncConnection, state: SeriesState, start: int, end: int, width: int) -> list[Bucket]:
    samples = await samples_of(link, [state.id], start - state.hold_ms, end)
    return fold(samples.get(state.id, []), start=start, end=end, width=width, hold=state.hold_ms)


async def _dirty(link: AsyncConnection, state: SeriesState, start: int, end: int) -> list[int]:
    statement = "SELECT at FROM history_dirty WHERE series = :series AND at >= :start AND at < :end ORDER BY at"
    rows = await link.execute(sa.text(statement), {"series": state.id, "start": start, "end": end})
    return [row[0] for row in rows]


async def stored_buckets(link: AsyncConnection, table: str, series: int, start: int, end: int) -> list[Bucket]:
    statement = f"SELECT {_COLUMNS} FROM {table} WHERE series = :series AND at >= :start AND at < :end ORDER BY at"
    rows = await link.execute(sa.text(statement), {"series": series, "start": start, "end": end})
    return [Bucket(*row) for row in rows]


def spans_of(starts: Sequence[int], width: int) -> list[Span]:
    """Neighbouring buckets put together: sorted starts become half-open spans."""
    spans: list[Span] = []
    for at in starts:
        if spans and spans[-1][1] == at:
            spans[-1] = (spans[-1][0], at + width)
        else:
            spans.append((at, at + width))
    return spans


async def _fine(link: AsyncConnection, state: SeriesState, start: int, end: int) -> list[Bucket]:
    settled = max(start, min(end, state.rolled_to))
    stale = set(await _dirty(link, state, start, settled))
    buckets = [b for b in await stored_buckets(link, "history_fine", state.id, start, settled) if b.at not in stale]
    spans = spans_of(sorted(stale), FINE_MS) + ([(settled, end)] if settled < end else [])
    for begin, stop in spans:
        buckets += await _folded(link, state, begin, stop, FINE_MS)
    return sorted(buckets, key=lambda bucket: bucket.at)


async def _hours(link: AsyncConnection, state: SeriesState, start: int, end: int) -> list[Bucket]:
    settled = max(start, min(end, floor(state.rolled_to, HOUR_MS)))
    stale = {floor(at, HOUR_MS) for at in await _dirty(link, state, start, settled)}
    buckets = [b for b in await stored_buckets(link, "history_hours", state.id, start, settled) if b.at not in stale]
    spans = spans_of(sorted(stale), HOUR_MS) + ([(settled, end)] if settled < end else [])
    for begin, stop in spans:
        buckets += merge(await _fine(link, state, begin, stop), HOUR_MS)
    return sorted(buckets, key=lambda bucket: bucket.at)

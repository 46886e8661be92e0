"""History in SQLite and PostgreSQL: writing. Reading is in `reading.py`, rolling up in `rolling.py`.

Invariants, each with a test of its name:
- one block, one transaction: the ledger entry and the readings are there together or not at all;
- a reading is kept once: (series, taken_at) is the key, the first value stays;
- `rolled_to` and `history_dirty` together name every 5-minute bucket whose roll-up may be wrong, and are changed under
  the lock of the series' row in the transaction that makes it so;
- locks are taken in one order everywhere: ledger entries by key, new series by point, series rows by id.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from facility.wire import RejectedItem, RejectReason
from server.db.session import Database
from server.history import bulk
from server.history.partitions import Partitions, month_of
from server.history.rollup import DAY_MS, FINE_MS, Sample, floor, touched
from server.history.store import BlockName, Entered, PointSamples, ReadingsBlock, Stored

# Points remembered as having a series: some 10 MB; a hundred sites of 1,000 points.
_KNOWN = 100_000
READINGS = "series int, taken_at bigint, value float8, quality smallint, reason smallint"


@dataclass(slots=True)
class SeriesState:
    """A row of history_series."""

    id: int
    point: str
    hold_ms: int
    rolled_to: int
    reaches_to: int
    latest: Sample


_STATE = (
    "SELECT id, point, hold_ms, rolled_to, reaches_to, latest_at, latest_value, latest_quality, latest_reason"
    " FROM history_series WHERE "
)
_ENTER = sa.text(
    "INSERT INTO history_blocks (agent_id, stream, seq, digest, at, refused)"
    " VALUES (:agent, :stream, :seq, :digest, :at, :refused) ON CONFLICT DO NOTHING RETURNING 1"
)
_ENTERED = sa.text(
    "SELECT digest, refused FROM history_blocks WHERE agent_id = :agent AND stream = :stream AND seq = :seq"
)
# The statements over series are few, and asked for every batch.
_text = lru_cache(maxsize=16)(sa.text)


async def read_states(link: AsyncConnection, points: Sequence[str], *, lock: bool = False) -> dict[str, SeriesState]:
    """The series of these points, by point; locked in order of id until the transaction ends when `lock`."""
    statement = _STATE + bulk.among("point", link, "points") + " ORDER BY id"
    return await states_by(link, statement, {"points": list(points)}, lock=lock)


async def states_by(
    link: AsyncConnection, statement: str, parameters: dict[str, object], *, lock: bool, skip: bool = False
) -> dict[str, SeriesState]:
    """The series a statement over all columns finds. skip: leave out the rows somebody else holds locked."""
    sqlite = bulk.is_sqlite(link)
    bound = {
        name: json.dumps(value) if sqlite and isinstance(value, list) else value for name, value in parameters.items()
    }
    if lock and not sqlite:
        statement += " FOR UPDATE SKIP LOCKED" if skip else " FOR UPDATE"
    rows = (await link.execute(_text(statement), bound)).all()
    return {row[1]: SeriesState(row[0], row[1], row[2], row[3], row[4], Sample(*row[5:9])) for row in rows}


class KnownSeries:
    """Points whose series were committed, so that a batch of them need not ask first."""

    def __init__(self) -> None:
        self._points: set[str] = set()

    def all_of(self, points: Sequence[str]) -> bool:
        return self._points.issuperset(points)

    def note(self, points: Sequence[str]) -> None:
        if len(self._points) > _KNOWN:
            self._points.clear()
        self._points.update(points)


class SqlHistory:
    """Writes blocks of readings; see `store.History`."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.partitions = Partitions(db)
        self._known = KnownSeries()

    async def write(self, blocks: Sequence[ReadingsBlock], *, now_ms: int) -> list[Stored]:
        """Store blocks in one transaction; the answer is in their order. Raises when nothing was stored."""
        days = {at // DAY_MS for block in blocks for series in block.series for at in (min(series.at), max(series.at))}
        await self.partitions.ensure({month_of(day * DAY_MS) for day in days})
        async with self.db.write() as session:
            link = await bulk.connection(session)
            outcomes = await _enter(link, blocks, now_ms)
            fresh = [block for block, outcome in zip(blocks, outcomes, strict=True) if outcome is Stored.STORED]
            points = await _store(link, [series for block in fresh for series in block.series], self._known)
        self._known.note(points)
        return outcomes

    async def entered(self, names: Sequence[BlockName]) -> dict[BlockName, Entered]:
        found: dict[BlockName, Entered] = {}
        async with self.db.read() as session:
            link = await bulk.connection(session)
            for name in names:
                row = (await link.execute(_ENTERED, dict(zip(("agent", "stream", "seq"), name, strict=True)))).first()
                if row is not None:
                    found[name] = Entered(row[0], _refused_of(row[1]))
        return found


def _refused_text(block: ReadingsBlock) -> str | None:
    return json.dumps([[one.path, one.reason.value, one.detail] for one in block.refused]) if block.refused else None


def _refused_of(text: str | None) -> tuple[RejectedItem, ...]:
    told = json.loads(text) if text is not None else ()
    return tuple(RejectedItem(path, RejectReason(reason), detail) for path, reason, detail in told)


async def _enter(link: AsyncConnection, blocks: Sequence[ReadingsBlock], now_ms: int) -> list[Stored]:
    """Enter blocks into the ledger; two of one name in the same batch are told apart as two deliveries would be."""
    outcomes: dict[int, Stored] = {}
    order = sorted(range(len(blocks)), key=lambda i: (blocks[i].agent_id, blocks[i].stream, blocks[i].seq, i))
    for position in order:
        block = blocks[position]
        name = {"agent": block.agent_id, "stream": block.stream, "seq": block.seq}
        row = {**name, "digest": block.digest, "at": now_ms, "refused": _refused_text(block)}
        if (await link.execute(_ENTER, row)).scalar() is not None:
            outcomes[position] = Stored.STORED
        elif (await link.execute(_ENTERED, name)).scalar() == block.digest:
            outcomes[position] = Stored.DUPLICATE
        else:
            outcomes[position] = Stored.CONFLICT
    return [outcomes[position] for position in range(len(blocks))]


async def _store(link: AsyncConnection, batch: Sequence[PointSamples], known: "KnownSeries") -> list[str]:
    """Keep samples; returns the points whose series are there once this is committed."""
    if not batch:
        return []
    first: dict[str, tuple[int, int]] = {}
    for series in batch:
        begin = floor(min(series.at), FINE_MS)
        before = first.get(series.point)
        first[series.point] = (begin if before is None else min(begin, before[0]), series.hold_ms)
    points = sorted(first)
    states = await read_states(link, points, lock=True) if known.all_of(points) else {}
    if len(states) < len(points):  # new ones, or a database that was put back from a copy
        missing = sorted(set(points) - set(states or await read_states(link, points)))
        await bulk.insert(
            link,
            "history_series",
            "point varchar, hold_ms int, rolled_to bigint, reaches_to bigint, latest_at bigint,"
            " latest_quality smallint",
            [(point, first[point][1], first[point][0], first[point][0], 0, 0) for point in missing],
        )
        states = await read_states(link, points, lock=True)
    readings: list[tuple[int, int, float | None, int, int | None]] = []
    raws: list[tuple[int, int, str]] = []
    dirty: set[tuple[int, int]] = set()
    for series in batch:
        state = states[series.point]
        readings.extend(
            (state.id, at, series.value[i], series.quality[i], series.reasons.get(i)) for i, at in enumerate(series.at)
        )
        raws.extend((state.id, series.at[i], text) for i, text in series.raws.items())
        _advance(state, series, dirty)
    readings.sort(key=itemgetter(0, 1))
    await bulk.insert(link, "history_readings", READINGS, readings)
    await bulk.insert(link, "history_raws", "series int, taken_at bigint, raw text", sorted(raws))
    await bulk.insert(link, "history_dirty", "series int, at bigint", sorted(dirty))
    await bulk.update_series(
        link,
        "hold_ms int, reaches_to bigint, latest_at bigint, latest_value float8, latest_quality smallint, "
        "latest_reason smallint",
        [
            (
                state.hold_ms,
                state.reaches_to,
                state.latest.at,
                state.latest.value,
                state.latest.quality,
                state.latest.reason,
                state.id,
            )
            for state in states.values()
        ],
    )
    return points


def _advance(state: SeriesState, series: PointSamples, dirty: set[tuple[int, int]]) -> None:
    """Take the newest reading into the series' state, and mark rolled-up buckets that these readings change."""
    state.hold_ms = series.hold_ms
    newest = max(range(len(series.at)), key=series.at.__getitem__)
    at = series.at[newest]
    if at > state.latest.at:
        state.latest = Sample(at, series.value[newest], series.quality[newest], series.reasons.get(newest))
    state.reaches_to = max(state.reaches_to, floor(at + series.hold_ms - 1, FINE_MS) + FINE_MS)
    for taken in series.at:
        if taken < state.rolled_to:
            dirty.update((state.id, bucket) for bucket in touched(taken, series.hold_ms) if bucket < state.rolled_to)

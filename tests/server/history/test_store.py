"""The store on both databases: idempotent, exact over any state of the roll-ups, bounded by retention."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from facility.clock import from_ms
from server.history.partitions import bounds, month_of, name_of
from server.history.rolling import Keep, Roller, oldest_taken, raw_cutoff
from server.history.rollup import DAY_MS, FINE_MS, HOUR_MS, Bucket, Sample, fold
from server.history.store import PointSamples, ReadingsBlock, Stored
from tests.server.history.conftest import KEEP, START, STREAM, T0, Shelf

POINT = "00000000-0000-7000-8000-000000000001"
OTHER = "00000000-0000-7000-8000-000000000002"
HOLD = 15_000
STEPS = (60_000, FINE_MS, 15 * 60_000, HOUR_MS, 6 * HOUR_MS)


def walk(start: int, count: int, *, seed: int, pace: int = 10_000) -> list[Sample]:
    """A day-like curve with gaps and bad readings."""
    dice = random.Random(seed)
    at, found = start, []
    for _ in range(count):
        at += pace if dice.random() < 0.97 else dice.randrange(pace, 40 * pace)
        bad = dice.random() < 0.05
        found.append(Sample(at, None if bad else float(dice.randrange(180, 300)) / 8, 2 if bad else 0))
    return found


def close(a: list[Bucket], b: list[Bucket]) -> bool:
    """Equal but for the last bits of the integral, which depend on how it was summed."""
    return len(a) == len(b) and all(
        replace(x, value_ms=0.0) == replace(y, value_ms=0.0) and x.value_ms == pytest.approx(y.value_ms, rel=1e-12)
        for x, y in zip(a, b, strict=True)
    )


async def check(shelf: Shelf, samples: list[Sample], start: int, end: int) -> None:
    ordered = sorted(samples, key=lambda sample: sample.at)
    for step in STEPS:
        got = await shelf.store.buckets(POINT, start, end, step_ms=step)
        first, last = start - start % step, -(-end // step) * step
        assert close(got, fold(ordered, start=first, end=last, width=step, hold=HOLD)), f"step {step}"


async def test_reading_is_kept_once_and_the_first_value_stays(shelf: Shelf) -> None:
    assert await shelf.write(POINT, [Sample(T0, 1.0, 0), Sample(T0 + 1, 2.0, 0)]) is Stored.STORED
    assert await shelf.write(POINT, [Sample(T0, 9.0, 0), Sample(T0 + 2, 3.0, 0)]) is Stored.STORED
    rows = await shelf.store.raw(POINT, T0, T0 + 10, limit=10)
    assert [(row.at, row.value) for row in rows] == [(T0, 1.0), (T0 + 1, 2.0), (T0 + 2, 3.0)]


async def test_one_block_is_one_transaction(shelf: Shelf) -> None:
    """A block whose second series cannot be stored leaves neither readings nor a ledger entry."""
    good = PointSamples(POINT, HOLD, [T0], [1.0], [0])
    bad = PointSamples(OTHER, HOLD, [T0], ["no number"], [99_999_999])  # type: ignore[list-item]
    bad = replace(bad, raws={0: None})  # type: ignore[dict-item]
    block = ReadingsBlock("agent", STREAM, 1, "d" * 32, [good, bad])
    with pytest.raises(Exception, match=r"(?i)null|number|float"):
        await shelf.store.write([block], now_ms=T0)
    assert await shelf.store.raw(POINT, T0, T0 + 1, limit=1) == []
    assert await shelf.store.write([replace(block, series=[good])], now_ms=T0) == [Stored.STORED]
    assert len(await shelf.store.raw(POINT, T0, T0 + 1, limit=1)) == 1


async def test_ledger_tells_duplicate_from_conflict_even_within_a_batch(shelf: Shelf) -> None:
    block = ReadingsBlock("agent", STREAM, 1, "a" * 32, [PointSamples(POINT, HOLD, [T0], [1.0], [0])])
    outcomes = await shelf.store.write([block, block, replace(block, digest="b" * 32)], now_ms=T0)
    assert outcomes == [Stored.STORED, Stored.DUPLICATE, Stored.CONFLICT]
    assert await shelf.store.write([block], now_ms=T0) == [Stored.DUPLICATE]


@pytest.mark.parametrize("seed", range(3))
async def test_answers_are_exact_before_between_and_after_rolling_up(shelf: Shelf, seed: int) -> None:
    samples = walk(T0, 3000, seed=seed)
    span = (T0 + 7 * 60_000, samples[-1].at + HOUR_MS)
    first, rest = samples[:1500], samples[1500:]
    await shelf.write(POINT, first)
    await check(shelf, first, *span)
    await shelf.roll(from_ms(first[-1].at))
    await check(shelf, first, *span)
    await shelf.write(POINT, rest)
    await check(shelf, samples, *span)
    await shelf.roll(from_ms(samples[-1].at + DAY_MS))
    await check(shelf, samples, *span)


async def test_late_readings_recompute_the_roll_ups(shelf: Shelf) -> None:
    samples = walk(T0, 4000, seed=42)
    late = samples[300:900] + samples[2000:2003]
    live = [sample for sample in samples if sample not in late]
    await shelf.write(POINT, live)
    now = from_ms(samples[-1].at + DAY_MS)
    await shelf.roll(now)
    await shelf.write(POINT, late)
    await check(shelf, samples, T0, samples[-1].at)
    await shelf.roll(now)
    await check(shelf, samples, T0, samples[-1].at)
    async with shelf.db.read() as session:
        assert await session.scalar(sa.text("SELECT count(*) FROM history_dirty")) == 0
        # The stored tiers themselves are right, not only what is computed on the way out.
        rows = (await session.execute(sa.text("SELECT at, n, low, high FROM history_hours ORDER BY at"))).all()
    ends = samples[-1].at - samples[-1].at % HOUR_MS
    expected = fold(sorted(samples, key=lambda s: s.at), start=T0, end=ends, width=HOUR_MS, hold=HOLD)
    stored = [tuple(row) for row in rows if row[0] < ends]
    assert stored == [(b.at, b.n, b.minimum, b.maximum) for b in expected]


async def test_bad_reading_arriving_late_can_empty_a_bucket(shelf: Shelf) -> None:
    """A value held into the next bucket; a late bad reading says it did not: that bucket is a gap again."""
    await shelf.write(POINT, [Sample(T0 + FINE_MS - 1000, 5.0, 0)])
    await shelf.roll(START + timedelta(days=1))
    assert len(await shelf.store.buckets(POINT, T0, T0 + HOUR_MS, step_ms=FINE_MS)) == 2
    await shelf.write(POINT, [Sample(T0 + FINE_MS - 500, None, 2)])
    await shelf.roll(START + timedelta(days=1))
    (bucket,) = await shelf.store.buckets(POINT, T0, T0 + HOUR_MS, step_ms=FINE_MS)
    assert (bucket.at, bucket.good_ms) == (T0, 500)


async def test_latest_is_the_newest_taken_and_not_the_newest_arrived(shelf: Shelf) -> None:
    await shelf.write(POINT, [Sample(T0 + 50, 2.0, 0), Sample(T0 + 60, None, 2)])
    await shelf.write(POINT, [Sample(T0, 1.0, 0)])
    assert await shelf.store.latest([POINT, OTHER]) == {POINT: Sample(T0 + 60, None, 2)}


async def test_retention_lets_each_tier_go_at_its_own_time(shelf: Shelf) -> None:
    keep = Keep(raw=timedelta(days=2), fine=timedelta(days=40), hours=timedelta(days=100))
    roller = Roller(shelf.db, keep)
    old = [Sample(T0 + i * 60_000, 1.0, 0) for i in range(120)]
    await shelf.write(POINT, old)
    await shelf.roll(START + timedelta(days=1))

    async def left() -> tuple[int, int, int]:
        async with shelf.db.read() as session:
            tables = ("history_readings", "history_fine", "history_hours")
            found = [await session.scalar(sa.text(f"SELECT count(*) FROM {table}")) for table in tables]
        return found[0] or 0, found[1] or 0, found[2] or 0

    async def after(days: int) -> tuple[int, int, int]:
        # PostgreSQL lets raw readings go by whole months.
        await roller.expire(START + timedelta(days=days))
        await roller.housekeep(START + timedelta(days=days))
        return await left()

    full = await left()
    assert full[0] == 120
    assert full[1] >= 24
    assert full[2] >= 2
    assert await after(1) == full
    assert await after(30) == (0, full[1], full[2])
    assert await after(60) == (0, 0, full[2])
    assert await after(120) == (0, 0, 0)


async def test_raw_readings_stay_while_a_roll_up_still_wants_them(shelf: Shelf) -> None:
    roller = Roller(shelf.db, Keep(raw=timedelta(days=2), fine=timedelta(days=900), hours=timedelta(days=900)))
    await shelf.write(POINT, [Sample(T0, 1.0, 0)])
    now = START + timedelta(days=60)
    await roller.expire(now)
    await roller.housekeep(now)
    assert len(await shelf.store.raw(POINT, T0, T0 + 1, limit=1)) == 1
    await shelf.roll(now)
    await roller.expire(now)
    await roller.housekeep(now)
    assert await shelf.store.raw(POINT, T0, T0 + 1, limit=1) == []
    assert len(await shelf.store.buckets(POINT, T0, T0 + FINE_MS, step_ms=FINE_MS)) == 1


def test_nothing_is_taken_that_would_be_let_go_before_it_is_rolled_up() -> None:
    assert oldest_taken(START, KEEP) - raw_cutoff(START, KEEP) == DAY_MS


async def test_partitions_are_made_on_demand_and_ahead(shelf: Shelf) -> None:
    await shelf.write(POINT, [Sample(T0, 1.0, 0), Sample(T0 - 40 * DAY_MS, 2.0, 0)])
    await shelf.roller.housekeep(START)
    assert len(await shelf.store.raw(POINT, 0, T0 + 1, limit=5)) == 2
    if shelf.db.dialect == "sqlite":
        return
    async with shelf.db.read() as session:
        query = sa.text(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'history_readings'::regclass ORDER BY 1"
        )
        names = (await session.scalars(query)).all()
    assert names == ["history_readings_2026_01", "history_readings_2026_03", "history_readings_2026_04"]


def test_month_bounds_meet_over_new_year() -> None:
    december, january = (2026, 12), (2027, 1)
    assert bounds(december)[1] == bounds(january)[0]
    assert month_of(bounds(january)[0]) == january
    assert month_of(bounds(january)[0] - 1) == december
    assert name_of(january) == "history_readings_2027_01"


async def test_a_series_that_a_restored_database_has_lost_is_made_anew(shelf: Shelf) -> None:
    assert await shelf.write(POINT, [Sample(T0, 1.0, 0)]) is Stored.STORED
    async with shelf.store.db.write() as session:
        for table in ("history_readings", "history_series"):
            await session.execute(sa.text(f"DELETE FROM {table}"))
    assert await shelf.write(POINT, [Sample(T0 + 1, 2.0, 0)]) is Stored.STORED
    rows = await shelf.store.raw(POINT, T0, T0 + 10, limit=10)
    assert [(row.at, row.value) for row in rows] == [(T0 + 1, 2.0)]

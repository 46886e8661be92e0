"""Buckets of readings: how they are made, merged and cut. Pure; times are integer milliseconds UTC, half-open.

A good value holds until the next reading of any quality, at most `hold` ms: then there is a gap, not a guess. `n`
counts the good readings taken in a bucket. Minimum, maximum, first, last and the integral `value_ms` over `good_ms` are
of the values in force in it, so a value taken before and still holding counts, and minimum <= average <= maximum. Sums
add up when buckets are merged: an hour made of twelve 5-minute buckets is the hour.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

MINUTE_MS = 60_000
FINE_MS = 5 * MINUTE_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

# What a step may be when history chooses it: divisors of a day, so that days line up.
STEPS_MS = tuple(seconds * 1000 for seconds in (10, 30, 60, 300, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400))
# A catalog that says no interval: the widest pace agents poll by default is a minute.
DEFAULT_INTERVAL_MS = MINUTE_MS
# A value never holds longer, so one late reading makes at most 13 buckets stale.
LONGEST_HOLD_MS = HOUR_MS


@dataclass(frozen=True, slots=True)
class Sample:
    """A stored reading. value: number or state code, None when there was none; quality 0 is good."""

    at: int
    value: float | None
    quality: int
    reason: int | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is known of [at, at + width); good_ms is at least 1, an empty bucket is not made."""

    at: int
    n: int
    minimum: float
    maximum: float
    value_ms: float
    good_ms: int
    first: float
    last: float

    @property
    def average(self) -> float:
        """Weighted by time; kept within minimum and maximum, which rounding of the sum can leave by a last bit."""
        return min(self.maximum, max(self.minimum, self.value_ms / self.good_ms))


def hold_ms(interval_s: float, heartbeat_s: float | None) -> int:
    """How long a value of a point may stand for the time after it: 1.5 of its pace (DESIGN: report by exception)."""
    pace_ms = round((heartbeat_s or interval_s) * 1000) or DEFAULT_INTERVAL_MS
    return min(LONGEST_HOLD_MS, pace_ms * 3 // 2)


def floor(at: int, width: int) -> int:
    return at - at % width


def touched(at: int, hold: int) -> range:
    """The 5-minute buckets a reading at `at` can change: those its value, or the end of the one before, reaches."""
    return range(floor(at, FINE_MS), at + hold, FINE_MS)


def fold(samples: Sequence[Sample], *, start: int, end: int, width: int, hold: int) -> list[Bucket]:
    """Buckets of `width` over [start, end) from samples in order of time; empty ones are left out.

    The samples must reach back to the last one taken before `start`, where that one may still hold.
    """
    made: dict[int, _Open] = {}
    for position, sample in enumerate(samples):
        if sample.quality != 0 or sample.value is None:
            continue
        until = min(sample.at + hold, end)
        if position + 1 < len(samples):
            until = min(until, samples[position + 1].at)
        begin = max(sample.at, start)
        while begin < until:
            at = floor(begin, width)
            stop = min(until, at + width)
            if at not in made:
                made[at] = _Open(sample.value)
            made[at].hold(sample.value, stop - begin, taken=begin == sample.at)
            begin = stop
    return [made[at].close(at) for at in sorted(made)]


class _Open:
    """A bucket being filled."""

    __slots__ = ("first", "good_ms", "last", "maximum", "minimum", "n", "value_ms")

    def __init__(self, value: float) -> None:
        self.n = 0
        self.minimum = self.maximum = self.first = self.last = value
        self.value_ms = 0.0
        self.good_ms = 0

    def hold(self, value: float, duration: int, *, taken: bool) -> None:
        self.n += taken
        self.minimum = min(self.minimum, value)
        self.maximum = max(self.maximum, value)
        self.last = value
        self.value_ms += value * duration
        self.good_ms += duration

    def close(self, at: int) -> Bucket:
        return Bucket(at, self.n, self.minimum, self.maximum, self.value_ms, self.good_ms, self.first, self.last)


def merge(buckets: Iterable[Bucket], width: int) -> list[Bucket]:
    """Buckets in order of time, put together into wider ones of `width`."""
    made: dict[int, Bucket] = {}
    for bucket in buckets:
        at = floor(bucket.at, width)
        held = made.get(at)
        made[at] = replace(bucket, at=at) if held is None else _add(held, bucket)
    return [made[at] for at in sorted(made)]


def _add(a: Bucket, b: Bucket) -> Bucket:
    return Bucket(
        a.at,
        a.n + b.n,
        min(a.minimum, b.minimum),
        max(a.maximum, b.maximum),
        a.value_ms + b.value_ms,
        a.good_ms + b.good_ms,
        a.first,
        b.last,
    )


def choose_step(span_ms: int, max_points: int) -> int:
    """The finest step of the ladder that makes at most `max_points` of `span_ms`; whole days beyond it."""
    for step in STEPS_MS:
        if span_ms <= step * max_points:
            return step
    return -(-span_ms // (max_points * DAY_MS)) * DAY_MS

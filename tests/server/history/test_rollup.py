"""Buckets against a model that looks at every millisecond."""

from hypothesis import given
from hypothesis import strategies as st

from server.history.rollup import Bucket, Sample, choose_step, fold, hold_ms, merge

WIDTH, END = 20, 100

samples = st.lists(
    st.tuples(st.integers(-30, END - 1), st.integers(-5, 5), st.sampled_from([0, 0, 0, 2])),
    unique_by=lambda row: row[0],
    max_size=25,
).map(lambda rows: [Sample(at, float(v) if q == 0 else None, q) for at, v, q in sorted(rows)])


def force_at(taken: list[Sample], hold: int, moment: int) -> float | None:
    """The value in force in one millisecond: the newest reading decides, while it holds."""
    newest = max((one for one in taken if one.at <= moment), key=lambda one: one.at, default=None)
    if newest is None or newest.quality != 0 or moment >= newest.at + hold:
        return None
    return newest.value


def brute(taken: list[Sample], hold: int, width: int) -> list[Bucket]:
    found = []
    for at in range(0, END, width):
        values = [value for t in range(at, at + width) if (value := force_at(taken, hold, t)) is not None]
        n = sum(1 for one in taken if at <= one.at < at + width and one.quality == 0)
        if values:
            found.append(Bucket(at, n, min(values), max(values), sum(values), len(values), values[0], values[-1]))
    return found


@given(samples, st.integers(1, 45))
def test_buckets_are_what_every_millisecond_says(taken: list[Sample], hold: int) -> None:
    assert fold(taken, start=0, end=END, width=WIDTH, hold=hold) == brute(taken, hold, WIDTH)


@given(samples, st.integers(1, 45))
def test_merged_buckets_are_the_wider_bucket(taken: list[Sample], hold: int) -> None:
    fine = fold(taken, start=0, end=END, width=10, hold=hold)
    assert merge(fine, 50) == fold(taken, start=0, end=END, width=50, hold=hold)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_average_lies_between_minimum_and_maximum(values: list[float]) -> None:
    taken = [Sample(position * 7, value, 0) for position, value in enumerate(values)]
    for bucket in fold(taken, start=0, end=200, width=50, hold=10):
        assert bucket.minimum <= bucket.average <= bucket.maximum


def test_average_weighs_by_time_and_not_by_count() -> None:
    taken = [Sample(0, 10.0, 0), Sample(90, 20.0, 0), Sample(95, 20.0, 0)]
    (bucket,) = fold(taken, start=0, end=100, width=100, hold=1000)
    assert bucket.average == 11.0
    assert bucket.n == 3


def test_gap_stays_a_gap_and_bad_readings_end_a_value() -> None:
    taken = [Sample(0, 1.0, 0), Sample(40, None, 2), Sample(41, 99.0, 1), Sample(80, 3.0, 0)]
    buckets = fold(taken, start=0, end=100, width=20, hold=1000)
    assert [(b.at, b.n, b.minimum, b.maximum) for b in buckets] == [
        (0, 1, 1.0, 1.0),
        (20, 0, 1.0, 1.0),
        (80, 1, 3.0, 3.0),
    ]


def test_value_holds_half_again_its_pace_and_an_hour_at_most() -> None:
    assert hold_ms(10.0, None) == 15_000
    assert hold_ms(10.0, 900.0) == 1_350_000
    assert hold_ms(0.0, None) == 90_000
    assert hold_ms(7200.0, None) == 3_600_000


@given(st.integers(1, 10 * 366 * 86_400_000), st.integers(1, 2000))
def test_chosen_step_never_makes_more_points_than_asked(span: int, points: int) -> None:
    assert -(-span // choose_step(span, points)) <= points

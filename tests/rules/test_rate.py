"""Rate of change over a sliding window."""

from rules.rate import RateJudge
from rules.window import MAX_SAMPLES
from tests.rules.support import engine, good, rule, story

FAST = rule(rate={"per": "1h", "window": "15m", "rise": 20, "fall": 20, "severity": "major"}, deadband=4)


def test_a_fast_rise_raises_and_standing_still_ends_it() -> None:
    assert story(FAST, "20x16 20..26x11 26x16", step="1m") == [
        "25m raised rate major rate_exceeded", "35m ended rate major recovered",
    ]  # fmt: skip


def test_a_slow_rise_does_not() -> None:
    assert story(FAST, "20..30x60", step="1m") == []


def test_a_fall_is_as_bad_and_is_another_problem_than_a_rise() -> None:
    assert [line.split()[1] for line in story(FAST, "20 27 20 13", step="1m")] == ["raised", "ended", "raised"]
    assert story(FAST, "27x16 20x4", step="1m") == ["16m raised rate major rate_exceeded"]


def test_noise_at_the_start_is_no_slope() -> None:
    assert story(FAST, "20 20.4 20 20.4 20.2", step="10s") == []


def test_a_jump_is_seen_at_once_even_in_a_young_window() -> None:
    assert story(FAST, "20x3 26", step="10s") == ["30s raised rate major rate_exceeded"]


def test_the_event_tells_the_slope_in_its_own_unit() -> None:
    (event,) = engine(FAST).samples([good(0, 20), good(60, 26)])
    assert (event.value, event.limit) == (24.0, 20.0)


def test_after_a_gap_a_young_window_cannot_clear() -> None:
    assert story(FAST, "20x2 26x2 _x30 26x4", step="1m") == ["2m raised rate major rate_exceeded"]
    assert story(FAST, "20x2 26x2 _x30 26x20", step="1m")[-1] == "42m ended rate major recovered"


def test_the_window_is_bounded_in_samples_and_time() -> None:
    judged = engine(FAST)
    for second in range(7200):
        judged.sample(good(second, 20 + second % 3))
    (judge,) = judged._roster.judges()
    assert isinstance(judge, RateJudge)
    assert len(judge.window.times) <= MAX_SAMPLES + 1
    assert judge.window.times[0] >= 7_199_000 - 15 * 60_000


def test_a_single_jump_in_a_young_window_is_not_counted_on() -> None:
    jump = rule(rate={"per": "15m", "rise": 5, "severity": "major"}, for_="1m")
    assert story(jump, "22x40 _x60 22 33 22x6", step="30s") == []
    assert story(jump, "22x40 _x60 22 33x6", step="30s") == ["51m30s raised rate major rate_exceeded"]

"""No data: it never clears, never lets a count run out beyond the gap, and becomes an alarm of its own."""

import pytest

from facility.reading import Quality
from rules.engine import MAX_EXTRA_POINTS
from rules.testing import Device
from tests.rules.support import COMMUNICATION, TEMPERATURE, bad, brief, engine, facts, good, high, rule, story

HELD = high(for_="90s", clear_for="60s", gap="40s")


@pytest.mark.parametrize("silence", ["_x360", "!x360", "_x100 !x260"])
def test_no_data_never_clears(silence: str) -> None:
    assert story(high(deadband=1), f"28 {silence}", until="2h") == ["0s raised hi minor limit_exceeded"]


@pytest.mark.parametrize("quality", [Quality.UNCERTAIN, Quality.BAD, Quality.STALE])
def test_only_good_readings_judge(quality: Quality) -> None:
    judged = engine(high())
    assert judged.sample(bad(1, quality=quality, value=40.0)) == []
    assert judged.sample(good(2, 40.0)) != []
    assert judged.sample(bad(3, quality=quality, value=20.0)) == []
    assert judged.advance(10_000_000) == []
    assert len(judged.active()) == 1


def test_a_count_does_not_run_out_in_a_data_gap() -> None:
    ninety = high(for_="90m")
    assert story(ninety, "28x2 _x600 28", until="3h") == []
    assert story(ninety, "28x541") == ["1h30m raised hi minor limit_exceeded"]


def test_a_gap_longer_than_the_policy_starts_the_count_anew() -> None:
    assert story(HELD, "28x4 _x4 28x10") == ["2m50s raised hi minor limit_exceeded"]


def test_a_gap_within_the_policy_does_not() -> None:
    assert story(HELD, "28x4 _x3 28x7") == ["1m30s raised hi minor limit_exceeded"]


def test_failed_polls_end_the_hold_at_once_but_the_next_good_sample_goes_on_counting() -> None:
    assert story(HELD, "28x4 !x3 28 !x3 28") == ["1m50s raised hi minor limit_exceeded"]


def test_clearing_waits_for_good_samples_too() -> None:
    assert story(HELD, "28x10 20 _x30", until="1h") == ["1m30s raised hi minor limit_exceeded"]
    assert story(HELD, "28x10 20 !x30 20x7")[-1] == "7m50s ended hi minor recovered"


def test_a_slow_poll_stretches_the_gap_to_three_intervals() -> None:
    assert story(high(for_="20m"), "28x5", step="10m") == ["20m raised hi minor limit_exceeded"]


def test_a_late_sample_never_judges() -> None:
    judged = engine(high())
    judged.sample(good(100, 22))
    assert judged.sample(good(99, 40)) == []
    assert judged.sample(good(100, 40)) == []
    assert judged.ignored == {"late": 2}
    judged.sample(bad(110))
    assert judged.sample(good(105, 40)) == []


@pytest.mark.parametrize(("value", "reason"), [("warm", "wrong_type"), (float("nan"), "not_finite")])
def test_what_is_no_number_is_counted_and_not_judged(value: float | str, reason: str) -> None:
    judged = engine(high())
    judged.sample(good(1, 30))
    assert judged.sample(good(2, value)) == []
    assert judged.ignored == {reason: 1}
    assert len(judged.active()) == 1


def test_a_reading_of_an_unknown_device_is_counted() -> None:
    judged = engine(high())
    assert judged.sample(good(1, 40, device="ghost")) == []
    assert judged.ignored == {"unknown_device": 1}


def test_readings_nobody_can_judge_are_counted_and_bounded() -> None:
    judged = engine(high())
    assert judged.sample(good(1, 40, "room.temprature")) == []
    for number in range(MAX_EXTRA_POINTS + 5):
        judged.sample(good(1, 22, subject=f"probe/{number}"))
    assert judged.ignored == {"unknown_metric": 1, "too_many_points": 5}
    assert len(judged.sample(good(2, 40))) == 1


ABSENT = rule(absent={"after": "5m", "severity": "major"})


def test_an_expected_point_that_never_comes_is_absent_after_the_grace() -> None:
    assert story(ABSENT, {}, device=Device(points=(TEMPERATURE,)), until="4m59s") == []
    assert story(ABSENT, {}, device=Device(points=(TEMPERATURE,)), until="6m") == ["5m raised absent major data_absent"]


def test_the_grace_counts_from_the_start_of_the_engine() -> None:
    judged = engine(ABSENT, started=1000)
    assert judged.advance(1_299_000) == []
    assert [event.at for event in judged.advance(1_301_000)] == [1_300_000]


def test_absence_counts_from_the_last_good_sample_and_ends_with_the_next() -> None:
    assert story(ABSENT, "22x3 !x60 22") == [
        "5m20s raised absent major data_absent", "10m30s ended absent major recovered",
    ]  # fmt: skip


def test_absence_of_a_point_nobody_expects_is_no_alarm() -> None:
    judged = engine(ABSENT, facts(COMMUNICATION))
    judged.sample(good(1, 22))
    assert judged.advance(3_600_000) == []


def test_while_the_device_is_lost_its_points_are_not_reported_one_by_one() -> None:
    series = {TEMPERATURE: "22 !x60 !x40", COMMUNICATION: "ok lostx60 okx40"}
    assert story(ABSENT, series) == ["15m10s raised absent major data_absent"]


def test_a_lost_part_is_not_a_lost_device() -> None:
    """At each poll the agent says that the card answers, and the card that its UPS does not."""
    judged = engine(ABSENT, facts(TEMPERATURE, COMMUNICATION))
    said = judged.sample(good(0, 22))
    for at in range(10, 400, 10):
        said += judged.sample(good(at, "ok", COMMUNICATION))
        said += judged.sample(good(at, "lost", COMMUNICATION, subject="ups"))
        said += judged.advance(at * 1000)
    assert [brief(event) for event in said] == ["5m raised absent major data_absent"]


def test_an_absence_already_reported_stays_when_the_device_is_lost() -> None:
    series = {TEMPERATURE: "22 !x60", COMMUNICATION: "okx40 lostx21"}
    assert story(ABSENT, series, until="2h") == ["5m raised absent major data_absent"]


def test_a_device_is_lost_after_its_absences_of_before() -> None:
    judged = engine(ABSENT, facts(TEMPERATURE, COMMUNICATION))
    judged.sample(good(0, "ok", COMMUNICATION))
    assert [brief(event) for event in judged.sample(good(400, "lost", COMMUNICATION))] == [
        "5m raised absent major data_absent"
    ]


@pytest.mark.parametrize(
    ("step", "series", "events"),
    [
        ("15m", "22x8", []),
        ("15m", "22x2 _x4", ["1h raised absent minor data_absent"]),
        ("1m", "22x2 _x20", ["11m raised absent minor data_absent"]),
    ],
    ids=["a slow point that comes", "a slow point that stays away", "a fast one has what the rule says"],
)
def test_a_point_is_absent_after_three_polls_at_the_earliest(step: str, series: str, events: list[str]) -> None:
    assert story(rule(absent={"after": "10m", "severity": "minor"}), series, step=step) == events

"""hi, hihi, lo, lolo: limits, hysteresis, delays, escalation, sides."""

import pytest

from facility.alarms import AlarmEventKind
from rules.testing import Device
from tests.rules.support import born_at, brief, engine, good, high, rule, story

FOUR = {
    "lolo": {"limit": 10, "severity": "major"},
    "lo": {"limit": 18, "severity": "minor"},
    "hi": {"limit": 27, "severity": "minor"},
    "hihi": {"limit": 32, "severity": "critical"},
}


@pytest.mark.parametrize(
    ("series", "events"),
    [
        pytest.param("27x3 18x3", [], id="a value at its limit is not beyond it"),
        pytest.param("27.01", ["0s raised hi minor limit_exceeded"], id="just beyond raises"),
        pytest.param(
            "28 26.5x2 26", ["0s raised hi minor limit_exceeded", "30s ended hi minor recovered"],
            id="inside the dead band it stands, at the clear value it ends",
        ),
        pytest.param(
            "28 33 28 25",
            [
                "0s raised hi minor limit_exceeded", "10s updated hihi critical escalated",
                "20s updated hi minor deescalated", "30s ended hi minor recovered",
            ],
            id="up and down within a side is one occurrence",
        ),
        pytest.param(
            "33 31.5 31", ["0s raised hihi critical limit_exceeded", "20s updated hi minor deescalated"],
            id="a jump raises at the strong level, which has a dead band of its own",
        ),
        pytest.param(
            "33 9",
            [
                "0s raised hihi critical limit_exceeded", "10s ended hihi critical recovered",
                "10s raised lolo major limit_exceeded",
            ],
            id="from high to low is another problem",
        ),
        pytest.param(
            "17 19", ["0s raised lo minor limit_exceeded", "10s ended lo minor recovered"], id="low clears upwards"
        ),
    ],
)  # fmt: skip
def test_levels_without_delay(series: str, events: list[str]) -> None:
    assert story(rule(levels=FOUR, deadband=1), series) == events


@pytest.mark.parametrize(
    ("series", "events"),
    [
        pytest.param("22 28x6", [], id="not before its time"),
        pytest.param("22 28x7", ["1m10s raised hi minor limit_exceeded"], id="at its time, by the sample"),
        pytest.param("28x5 26 28x7", ["2m raised hi minor limit_exceeded"], id="coming back starts the count anew"),
        pytest.param(
            "28x8 25x2 28 25x4",
            ["1m raised hi minor limit_exceeded", "2m20s ended hi minor recovered"],
            id="clear_for starts anew when it is broken again",
        ),
        pytest.param(
            "28x8 25x2 26.5 25x4",
            ["1m raised hi minor limit_exceeded", "2m20s ended hi minor recovered"],
            id="the dead band is not clear either",
        ),
    ],
)
def test_delays(series: str, events: list[str]) -> None:
    assert story(high(for_="60s", clear_for="30s", deadband=1), series) == events


def test_the_value_may_wander_beyond_the_limit_while_it_counts() -> None:
    assert story(high(for_="30s"), "28 31 27.5 29") == ["30s raised hi minor limit_exceeded"]


def test_each_level_has_its_own_delay_and_a_strong_one_may_come_first() -> None:
    levels = {
        "hi": {"limit": 27, "severity": "minor", "for": "2m"},
        "hihi": {"limit": 32, "severity": "critical", "for": "30s"},
    }
    assert story(rule(levels=levels, deadband=1), "35x20 30x3 20") == [
        "30s raised hihi critical limit_exceeded",
        "3m20s updated hi minor deescalated",
        "3m50s ended hi minor recovered",
    ]


def test_a_third_level_goes_on_from_the_second() -> None:
    levels = {
        "hi": {"limit": 80, "severity": "minor"},
        "hihi": {"limit": 100, "severity": "major"},
        "hihihi": {"limit": 110, "severity": "critical"},
    }
    loads = rule(metric="ups.output.load", levels=levels)
    assert [line.split()[1:3] for line in story(loads, "85 105 115 70", device=Device(kind="ups"))] == [
        ["raised", "hi"], ["updated", "hihi"], ["updated", "hihihi"], ["ended", "hihihi"],
    ]  # fmt: skip


def test_an_explicit_clear_value_wins_over_the_dead_band() -> None:
    wide = rule(levels={"hi": {"limit": 27, "clear": 22, "severity": "minor"}}, deadband=1)
    assert story(wide, "28 25 22.1 22")[-1] == "30s ended hi minor recovered"


def test_events_of_an_occurrence_carry_its_facts() -> None:
    judged = engine(rule(levels=FOUR, deadband=1))
    (raised,) = judged.sample(good(1, 28.5))
    (updated,) = judged.sample(good(2, 33))
    (ended,) = judged.sample(good(3, 20))
    assert (raised.occurrence, raised.revision, raised.kind) == (born_at(1000), 1, AlarmEventKind.RAISED)
    assert (updated.occurrence, updated.revision, updated.limit, updated.value) == (born_at(1000), 2, 32, 33)
    assert (ended.occurrence, ended.revision, ended.limit, ended.value) == (born_at(1000), 3, 32, 20)
    assert raised.origin == "agent-1"
    assert str(raised.key) == "agent-1/d1/r"
    assert raised.metric == "room.temperature"
    assert raised.rule_revision == rule(levels=FOUR, deadband=1).revision


def test_several_rules_watch_one_point_apart() -> None:
    warm, hot = high(27, id="warm"), high(30, id="hot")
    judged = engine([warm, hot])
    assert [event.rule for event in judged.samples([good(1, 28), good(2, 31)])] == ["warm", "hot"]
    assert [(held.rule, held.revision) for held in judged.active()] == [("hot", 1), ("warm", 1)]


def test_each_subject_is_an_alarm_of_its_own_and_may_be_selected_by_pattern() -> None:
    phases = rule(
        metric="ups.output.load", levels={"hi": {"limit": 80, "severity": "minor"}}, select={"subject": "phase/*"}
    )
    judged = engine(phases)
    events = judged.samples(good(1, 90, "ups.output.load", subject=subject) for subject in ("", "phase/L1", "phase/L2"))
    assert [event.subject for event in events] == ["phase/L1", "phase/L2"]
    assert [brief(event) for event in judged.sample(good(2, 50, "ups.output.load", subject="phase/L1"))] == [
        "2s ended hi minor recovered"
    ]
    assert [held.subject for held in judged.active()] == ["phase/L2"]

"""A value that swings around its limit is one alarm that stands, not a thousand that come and go."""

from typing import Any

import pytest

from facility.alarms import AlarmEvent
from facility.reading import Reading
from rules.engine import Engine
from tests.rules.support import TEMPERATURE, brief, engine, facts, good, high, rule, story

LEAK = "leak.state"
SWINGING: dict[str, Any] = {"deadband": 1, "flap": {"changes": 3, "within": "10m", "hold": "5m"}}


def test_the_raise_that_makes_it_flapping_stands_until_it_was_calm_for_the_hold() -> None:
    assert story(high(**SWINGING), "28 25 28 25 28 25 28 25x40", step="10s") == [
        "0s raised hi minor limit_exceeded",
        "10s ended hi minor recovered",
        "20s raised hi minor limit_exceeded",
        "30s ended hi minor recovered",
        "40s raised hi minor flapping",
        "6m10s ended hi minor recovered",
    ]


def test_a_state_flaps_like_a_number() -> None:
    door = rule(metric="door.state", state={"open": "minor"}, flap={"changes": 2, "within": "5m", "hold": "2m"})
    assert story(door, "open closed open closedx20", step="10s") == [
        "0s raised state minor state_matched",
        "10s ended state minor recovered",
        "20s raised state minor flapping",
        "2m30s ended state minor recovered",
    ]


def test_changes_far_apart_do_not_flap() -> None:
    series = "28 25x10 28 25x10 28 25x10"
    events = story(high(deadband=1, flap={"changes": 3, "within": "1m", "hold": "1h"}), series, step="10s")
    assert len(events) == 6
    assert not any("flapping" in event for event in events)


def test_flapping_can_be_switched_off() -> None:
    assert len(story(high(deadband=1, flap="off"), "28 25 " * 50, step="10s")) == 100


def test_a_restart_goes_on_flapping() -> None:
    def played(restarted: bool) -> list[str]:
        judged = engine(high(**SWINGING), facts(TEMPERATURE))
        events: list[AlarmEvent] = []
        for second in range(0, 400, 10):
            if restarted:
                judged = again(judged)
            events += judged.advance(second * 1000)
            events += judged.sample(good(second, 28.0 if second in (0, 20, 40, 60) else 25.0))
        return [brief(event) for event in events]

    def again(old: Engine) -> Engine:
        fresh = engine(high(**SWINGING), facts(TEMPERATURE))
        fresh.restore(old.snapshot(), now_ms=old.now_ms)
        return fresh

    assert played(restarted=True) == played(restarted=False)
    assert played(restarted=True)[-2:] == ["40s raised hi minor flapping", "6m10s ended hi minor recovered"]


def counted(judged: Engine, *samples: Reading) -> list[tuple[str, int]]:
    """The reasons of what happened, with how often it had been gone and back."""
    return [(event.reason, event.swings or 0) for sample in samples for event in judged.sample(sample)]


@pytest.mark.parametrize("restarted", [False, True])
def test_what_goes_and_comes_back_while_it_stands_is_counted(restarted: bool) -> None:
    judged = engine(high(**SWINGING), facts(TEMPERATURE))
    values = [28, 25, 28, 25, 28, 26.5, 28, 25, 28, 25, 25, 28]  # 26.5 is within the dead band: it never went
    told = counted(judged, *(good(10 * i, float(value)) for i, value in enumerate(values)))
    assert told[-1] == ("flapping", 0)
    if restarted:
        snapshot, now = judged.snapshot(), judged.now_ms
        judged = engine(high(**SWINGING), facts(TEMPERATURE))
        judged.restore(snapshot, now_ms=now)
    assert counted(judged, *(good(at, 25.0) for at in range(120, 600, 10))) == [("recovered", 2)]


def test_swings_between_levels_and_words_are_counted() -> None:
    levels = {"hi": {"limit": 27, "severity": "minor"}, "hihi": {"limit": 30, "severity": "major"}}
    judged = engine(rule(levels=levels, flap={"changes": 2, "within": "10m", "hold": "5m"}), facts(TEMPERATURE))
    counted(judged, *(good(10 * i, value) for i, value in enumerate((28.0, 31.0, 28.0, 31.0, 28.0, 31.0, 28.0, 31.0))))
    eased = counted(judged, *(good(at, 28.0) for at in range(80, 600, 10)))
    assert eased == [("deescalated", 2)]
    words = rule(
        metric=LEAK, state={"contamination": "minor", "leak": "critical"},
        flap={"changes": 2, "within": "10m", "hold": "5m"},
    )  # fmt: skip
    judged = engine(words, facts(LEAK))
    said = ("leak", "dry", "leak", "dry", "contamination", "leak", "contamination", "dry")
    counted(judged, *(good(10 * i, word, LEAK) for i, word in enumerate(said)))
    assert counted(judged, *(good(at, "dry", LEAK) for at in range(80, 600, 10))) == [("recovered", 2)]


DAY = 24 * 3600


def day_of(judged: Engine, *values: float | str, metric: str = TEMPERATURE) -> list[AlarmEvent]:
    """A day of readings each second, these values in turn."""
    events: list[AlarmEvent] = []
    for second in range(DAY):
        events += judged.advance(second * 1000)
        events += judged.sample(good(second, values[second % len(values)], metric))
    return events


def test_a_day_of_swings_each_second_is_three_alarms_at_most() -> None:
    judged = engine(high(deadband=0.5), facts(TEMPERATURE))
    assert [event.kind.value for event in day_of(judged, 27.4, 26.2)] == ["raised", "ended"] * 2 + ["raised"]
    assert len(judged.active()) == 1


@pytest.mark.parametrize(
    ("values", "stands_at"), [((28.0, 33.0), "hihi"), ((24.0, 28.0, 33.0), "hihi"), ((10.0, 33.0), "hihi")]
)
def test_a_day_of_swings_between_levels_or_sides_stands_at_the_worst(values: tuple[float, ...], stands_at: str) -> None:
    levels = {
        "hi": {"limit": 27, "severity": "minor"},
        "hihi": {"limit": 32, "severity": "major"},
        "lo": {"limit": 15, "severity": "minor"},
    }
    judged = engine(rule(levels=levels), facts(TEMPERATURE))
    events = day_of(judged, *values)
    assert len(events) <= 8
    assert [event.reason for event in events].count("flapping") == 1
    assert events[-1].level == stands_at


def test_a_day_of_swings_between_alarmed_words_stands_at_the_worst_until_calm() -> None:
    words = rule(metric=LEAK, state={"contamination": "minor", "leak": "critical"})
    judged = engine(words, facts(LEAK))
    events = day_of(judged, "contamination", "leak", metric=LEAK)
    last = events[-1]
    assert (last.kind, last.severity, last.reason) == ("updated", "critical", "flapping")
    assert len(events) <= 6
    again = engine(words, facts(LEAK))
    again.restore(judged.snapshot(), now_ms=judged.now_ms)
    easing = [again.sample(good(DAY + second, "contamination", LEAK)) for second in range(0, 1000, 10)]
    assert [brief(event) for events in easing for event in events] == ["1d15m updated state minor deescalated"]


def test_getting_worse_step_by_step_is_not_flapping() -> None:
    levels = {
        name: {"limit": limit, "severity": severity}
        for name, limit, severity in (("hi", 27, "minor"), ("hihi", 30, "major"), ("hihihi", 33, "critical"))
    }
    events = story(rule(levels=levels), "28 31 34 31 28 25", step="10s")
    assert [event.split()[-1] for event in events] == [
        "limit_exceeded", "escalated", "escalated", "deescalated", "deescalated", "recovered",
    ]  # fmt: skip

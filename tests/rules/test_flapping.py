"""A value that swings around its limit is one alarm that stands, not a thousand that come and go."""

from typing import Any

from facility.alarms import AlarmEvent
from rules.engine import Engine
from tests.rules.support import TEMPERATURE, brief, engine, facts, good, high, rule, story

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


def test_a_day_of_swings_each_second_is_five_alarms_at_most() -> None:
    judged = engine(high(deadband=0.5), facts(TEMPERATURE))
    raised = ended = 0
    for second in range(24 * 3600):
        for event in [*judged.advance(second * 1000), *judged.sample(good(second, 27.4 if second % 2 else 26.2))]:
            raised += event.kind == "raised"
            ended += event.kind == "ended"
    assert (raised, ended) == (5, 4)
    assert len(judged.active()) == 1

"""Rules over several signals: supply minus return, rooms' averages, redundancy lost."""

from typing import Any

import pytest

from facility.reading import PointKey, Quality, Reading
from rules.engine import DeviceFacts, Engine
from rules.model import Rule, RuleSet
from rules.parts import Select
from tests.rules.support import brief, engine, rule

SUPPLY, RETURN, STATE = "crac.supply_air.temperature", "crac.return_air.temperature", "crac.state"


def spread(**parts: Any) -> Rule:
    """Air that comes back hardly warmer than it left, or colder: no cooling is done."""
    signals = {"supply": {"metric": SUPPLY}, "back": {"metric": RETURN}}
    expression = {"over": "device", "signals": signals, "value": "back - supply"}
    levels = {"lo": {"limit": 3, "clear": 4, "severity": "minor"}}
    return rule(metric=RETURN, expression=expression, levels=levels, for_="1m", **parts)


def running(**signal: Any) -> Rule:
    """Fewer than two units of a room run."""
    signals = {"on": {"metric": STATE, "states": ["on"], **signal}}
    expression = {"over": "room", "signals": signals, "value": "sum(on)"}
    return rule(metric="room.temperature", expression=expression, levels={"lo": {"limit": 1.5, "severity": "major"}})


def crac(name: str, room: str = "room-a") -> DeviceFacts:
    points = tuple(PointKey(name, metric) for metric in (SUPPLY, RETURN, STATE))
    return DeviceFacts(name, "crac", room=room, points=points, interval_s=10)


def good(at: float, device: str, metric: str, value: float | str) -> Reading:
    return Reading(device, metric, "", value, int(at * 1000))


def lost(at: float, device: str, metric: str) -> Reading:
    return Reading(device, metric, "", None, int(at * 1000), quality=Quality.BAD)


def play(judged: Engine, *readings: Reading) -> list[str]:
    return [f"{event.device}#{event.subject} {brief(event)}" for event in judged.samples(readings)]


def test_a_difference_of_two_points_is_judged_like_a_measured_value() -> None:
    judged = engine(spread(), crac("c1"))
    events: list[str] = []
    for at in range(0, 200, 10):
        back = 24.0 if at < 50 or at > 150 else 16.0
        events += play(judged, good(at, "c1", SUPPLY, 15.0), good(at, "c1", RETURN, back))
    assert events == ["c1# 1m50s raised lo minor limit_exceeded", "c1# 2m40s ended lo minor recovered"]


def test_a_number_that_cannot_be_known_neither_raises_nor_clears() -> None:
    judged = engine(spread(), crac("c1"))
    play(judged, good(0, "c1", SUPPLY, 15.0), good(0, "c1", RETURN, 16.0))
    assert play(judged, good(59, "c1", SUPPLY, 15.0), lost(59, "c1", RETURN)) == []
    assert judged.advance(300_000) == [], "a delay does not run while an input is unknown"
    events: list[str] = []
    for at in range(300, 380, 10):
        events += play(judged, good(at, "c1", SUPPLY, 15.0), good(at, "c1", RETURN, 16.0))
    assert events == ["c1# 6m raised lo minor limit_exceeded"]
    assert play(judged, good(390, "c1", SUPPLY, 15.0), lost(390, "c1", RETURN)) == [], "no data never clears"
    assert len(judged.active()) == 1


def test_an_input_that_falls_silent_is_not_known_any_more() -> None:
    judged = engine(spread(gap="30s"), crac("c1"))
    play(judged, good(0, "c1", SUPPLY, 15.0), good(0, "c1", RETURN, 16.0))
    for at in range(10, 300, 10):
        assert play(judged, good(at, "c1", SUPPLY, 15.0)) == []


def test_redundancy_lost_is_an_alarm_of_the_room_and_only_of_that_room() -> None:
    judged = engine(running(), crac("c1"), crac("c2"), crac("c3", "room-b"), crac("c4", "room-b"))
    everyone = ("c1", "c2", "c3", "c4")
    assert play(judged, *(good(0, device, STATE, "on") for device in everyone)) == []
    assert play(judged, good(10, "c2", STATE, "off")) == ["room-a#room 10s raised lo major limit_exceeded"]
    assert play(judged, good(20, "c2", STATE, "on")) == ["room-a#room 20s ended lo major recovered"]


def test_a_unit_that_is_not_heard_of_makes_the_count_unknown_or_is_left_out() -> None:
    for missing, expected in (("unknown", []), ("ignore", ["room-a#room 10s raised lo major limit_exceeded"])):
        judged = engine(running(missing=missing), crac("c1"), crac("c2"))
        play(judged, good(0, "c1", STATE, "on"), good(0, "c2", STATE, "on"))
        assert play(judged, lost(10, "c2", STATE)) == expected


def test_a_restart_and_a_removed_rule_are_as_with_any_rule() -> None:
    judged = engine(running(), crac("c1"), crac("c2"))
    play(judged, good(0, "c1", STATE, "on"), good(0, "c2", STATE, "off"))
    again = engine(running(), crac("c1"), crac("c2"))
    assert again.restore(judged.snapshot(), now_ms=5000) == []
    assert [held.device for held in again.active()] == ["room-a"]
    ended = again.reload(RuleSet(()), [crac("c1"), crac("c2")], now_ms=6000)
    assert [brief(event) for event in ended] == ["6s ended lo major rule_removed"]


def ends(judged: Engine, changed: Rule, *devices: DeviceFacts, stopped: bool) -> list[tuple[str, str]]:
    """How what stands ends when the rule or the devices are these, by a reload or while the agent was stopped."""
    if not stopped:
        events = judged.reload(RuleSet((changed,)), devices, now_ms=100_000)
    else:
        events = engine(changed, *devices, started=100).restore(judged.snapshot(), now_ms=100_000)
    return [(event.device, event.reason) for event in events]


UNITS = (crac("c1"), crac("c2"))
SENSOR = DeviceFacts("t1", "sensor", room="room-a", points=(PointKey("t1", "room.humidity"),))


def rooms_cooling() -> Rule:
    return running(select={"kinds": ["crac"]}).model_copy(update={"id": "cooling"})


@pytest.mark.parametrize("stopped", [False, True], ids=["by a reload", "while the agent is stopped"])
@pytest.mark.parametrize(
    ("change", "devices", "reason"),
    [
        ({"select": Select(rooms=("room-b",))}, (*UNITS, SENSOR), "rule_changed"),
        ({"metric": "room.cooling.able_units"}, (*UNITS, SENSOR), "rule_changed"),
        ({"over": "site"}, (*UNITS, SENSOR), "rule_changed"),
        ({}, (SENSOR,), "device_retired"),
        ({}, (), "device_retired"),
    ],
)
def test_a_number_that_is_made_no_more_says_why(
    change: dict[str, Any], devices: tuple[DeviceFacts, ...], reason: str, stopped: bool
) -> None:
    rule = rooms_cooling()
    judged = engine(rule, *UNITS, SENSOR)
    assert play(judged, good(10, "c1", STATE, "fault"), good(10, "c2", STATE, "fault"))
    if "over" in change:
        assert rule.expression is not None
        change = {"expression": rule.expression.model_copy(update=change)}
    assert ends(judged, rule.model_copy(update=change), *devices, stopped=stopped) == [("room-a", reason)]


@pytest.mark.parametrize("stopped", [False, True], ids=["by a reload", "while the agent is stopped"])
def test_a_devices_number_that_its_rule_selects_no_more_is_a_change_of_the_rule(stopped: bool) -> None:
    judged = engine(spread(), crac("c1"))
    for at in range(0, 80, 10):
        play(judged, good(at, "c1", SUPPLY, 15.0), good(at, "c1", RETURN, 16.0))
    assert judged.active()
    elsewhere = spread(select={"rooms": ["room-b"]})
    assert ends(judged, elsewhere, crac("c1"), stopped=stopped) == [("c1", "rule_changed")]

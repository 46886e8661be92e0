"""Reload: what is unchanged goes on, changed limits keep the occurrence, what is gone ends with its reason."""

import tracemalloc
from typing import Any

import pytest

from facility.alarms import AlarmEvent
from facility.reading import PointKey
from rules.engine import DeviceFacts, Engine
from rules.model import Rule, RuleSet
from tests.rules.support import TEMPERATURE, brief, engine, facts, good, high, rule


def reloaded(judged: Engine, *rules: Rule, devices: tuple[DeviceFacts, ...] = (), now: float = 100) -> list[AlarmEvent]:
    return judged.reload(RuleSet(rules), devices or (facts(),), now_ms=int(now * 1000))


def active(before: Rule, **parts: Any) -> Engine:
    judged = engine(before, facts(**parts))
    assert len(judged.sample(good(10, 28))) == 1
    return judged


def test_nothing_changed_does_nothing() -> None:
    judged = active(high())
    before = judged.snapshot()
    assert reloaded(judged, high(), now=5) == []
    assert judged.snapshot() == before


def test_an_unchanged_rule_keeps_its_pending_count_while_others_change() -> None:
    judged = engine([high(for_="60s"), high(40, id="other")])
    judged.sample(good(0, 28))
    assert reloaded(judged, high(for_="60s"), high(45, id="other"), now=30) == []
    judged.sample(good(40, 28))
    assert [brief(event) for event in judged.advance(61_000)] == ["1m raised hi minor limit_exceeded"]


def test_a_new_title_or_source_changes_no_revision_and_restarts_nothing() -> None:
    judged = engine(high(for_="60s"))
    judged.sample(good(0, 28))
    reloaded(judged, high(for_="60s", title={"en": "Better words", "zh": "更好"}, source="another"), now=30)
    judged.sample(good(40, 28))
    assert len(judged.advance(61_000)) == 1


def test_changed_limits_restart_a_pending_count() -> None:
    judged = engine(high(for_="60s"))
    judged.sample(good(0, 28))
    reloaded(judged, high(26, for_="60s"), now=30)
    assert judged.sample(good(60, 28)) == []
    assert [brief(event) for event in judged.sample(good(120, 28))] == ["2m raised hi minor limit_exceeded"]


def test_changed_limits_keep_the_occurrence_and_judge_at_the_next_sample() -> None:
    judged = active(high())
    (held,) = judged.active()
    assert reloaded(judged, high(26)) == []
    assert judged.active() == [held]
    (updated,) = judged.sample(good(110, 28))
    assert (updated.occurrence, updated.revision, updated.reason) == (held.occurrence, 2, "limits_changed")
    assert (updated.limit, updated.rule_revision) == (26.0, high(26).revision)
    (ended,) = judged.sample(good(120, 20))
    assert ended.reason == "recovered"


def test_an_alarm_that_the_new_limits_end_is_no_recovery() -> None:
    judged = active(high())
    reloaded(judged, high(30))
    (ended,) = judged.sample(good(110, 28))
    assert (ended.revision, ended.reason) == (2, "rule_changed")
    assert judged.active() == []


def test_nor_is_it_after_clear_for_has_passed() -> None:
    judged = active(high(clear_for="60s"))
    reloaded(judged, high(30, clear_for="60s"))
    assert [brief(event) for event in judged.sample(good(110, 28))] == ["1m50s updated hi minor limits_changed"]
    assert judged.sample(good(150, 28)) == []
    assert [brief(event) for event in judged.sample(good(170, 28))] == ["2m50s ended hi minor rule_changed"]


def test_no_data_after_a_reload_keeps_the_alarm() -> None:
    judged = active(high())
    reloaded(judged, high(30))
    assert judged.advance(10_000_000) == []
    assert len(judged.active()) == 1


def test_a_severity_moved_is_an_update_at_the_next_sample() -> None:
    judged = active(high())
    reloaded(judged, rule(levels={"hi": {"limit": 27, "severity": "critical"}}))
    assert [brief(event) for event in judged.sample(good(110, 28))] == ["1m50s updated hi critical escalated"]


def test_a_state_rule_keeps_its_occurrence_too() -> None:
    def door(severity: str) -> Rule:
        return rule(metric="door.state", state={"open": severity})

    judged = engine(door("minor"), facts("door.state"))
    judged.sample(good(10, "open", "door.state"))
    assert reloaded(judged, door("major"), devices=(facts("door.state"),)) == []
    (updated,) = judged.sample(good(20, "open", "door.state"))
    assert (updated.revision, updated.severity, updated.reason) == (2, "major", "escalated")


def test_an_absence_keeps_its_occurrence_too() -> None:
    judged = engine(rule(absent={"after": "60s", "severity": "minor"}))
    judged.advance(61_000)
    assert reloaded(judged, rule(absent={"after": "90s", "severity": "minor"})) == []
    assert judged.advance(500_000) == []
    assert [brief(event) for event in judged.sample(good(501, 22))] == ["8m21s ended absent minor recovered"]


STATE = rule(metric="door.state", state={"open": "minor"})


@pytest.mark.parametrize(
    ("rules", "devices", "reason"),
    [
        pytest.param((), (), "rule_removed", id="the rule is gone"),
        pytest.param((high(enabled=False),), (), "rule_removed", id="the rule is switched off"),
        pytest.param((high(where="centre"),), (), "rule_removed", id="the rule went to the centre"),
        pytest.param((STATE,), (), "rule_changed", id="the rule judges another metric"),
        pytest.param((rule(absent={"after": "1h", "severity": "info"}),), (), "rule_changed", id="another condition"),
        pytest.param(
            (rule(levels={"lo": {"limit": 5, "severity": "minor"}}),),
            (),
            "rule_changed",
            id="only the other side is left",
        ),
        pytest.param((high(select={"zones": ["hot-aisle"]}),), (), "rule_changed", id="no longer selected"),
        pytest.param((high(),), (facts(device="d2"),), "device_retired", id="the device is gone"),
        pytest.param((high(),), (facts("room.humidity", complete=True),), "device_retired", id="the point is gone"),
    ],
)
def test_what_cannot_go_on_ends_at_once(rules: tuple[Rule, ...], devices: tuple[DeviceFacts, ...], reason: str) -> None:
    judged = active(high())
    (held,) = judged.active()
    (ended,) = reloaded(judged, *rules, devices=devices)
    assert (ended.occurrence, ended.revision, ended.kind, ended.reason) == (held.occurrence, 2, "ended", reason)
    assert (ended.at, ended.level, ended.value, ended.limit) == (100_000, "hi", 28.0, 27.0)
    assert judged.active() == []


def test_a_device_moved_to_another_zone_is_judged_by_that_zones_rules() -> None:
    cold, hot = high(id="cold", select={"zones": ["cold-aisle"]}), high(40, id="hot", select={"zones": ["hot-aisle"]})
    judged = engine([cold, hot], facts(zone="cold-aisle"))
    judged.sample(good(10, 41))
    (ended,) = reloaded(judged, cold, hot, devices=(facts(zone="hot-aisle"),))
    assert (ended.rule, ended.reason) == ("cold", "rule_changed")
    assert [event.rule for event in judged.sample(good(110, 41))] == ["hot"]


def test_a_point_nobody_announced_survives_a_reload() -> None:
    judged = engine(high(), facts("room.humidity"))
    judged.sample(good(10, 28))
    assert reloaded(judged, high(), high(50, id="new"), devices=(facts("room.humidity"),)) == []
    assert [held.rule for held in judged.active()] == ["r"]


def test_a_point_newly_expected_gets_its_grace() -> None:
    absent = rule(absent={"after": "60s", "severity": "minor"})
    judged = engine(absent, DeviceFacts(id="d1", kind="sensor"))
    judged.advance(100_000)
    added = DeviceFacts(id="d1", kind="sensor", points=(PointKey("d1", TEMPERATURE),))
    assert reloaded(judged, absent, devices=(added,)) == []
    assert [event.at for event in judged.advance(200_000)] == [160_000]


def test_a_point_no_longer_named_goes_on_being_expected() -> None:
    absent = rule(id="absent", absent={"after": "60s", "severity": "minor"})
    judged = engine([high(), absent])
    judged.sample(good(10, 28))
    nothing_known = DeviceFacts(id="d1", kind="sensor")
    assert reloaded(judged, high(), absent, devices=(nothing_known,), now=20) == []
    assert [held.rule for held in judged.active()] == ["r"]
    assert [event.rule for event in judged.advance(71_000)] == ["absent"]


def test_two_generations_of_judges_are_never_there_at_once() -> None:
    rules = [high(27 + i, id=f"r{i}") for i in range(10)]
    devices = [facts(device=f"d{i}") for i in range(200)]
    tracemalloc.start()
    try:
        judged = engine(rules, *devices)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        judged.reload(RuleSet(tuple(rules)), [*devices, facts(device="one-more")], now_ms=1000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * held

"""Revisions, defaults and selection."""

import pytest

from facility.severity import Severity
from rules.durations import parse_duration, write_duration
from rules.facts import DeviceFacts, applies
from rules.model import Rule
from tests.rules.support import engine, facts, good, high, rule


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (high(for_="5m"), high(for_="300s"), True),
        (high(), high(title={"en": "Other words", "zh": "其他"}), True),
        (high(), high(source="another source"), True),
        (high(), high(select={"zones": ["cold-aisle"]}), True),
        (high(deadband=1), rule(levels={"hi": {"limit": 27, "clear": 26, "severity": "minor"}}), True),
        (high(27), high(27.5), False),
        (high(), rule(levels={"hi": {"limit": 27, "severity": "major"}}), False),
        (high(), high(for_="1s"), False),
        (high(), high(clear_for="1s"), False),
        (high(), high(gap="1h"), False),
        (high(), high(deadband=1), False),
    ],
)
def test_the_revision_is_how_it_judges(one: Rule, other: Rule, same: bool) -> None:
    assert (one.revision == other.revision) is same
    assert len(one.revision) == 16


def test_state_revisions_do_not_depend_on_how_words_are_written() -> None:
    spelled = rule(metric="door.state", state=[{"in": ["open", "unknown"], "severity": "minor"}])
    mapped = rule(metric="door.state", state={"unknown": "minor", "open": "minor"})
    assert spelled.revision == mapped.revision
    assert spelled.state == {"open": Severity.MINOR, "unknown": Severity.MINOR}


@pytest.mark.parametrize(
    ("text", "ms"), [("30s", 30_000), ("5m", 300_000), ("1h30m", 5_400_000), ("250ms", 250), ("2d", 172_800_000)]
)
def test_durations(text: str, ms: int) -> None:
    assert parse_duration(text) == ms
    assert write_duration(ms) == text


@pytest.mark.parametrize("text", ["30", 30, "5 min", "", "1.5h", None, True, "-5s"])
def test_a_duration_without_a_unit_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="written with its unit"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("select", "device", "chosen"),
    [
        ({}, {}, True),
        ({"kinds": ["ups"]}, {"kind": "ups"}, True),
        ({"kinds": ["ups"]}, {"kind": "crac"}, False),
        ({"zones": ["cold-aisle"]}, {"zone": "hot-aisle"}, False),
        ({"zones": ["cold-aisle"]}, {"zone": ""}, False),
        ({"zones": ["cold-aisle", "unplaced"]}, {"zone": ""}, True),
        ({"devices": ["th-*"]}, {"id": "th-01"}, True),
        ({"devices": ["th-*"]}, {"id": "ups-1"}, False),
        ({"labels": {"tape": "yes"}}, {"labels": {"tape": "yes", "row": "A"}}, True),
        ({"labels": {"tape": "yes"}}, {}, False),
    ],
)
def test_selection(select: dict[str, object], device: dict[str, object], chosen: bool) -> None:
    parts: dict[str, object] = {"id": "d", "kind": "sensor"} | device
    assert applies(high(select=select), DeviceFacts(**parts)) is chosen  # type: ignore[arg-type]


@pytest.mark.parametrize(("room_class", "chosen"), [("", True), ("gb50174-2017", True), ("ashrae-2021-a1", False)])
def test_a_room_without_a_class_is_judged_by_the_default_set(room_class: str, chosen: bool) -> None:
    judged = high(thresholds_set="gb50174-2017")
    assert applies(judged, DeviceFacts(id="d", kind="sensor", room_class=room_class)) is chosen


def test_the_agent_judges_edge_rules_and_the_centre_its_own() -> None:
    both = [high(id="edge"), high(id="centre", where="centre"), high(id="off", enabled=False)]
    assert [event.rule for event in engine(both).sample(good(1, 30))] == ["edge"]
    assert [event.rule for event in engine(both, origin="centre").sample(good(1, 30))] == ["centre"]


def test_the_catalog_tells_every_kind_of_rule() -> None:
    rules = [
        high(27, id="levels", deadband=1, for_="2m", clear_for="1m"),
        rule(id="state", metric="door.state", state={"open": "minor"}),
        rule(id="rate", rate={"per": "1h", "rise": 20, "fall": 10, "severity": "major"}),
        rule(id="absent", absent={"after": "5m", "severity": "info"}),
        high(id="elsewhere", select={"zones": ["moon"]}),
    ]
    judged = engine(rules, facts("room.temperature"))
    told = {each.id: each for each in judged.describe()}
    assert list(told) == ["levels", "state", "rate", "absent"]
    assert (told["levels"].for_s, told["levels"].clear_for_s, told["levels"].title_zh) == (120.0, 60.0, "测试规则")
    levels = {
        name: [(level.id, level.side, level.severity, level.limit, level.clear) for level in each.levels]
        for name, each in told.items()
    }
    assert levels == {
        "levels": [("hi", "high", "minor", 27.0, 26.0)],
        "state": [("state", "state", "minor", "open", None)],
        "rate": [("rate", "rate", "major", 20.0, 20.0), ("rate", "rate", "major", -10.0, -10.0)],
        "absent": [("absent", "absent", "info", 300.0, None)],
    }
    assert judged.rules_for("d1") == ("levels", "rate", "absent")
    assert judged.rules_for("nobody") == ()

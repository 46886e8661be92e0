"""Other numbers for some devices, in bulk."""

from pathlib import Path

import pytest

from rules.facts import DeviceFacts, applies
from rules.files import RuleErrors, library, load_rules

SITE = """
version: 1
overrides:
  - name: north
    rules: ["room-temperature-high-*"]
    select: {rooms: [north]}
    set: {levels: {hi: {limit: 25}}, clear_for: 5m}
    source: "customer's contract 7"
  - name: quiet
    rules: ["room-*"]
    select: {labels: {use: lab}}
    set: {enabled: false}
    source: "owner's word"
"""


def sensor(**parts: object) -> DeviceFacts:
    return DeviceFacts("t1", "sensor", zone="cold-aisle", **parts)  # type: ignore[arg-type]


def test_devices_of_a_room_get_their_own_numbers_and_all_others_keep_theirs(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    rules = load_rules([tmp_path], over=library())
    for facts, expected in (
        (sensor(room="north"), {"room-temperature-high-gb-north": 25.0}),
        (sensor(room="south"), {"room-temperature-high-gb": 27.0}),
        (sensor(room="north", labels={"use": "lab"}), {"room-temperature-high-gb-north": 25.0}),
        (sensor(room="south", labels={"use": "lab"}), {}),
    ):
        judged = {
            rule.id: rule.thresholds[0].limit
            for rule in rules
            if rule.enabled and rule.id.startswith("room-temperature-high") and applies(rule, facts)
        }
        assert judged == expected
    special = rules.get("room-temperature-high-gb-north")
    original = library().get("room-temperature-high-gb")
    assert special is not None
    assert original is not None
    assert [level.limit for level in special.thresholds] == [25.0, 30.0, 32.0], "levels are merged one by one"
    assert special.clear_for == 300_000
    assert special.revision != original.revision
    assert "contract 7" in special.sources


def sources(folder: Path, rule: str, setting: str) -> str:
    """What the overridden rule names as its sources."""
    text = f"""
version: 1
overrides:
  - {{name: north, rules: [{rule}], select: {{rooms: [north]}}, set: {setting}, source: "contract 7"}}
"""
    (folder / "site.yaml").write_text(text, encoding="utf-8")
    made = load_rules([folder], over=library()).get(f"{rule}-north")
    assert made is not None
    return made.sources


ASHRAE = "ASHRAE TC 9.9 class A1 allowable 15-32 degrees"
GB = "GB 50174-2017 Appendix A: cold aisle 18-27 degrees"


def test_a_standard_is_named_for_its_own_numbers_only(tmp_path: Path) -> None:
    rule = "room-temperature-high-gb"
    assert f"hi 27: {GB}" in sources(tmp_path, rule, "{levels: {hihihi: {limit: 35}}}")
    assert ASHRAE not in sources(tmp_path, rule, "{levels: {hihihi: {limit: 35}}}"), "35 is not A1's"
    assert f"hihihi 32: {ASHRAE}" in sources(tmp_path, rule, "{levels: {hihihi: {severity: major}}, clear_for: 5m}")
    assert "hihihi 35: A3" in sources(tmp_path, rule, "{levels: {hihihi: {limit: 35, source: A3 allowable}}}")
    assert sources(tmp_path, rule, "{levels: {hihihi: {limit: 35}}}").startswith("contract 7; ")


def test_a_standard_named_once_for_all_levels_stays_with_those_that_are_its_own(tmp_path: Path) -> None:
    standard = "GB 50174-2017 Appendix A: dew point 5.5-15 degrees"
    rule = next(each for each in library() if each.source == standard and each.levels is not None)
    (threshold,) = rule.thresholds
    moved = f"{{levels: {{{threshold.id}: {{limit: {threshold.limit + 1}}}}}}}"
    assert standard not in sources(tmp_path, rule.id, moved)
    assert standard in sources(tmp_path, rule.id, "{clear_for: 7m}")


def test_a_standard_of_a_rate_goes_with_another_rate_and_stays_with_another_delay(tmp_path: Path) -> None:
    standard = "at most 20 degrees/h"
    rule = next(each for each in library() if each.rate is not None and standard in each.sources)
    assert standard in sources(tmp_path, rule.id, "{for: 3m}")
    assert standard in sources(tmp_path, rule.id, "{rate: {severity: minor}}")
    assert sources(tmp_path, rule.id, "{rate: {rise: 15}}") == "contract 7"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("room-temperature-high-*", "no-such-*"), "there is no rule no-such-*"),
        (("limit: 25", "limit: 45"), "hihi (30) must lie above hi (45)"),
        (("clear_for: 5m", "clear_fro: 5m"), "'clear_fro' cannot be set here"),
        (("clear_for: 5m", "hours: {zone: UTC}"), "outside them nobody would judge these devices"),
        (("{rooms: [north]}", "{zones: [nowhere]}"), "no rule room-temperature-high-* judges devices it selects"),
        (("{rooms: [north]}", "{subject: probe/1}"), "whole devices"),
        (("name: quiet", "name: north"), "there is a rule room-temperature-high-gb-north already"),
    ],
)
def test_an_override_that_does_not_fit_says_where(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    (tmp_path / "site.yaml").write_text(SITE.replace(*change), encoding="utf-8")
    with pytest.raises(RuleErrors) as caught:
        load_rules([tmp_path], over=library())
    assert said in str(caught.value)
    assert f"{tmp_path / 'site.yaml'}:" in str(caught.value)


def test_an_override_never_makes_a_rule_judge_devices_it_did_not_judge(tmp_path: Path) -> None:
    """Other numbers for cold aisles and UPS rooms: a rule of hot aisles does not begin to judge either."""
    (tmp_path / "rules.yaml").write_text(
        """
version: 1
rules:
  - id: hot
    title: {en: Hot aisle, zh: 热通道}
    metric: room.temperature
    select: {kinds: [sensor], zones: [hot-aisle, ups-room], devices: ["t*"], labels: {use: it}}
    levels: {hi: {limit: 40, severity: minor}}
    source: editable default
overrides:
  - name: other
    rules: [hot]
    select: {zones: [cold-aisle, ups-room], devices: ["t1*", "x*"]}
    set: {levels: {hi: {limit: 30}}}
    source: editable default
""",
        encoding="utf-8",
    )
    rules = load_rules([tmp_path])

    def judged(device: str, zone: str, kind: str = "sensor", use: str = "it") -> list[str]:
        facts = DeviceFacts(device, kind, zone=zone, labels={"use": use})
        return [rule.id for rule in rules if applies(rule, facts)]

    assert judged("t11", "ups-room") == ["hot-other"]
    assert judged("t2", "ups-room") == ["hot"]
    assert judged("t11", "hot-aisle") == ["hot"]
    for device, zone, kind, use in (
        ("t11", "cold-aisle", "sensor", "it"), ("x1", "ups-room", "sensor", "it"), ("t11", "ups-room", "ups", "it"),
        ("t11", "ups-room", "sensor", "lab"),
    ):  # fmt: skip
        assert judged(device, zone, kind, use) == []


def idle(folder: Path, first: str, second: str, rules: str = "room-*") -> list[str]:
    """What is said of two overrides for devices selected so."""
    names = ("room-temperature-*", rules)
    text = "version: 1\noverrides:\n" + "".join(
        f"  - {{name: {name}, rules: ['{rules}'], select: {select}, set: {{enabled: false}}, source: a test}}\n"
        for name, rules, select in zip(("day", "night"), names, (first, second), strict=True)
    )
    (folder / "site.yaml").write_text(text, encoding="utf-8")
    return [str(problem) for problem in load_rules([folder], over=library()).idle]


@pytest.mark.parametrize(
    ("first", "second", "shadowed"),
    [
        ("{rooms: [a]}", "{rooms: [a]}", True),
        ("{rooms: [a, b]}", "{rooms: [b], labels: {use: lab}}", True),
        ("{rooms: [a]}", "{rooms: [a, b]}", False),
        ("{rooms: [a], labels: {use: lab}}", "{rooms: [a]}", False),
        ("{devices: ['t-*']}", "{devices: [t-1, 't-2*']}", True),
        ("{devices: ['t-?']}", "{devices: ['t-*']}", False),
        ("{}", "{zones: [cold-aisle]}", True),
    ],
)
def test_an_override_that_never_counts_is_said(tmp_path: Path, first: str, second: str, shadowed: bool) -> None:
    said = idle(tmp_path, first, second, "room-temperature-high-*")
    place = f"{tmp_path / 'site.yaml'}:4: overrides[1]"
    assert said == ([f"{place}: night is idle: before it day has its devices"] if shadowed else [])
    assert idle(tmp_path, first, second) == [], "of other rules it is the first"

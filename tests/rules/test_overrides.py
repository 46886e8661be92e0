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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("room-temperature-high-*", "no-such-*"), "there is no rule no-such-*"),
        (("limit: 25", "limit: 45"), "hihi (30) must lie above hi (45)"),
        (("clear_for: 5m", "clear_fro: 5m"), "'clear_fro' cannot be set here"),
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

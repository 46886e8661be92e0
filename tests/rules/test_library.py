"""The shipped rules: their tests pass, each is tested, and each says where its numbers come from."""

import pytest

from facility.severity import Severity
from rules.files import library
from rules.model import Rule, RuleSet
from rules.parts import Where
from rules.testing import Case, CaseResult, events_of, run_library

RESULTS = run_library()


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.name)
def test_a_case_of_the_library(result: CaseResult) -> None:
    assert result.differences == ()


@pytest.mark.parametrize("rule", library().rules, ids=lambda rule: rule.id)
def test_a_rule_has_a_case_that_raises_it_and_one_in_which_it_recovers(rule: Rule) -> None:
    assert any(rule.id in result.raised for result in RESULTS), "no case raises it"
    assert any(rule.id in result.recovered for result in RESULTS), "in no case is it calm again"


@pytest.mark.parametrize("rule", library().rules, ids=lambda rule: rule.id)
def test_a_rule_names_source_and_speaks_both_languages(rule: Rule) -> None:
    assert rule.sources
    assert any("一" <= letter <= "鿿" for letter in rule.title.zh)
    assert rule.title.en.isascii()
    assert rule.where is Where.EDGE or rule.expression is not None, "the centre judges what one agent cannot see"
    assert rule.enabled


ROOM = RuleSet(tuple(rule for rule in library() if rule.metric.startswith("room.")))


@pytest.mark.parametrize("room_class", ["", "gb50174-2017", "ashrae-2021-a1"])
@pytest.mark.parametrize("zone", ["", "cold-aisle"])
def test_an_ordinary_day_is_quiet(room_class: str, zone: str) -> None:
    day = "22..24x120 24..21.5x120 21.5..22x120"
    case = Case.model_validate(
        {
            "name": "a day",
            "device": {"zone": zone, "room_class": room_class},
            "step": "1m",
            "series": {
                "room.temperature": day, "room.humidity": "45..52x360", "room.dew_point": "9..12x360",
                "room.pressure.differential": "8..10x360",
            },
        }
    )  # fmt: skip
    assert events_of(ROOM, case) == []


@pytest.mark.parametrize("room_class", ["gb50174-2017", "ashrae-2021-a1"])
def test_an_overheating_cold_aisle_reaches_critical_in_every_set(room_class: str) -> None:
    case = Case.model_validate(
        {
            "name": "cooling lost",
            "device": {"zone": "cold-aisle", "room_class": room_class},
            "series": {"room.temperature": "22x20 22..36x40 36x10"},
        }
    )
    events = [event for event in events_of(ROOM, case) if event.rule.startswith("room-temperature-high")]
    assert len({event.occurrence for event in events}) == 1
    assert events[-1].severity is Severity.CRITICAL

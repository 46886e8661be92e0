"""Checklists: typed values, units, limits; what is a finding and what is a mistake."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from facility.units import Unit
from server.maintenance.catalogue import load_catalogue
from server.maintenance.checklist import (
    AssetName,
    Checklist,
    Item,
    Outcome,
    ResultIn,
    checklist_of,
    judge,
)
from server.maintenance.recurrence import check
from server.maintenance.schemas import PlanFromTemplate

SHANGHAI = ZoneInfo("Asia/Shanghai")
ITEMS = [
    Item.model_validate({"kind": "check", "title_en": "x", "title_zh": "x", **fields})
    for fields in (
        {"id": "done", "type": "bool"},
        {"id": "air", "kind": "measure", "type": "number", "unit": "Cel", "lower": 18, "upper": 27},
        {
            "id": "filter",
            "type": "choice",
            "choices": [
                {"value": "clean", "title_en": "clean", "title_zh": "清洁"},
                {"value": "clogged", "title_en": "clogged", "title_zh": "堵塞", "passes": False},
            ],
        },
        {"id": "remarks", "type": "text", "required": False},
    )
]
GOOD = {"done": ResultIn(value=True), "air": ResultIn(value=20.5), "filter": ResultIn(value="clean")}


def of(*names: str) -> Checklist:
    assets = [AssetName(id=name, name_en=name, name_zh=name) for name in names]
    return checklist_of(ITEMS, assets, plan_version=3, truncated=False)


def with_(**changes: ResultIn) -> dict[str, ResultIn]:
    return {**GOOD, **changes}


def test_good_values_pass_and_an_optional_item_may_be_left_out() -> None:
    judged = judge(of("a"), GOOD)
    assert judged.problems == []
    assert judged.failed == 0
    assert {key: result.outcome for key, result in judged.results.items()} == {
        "done": Outcome.PASSED,
        "air": Outcome.PASSED,
        "filter": Outcome.PASSED,
        "remarks": Outcome.NOT_DONE,
    }


@pytest.mark.parametrize(("key", "value"), [("done", False), ("air", 27.1), ("air", 17.9), ("filter", "clogged")])
def test_what_is_found_wrong_is_a_failed_item_and_no_mistake(key: str, value: bool | float | str) -> None:
    judged = judge(of("a"), with_(**{key: ResultIn(value=value)}))
    assert judged.problems == []
    assert judged.failed == 1
    assert judged.results[key].outcome is Outcome.FAILED


@pytest.mark.parametrize("value", [18, 27])
def test_limits_are_inclusive(value: float) -> None:
    assert judge(of("a"), with_(air=ResultIn(value=value))).failed == 0


def test_a_number_in_another_unit_is_kept_in_the_items_own_with_what_was_entered() -> None:
    result = judge(of("a"), with_(air=ResultIn(value=77, unit=Unit.FAHRENHEIT))).results["air"]
    assert result.value == 25
    assert result.unit is Unit.CELSIUS
    assert (result.entered, result.entered_unit) == (77, Unit.FAHRENHEIT)
    assert result.outcome is Outcome.PASSED
    hot = judge(of("a"), with_(air=ResultIn(value=298, unit=Unit.KELVIN)))
    assert hot.results["air"].outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("changes", "path", "kind"),
    [
        ({"done": ResultIn(value="yes")}, "results.done.value", "type"),
        ({"done": ResultIn(value=1)}, "results.done.value", "type"),
        ({"air": ResultIn(value="20")}, "results.air.value", "type"),
        ({"air": ResultIn(value=True)}, "results.air.value", "type"),
        ({"air": ResultIn(value=float("nan"))}, "results.air.value", "type"),
        ({"air": ResultIn(value=20, unit=Unit.PASCAL)}, "results.air.unit", "unit"),
        ({"done": ResultIn(value=True, unit=Unit.PASCAL)}, "results.done.unit", "unit"),
        ({"filter": ResultIn(value="so so")}, "results.filter.value", "choice"),
        ({"filter": ResultIn(value=None)}, "results.filter.value", "required"),
        ({"remarks": ResultIn(value=3)}, "results.remarks.value", "type"),
        ({"colour": ResultIn(value="red")}, "results.colour", "unknown_item"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(changes: dict[str, ResultIn], path: str, kind: str) -> None:
    (problem,) = judge(of("a"), with_(**changes)).problems
    assert (problem.path, problem.kind) == (path, kind)


def test_all_problems_are_told_at_once() -> None:
    assert {problem.path for problem in judge(of("a"), {}).problems} == {
        "results.done.value",
        "results.air.value",
        "results.filter.value",
    }


def test_every_asset_of_a_category_has_its_own_items() -> None:
    checklist = of("one", "two")
    assert [(item.key, item.asset_id) for item in checklist.items if item.id == "air"] == [
        ("air.1", "one"),
        ("air.2", "two"),
    ]
    assert checklist.plan_version == 3


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"type": "number"}, "unit"),
        ({"type": "bool", "unit": "V"}, "unit"),
        ({"type": "text", "upper": 3}, "limits"),
        ({"type": "number", "unit": "V", "lower": 3, "upper": 2}, "above"),
        ({"type": "choice"}, "choices"),
        ({"type": "bool", "choices": [{"value": "a", "title_en": "a", "title_zh": "a"}]}, "choices"),
        ({"type": "choice", "choices": [{"value": "a", "title_en": "a", "title_zh": "a"}] * 2}, "one value"),
        ({"type": "bool", "kind": "measure"}, "measured"),
    ],
)
def test_an_item_agrees_with_its_type(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Item.model_validate({"id": "x", "kind": "check", "title_en": "x", "title_zh": "x", **fields})


def test_every_template_of_the_catalogue_makes_a_plan_from_any_day() -> None:
    catalogue = load_catalogue()
    assert {template.category for template in catalogue.templates.values()} >= {"ups", "battery", "crac", "sensor"}
    for template in catalogue.templates.values():
        assert len({item.id for item in template.checklist}) == len(template.checklist), template.id
        for start in ("2026-01-31T09:00", "2028-02-29T09:00"):
            body = PlanFromTemplate.model_validate({"template": template.id, "site": "s", "dtstart": start})
            plan = template.plan(body)
            check(plan.rule.rule(), SHANGHAI)
            assert plan.category is template.category


def test_a_broken_catalogue_says_where(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.yaml"
    path.write_text("templates:\n  - id: mine\n    category: boat\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"catalogue.yaml, template mine: .*\n.*category"):
        load_catalogue(path)

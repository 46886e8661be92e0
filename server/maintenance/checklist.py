"""What is to be done and measured at an order, and whether what was found is right. Pure.

An order carries a copy of the plan's items as they were when it was made, one set for each asset. Values are typed; a
number may come in any unit of the item's quantity and is kept in the item's own. A value beyond its limits is a
finding, not a mistake: the item is recorded as failed, and the order can be completed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictStr, model_validator

from facility.units import Unit, UnitError, convert, quantity_of
from server.kit.schemas import Name, Slug

MAX_ITEMS = 60  # of one template; the longest of the catalogue has 9
MAX_ASSETS = 200  # of one order; a hall has some 50 air conditioners


# Typed as JSON says it: "true" is a text and 1 is a number, never a yes.
Value = StrictBool | StrictFloat | Annotated[StrictStr, Field(max_length=2000)] | None


class ItemKind(StrEnum):
    CHECK = "check"
    MEASURE = "measure"
    TEST = "test"
    CLEAN = "clean"
    LUBRICATE = "lubricate"
    TIGHTEN = "tighten"
    ADJUST = "adjust"
    REPLACE = "replace"


class ValueType(StrEnum):
    BOOL = "bool"  # true: done, or in order
    NUMBER = "number"
    TEXT = "text"
    CHOICE = "choice"


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_DONE = "not_done"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Choice(_Part):
    """One answer of a choice item; `passes` says whether it is a good one."""

    value: Slug
    title_en: Name
    title_zh: Name
    passes: bool = True


class Item(_Part):
    """One thing to do. Limits are inclusive and in `unit`; `source` says where they come from."""

    id: Slug
    kind: ItemKind
    title_en: Name
    title_zh: Name
    type: ValueType
    unit: Unit | None = None
    lower: float | None = Field(default=None, allow_inf_nan=False)
    upper: float | None = Field(default=None, allow_inf_nan=False)
    choices: tuple[Choice, ...] = Field(default=(), max_length=20)
    required: bool = True
    source: Annotated[str, Field(max_length=300)] = ""

    @model_validator(mode="after")
    def _agrees_with_its_type(self) -> "Item":
        number, choice = self.type is ValueType.NUMBER, self.type is ValueType.CHOICE
        if number != (self.unit is not None):
            raise ValueError("a number has a unit (1 for a plain number), nothing else has one")
        if not number and (self.lower is not None or self.upper is not None):
            raise ValueError("only a number has limits")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError("the lower limit is above the upper one")
        if choice != bool(self.choices):
            raise ValueError("a choice lists its choices, nothing else does")
        if len({one.value for one in self.choices}) != len(self.choices):
            raise ValueError("two choices have one value")
        if self.kind is ItemKind.MEASURE and not number:
            raise ValueError("what is measured is a number")
        return self


Template = Annotated[tuple[Item, ...], Field(min_length=1, max_length=MAX_ITEMS)]


class OrderItem(Item):
    """An item of an order: `key` names it there, and the asset is what it is done to."""

    key: str
    asset_id: str
    asset_en: str
    asset_zh: str


class Checklist(_Part):
    """What an order keeps: items copied in full from the plan at `plan_version`.

    `truncated`: there were more than `MAX_ASSETS` assets, and the order covers only the first of them.
    """

    plan_version: int
    items: tuple[OrderItem, ...]
    truncated: bool


class ResultIn(_Part):
    """What was found. A number may name a unit; without one it is in the item's."""

    value: Value
    unit: Unit | None = None
    note: Annotated[str, Field(max_length=1000)] = ""


class Result(_Part):
    """What is kept: the value in the item's unit, and as it was entered where that was another."""

    value: Value
    unit: Unit | None = None
    entered: float | None = None
    entered_unit: Unit | None = None
    outcome: Outcome
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetName:
    id: str
    name_en: str
    name_zh: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueProblem:
    """What is wrong with one result; `path` points into the request's body."""

    path: str
    message: str
    kind: str

    def shown(self) -> Mapping[str, str]:
        return {"path": self.path, "message": self.message, "kind": self.kind}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Results by item key, and the problems that keep the order open; results are complete only without problems."""

    results: Mapping[str, Result]
    problems: Sequence[ValueProblem]

    @property
    def failed(self) -> int:
        return sum(result.outcome is Outcome.FAILED for result in self.results.values())


def checklist_of(
    template: Sequence[Item], assets: Sequence[AssetName], *, plan_version: int, truncated: bool
) -> Checklist:
    """The copy an order gets: the template once for each asset; keys such as `filter`, or `filter.2` for several."""
    items = [
        OrderItem(
            **item.model_dump(),
            key=item.id if len(assets) == 1 else f"{item.id}.{number}",
            asset_id=asset.id,
            asset_en=asset.name_en,
            asset_zh=asset.name_zh,
        )
        for number, asset in enumerate(assets, 1)
        for item in template
    ]
    return Checklist(plan_version=plan_version, items=tuple(items), truncated=truncated)


def judge(checklist: Checklist, results: Mapping[str, ResultIn]) -> Judged:
    """Every item's result. All problems are reported at once; an item without a value is one only when required."""
    problems = [
        ValueProblem(path=f"results.{key}", message="no item of this order has this key", kind="unknown_item")
        for key in results.keys() - {item.key for item in checklist.items}
    ]
    judged: dict[str, Result] = {}
    for item in checklist.items:
        given = results.get(item.key)
        if given is None or given.value is None or given.value == "":
            if item.required:
                problems.append(_problem(item, "value", f"{item.title_en} ({item.title_zh}) is required", "required"))
            judged[item.key] = Result(value=None, outcome=Outcome.NOT_DONE, note="" if given is None else given.note)
            continue
        answer = _judge_one(item, given)
        if isinstance(answer, ValueProblem):
            problems.append(answer)
        else:
            judged[item.key] = answer
    return Judged(results=judged, problems=problems)


def _judge_one(item: OrderItem, given: ResultIn) -> Result | ValueProblem:
    value = given.value
    if item.type is not ValueType.NUMBER and given.unit is not None:
        return _problem(item, "unit", f"a {item.type.value} has no unit", "unit")
    if item.type is ValueType.NUMBER:
        return _number(item, given)
    if item.type is ValueType.BOOL:
        if not isinstance(value, bool):
            return _problem(item, "value", "true or false is expected", "type")
        return _result(item, given, passed=value)
    if not isinstance(value, str):
        return _problem(item, "value", "text is expected", "type")
    if item.type is ValueType.CHOICE:
        chosen = next((one for one in item.choices if one.value == value), None)
        if chosen is None:
            return _problem(item, "value", f"one of {', '.join(one.value for one in item.choices)}", "choice")
        return _result(item, given, passed=chosen.passes)
    return _result(item, given, passed=True)


def _number(item: OrderItem, given: ResultIn) -> Result | ValueProblem:
    assert item.unit is not None
    if isinstance(given.value, bool) or not isinstance(given.value, int | float):
        return _problem(item, "value", f"a number in {item.unit.value} is expected", "type")
    if not math.isfinite(given.value):
        return _problem(item, "value", "a finite number is expected", "type")
    unit = given.unit or item.unit
    try:
        value = convert(float(given.value), unit, item.unit)
    except UnitError:
        quantity = quantity_of(item.unit).value
        return _problem(item, "unit", f"{unit.value} is no unit of {quantity}: use {item.unit.value}", "unit")
    low = item.lower is not None and value < item.lower
    high = item.upper is not None and value > item.upper
    return Result(
        value=value,
        unit=item.unit,
        entered=None if unit is item.unit else float(given.value),
        entered_unit=None if unit is item.unit else unit,
        outcome=Outcome.FAILED if low or high else Outcome.PASSED,
        note=given.note,
    )


def _result(item: Item, given: ResultIn, *, passed: bool) -> Result:
    return Result(value=given.value, outcome=Outcome.PASSED if passed else Outcome.FAILED, note=given.note)


def _problem(item: OrderItem, field: str, message: str, kind: str) -> ValueProblem:
    return ValueProblem(path=f"results.{item.key}.{field}", message=message, kind=kind)

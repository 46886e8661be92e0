"""The seed catalogue: plan templates with their sources, read from catalogue.yaml once, at start."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from facility.config import read_yaml
from server.assets.models import AssetCategory
from server.kit.problems import NotFound
from server.kit.schemas import Name, Slug
from server.maintenance.checklist import Template as Items
from server.maintenance.recurrence import MAX_INTERVAL, MAX_RULE, Step
from server.maintenance.schedule import CatchUp
from server.maintenance.schemas import AnyRule, Days, Fixed, Floating, PlanFromTemplate, PlanIn, WallTime

FILE = Path(__file__).parent / "catalogue.yaml"


class Verified(StrEnum):
    """How far a template's intervals and limits are confirmed. None is a quotation of a standard's clause."""

    SOURCE = "source"  # read in the named source itself
    SECONDARY = "secondary"  # read in a page that reports the standard
    PRACTICE = "practice"  # vendors' and operators' practice
    DEFAULT = "default"  # a sensible start; set it for your equipment


class TemplateRule(BaseModel):
    """A rule without its beginning: RFC 5545 text, or every so many days or months from completion."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rrule: str | None = Field(default=None, max_length=MAX_RULE)
    every: int | None = Field(default=None, ge=1, le=MAX_INTERVAL)
    step: Step | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "TemplateRule":
        if (self.rrule is None) == (self.every is None) or (self.every is None) != (self.step is None):
            raise ValueError("either rrule, or every and step")
        return self

    def starting(self, dtstart: WallTime) -> AnyRule:
        if self.rrule is not None:
            return Fixed(rrule=self.rrule, dtstart=dtstart)
        return Floating.model_validate({"every": self.every, "step": self.step, "dtstart": dtstart})


class PlanTemplate(BaseModel):
    """A plan to start from. Everything in it can be changed in the plan made from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Slug
    category: AssetCategory
    title_en: Name
    title_zh: Name
    rule: TemplateRule
    lead_days: Days
    tolerance_days: Days
    catch_up: CatchUp = CatchUp.LATEST
    source: Annotated[str, Field(min_length=1, max_length=300)]
    verified: Verified
    checklist: Items

    def plan(self, body: PlanFromTemplate) -> PlanIn:
        """The plan this template makes, with what the body says otherwise; a site's plan is for the category."""
        given = body.model_dump(exclude={"template", "dtstart"}, exclude_none=True)
        defaults = self.model_dump(
            include={"title_en", "title_zh", "lead_days", "tolerance_days", "catch_up", "checklist"}
        )
        category = None if body.site is None else self.category
        return PlanIn.model_validate(
            {**defaults, **given, "category": category, "rule": self.rule.starting(body.dtstart)}
        )


class Catalogue:
    """Templates by id, in the order of the file."""

    def __init__(self, templates: Mapping[str, PlanTemplate]) -> None:
        self.templates = templates

    def get(self, key: str) -> PlanTemplate:
        if key not in self.templates:
            raise NotFound("plan template", key)
        return self.templates[key]


def load_catalogue(path: Path = FILE) -> Catalogue:
    """ConfigErrors for a file that is no YAML; ValueError names the template and field for one that is not right."""
    templates: dict[str, PlanTemplate] = {}
    for entry in read_yaml(path, shown=path.name).data["templates"]:
        name = entry.get("id", "without id")
        try:
            template = PlanTemplate.model_validate(entry)
        except ValidationError as error:
            raise ValueError(f"{path.name}, template {name}: {error}") from error
        if template.id in templates:
            raise ValueError(f"{path.name}: two templates are called {template.id}")
        templates[template.id] = template
    return Catalogue(templates)

"""What the API takes and shows of maintenance."""

from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, NaiveDatetime, model_validator

from server.assets.models import AssetCategory
from server.kit.schemas import Body, Name, Shown, Slug
from server.maintenance.checklist import OrderItem, Result, ResultIn, Template
from server.maintenance.figures import Month
from server.maintenance.models import SAID_BY_PEOPLE, Order, OrderState, Plan, SkipReason
from server.maintenance.recurrence import MAX_INTERVAL, MAX_RULE, FixedRule, FloatingRule, Rule, Step
from server.maintenance.schedule import CatchUp, DueReason

Days = Annotated[int, Field(ge=0, le=365)]


def _wall_time(at: datetime) -> datetime:
    if not 1990 <= at.year <= 2200:
        raise ValueError("a year from 1990 to 2200")
    return at.replace(second=0, microsecond=0)


# Wall time at the site, without an offset: an offset would be wrong for half of the year.
WallTime = Annotated[
    NaiveDatetime, AfterValidator(_wall_time), Field(description="wall time at the site, such as 2026-04-01T09:00")
]


class _RuleBody(BaseModel):
    model_config = ConfigDict(extra="forbid", from_attributes=True)


class Fixed(_RuleBody):
    """Due on the days of the rule, whenever the work was done."""

    kind: Literal["fixed"] = "fixed"
    rrule: str = Field(max_length=MAX_RULE, description="RFC 5545, such as FREQ=MONTHLY;BYDAY=1MO")
    dtstart: WallTime

    def rule(self) -> Rule:
        return FixedRule(rrule=self.rrule, dtstart=self.dtstart)


class Floating(_RuleBody):
    """Due so many days or months after the work was last done; first on the day of `dtstart`."""

    kind: Literal["floating"] = "floating"
    every: int = Field(ge=1, le=MAX_INTERVAL)
    step: Step
    dtstart: WallTime

    def rule(self) -> Rule:
        return FloatingRule(every=self.every, step=self.step, dtstart=self.dtstart)


AnyRule = Annotated[Fixed | Floating, Field(discriminator="kind")]


class PlanIn(Body):
    """For one asset, or for all assets of a category at a site."""

    asset: str | None = Field(default=None, description="id of the asset")
    site: str | None = Field(default=None, description="id of the site, with a category")
    category: AssetCategory | None = None
    title_en: Name
    title_zh: Name
    rule: AnyRule
    lead_days: Days = 14
    tolerance_days: Days = 7
    catch_up: CatchUp = CatchUp.LATEST
    checklist: Template

    @model_validator(mode="after")
    def _one_target(self) -> "PlanIn":
        if self.asset is None and (self.site is None or self.category is None):
            raise ValueError("name an asset, or a site and a category")
        if self.asset is not None and (self.site is not None or self.category is not None):
            raise ValueError("an asset has its site and category already: leave them out")
        return self


class PlanFromTemplate(Body):
    """A plan from the catalogue, for one asset or for all of the template's category at a site.

    What is left out is the template's.
    """

    template: Slug
    asset: str | None = Field(default=None, description="id of the asset")
    site: str | None = Field(default=None, description="id of the site")
    dtstart: WallTime
    title_en: Name | None = None
    title_zh: Name | None = None
    lead_days: Days | None = None
    tolerance_days: Days | None = None
    catch_up: CatchUp | None = None

    @model_validator(mode="after")
    def _one_target(self) -> "PlanFromTemplate":
        if (self.asset is None) == (self.site is None):
            raise ValueError("name either an asset or a site")
        return self


class PlanChange(Body):
    """A new rule, or being active again, counts from today on: what lies before is not made up for."""

    starts_anew: ClassVar[frozenset[str]] = frozenset({"rrule", "every", "step", "dtstart"})

    title_en: Name | None = None
    title_zh: Name | None = None
    rule: AnyRule | None = None
    lead_days: Days | None = None
    tolerance_days: Days | None = None
    catch_up: CatchUp | None = None
    checklist: Template | None = None
    active: bool | None = None


class PlanOut(Shown):
    id: str
    customer_id: str
    site_id: str
    site: str
    zone: str
    asset_id: str | None
    category: AssetCategory | None
    title_en: str
    title_zh: str
    rule: AnyRule
    lead_days: int
    tolerance_days: int
    catch_up: CatchUp
    checklist: list[dict[str, Any]]
    template: str | None
    active: bool
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Plan) -> "PlanOut":
        """`row.site` is loaded."""
        joined = {"site", "zone", "rule"}
        return cls(
            **{name: getattr(row, name) for name in cls.model_fields if name not in joined},
            site=row.site.code,
            zone=row.site.zone,
            rule=Floating.model_validate(row) if row.rrule is None else Fixed.model_validate(row),
        )


class OrderOut(Shown):
    """`reason` is why it was made; `overdue` is an open order whose day and tolerance are over."""

    id: str
    customer_id: str
    site_id: str
    site: str
    plan_id: str
    title_en: str
    title_zh: str
    due_on: date
    due_at: datetime
    overdue_at: datetime
    overdue: bool
    reason: DueReason
    state: OrderState
    ticket_id: str | None
    failed_items: int
    note: str
    completed_at: datetime | None
    completed_by: str | None
    on_time: bool | None
    skip_reason: SkipReason | None
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Order, now: datetime) -> "OrderOut":
        return cls(**_order_fields(row, now))


class OrderDetail(OrderOut):
    """With the checklist as copied from the plan at `plan_version`, and the results by item key."""

    plan_version: int
    items: list[OrderItem]
    truncated: bool
    results: dict[str, Result]

    @classmethod
    def of(cls, row: Order, now: datetime) -> "OrderDetail":
        return cls(
            **_order_fields(row, now),
            plan_version=row.checklist["plan_version"],
            items=row.checklist["items"],
            truncated=row.checklist["truncated"],
            results=row.results or {},
        )


def _order_fields(row: Order, now: datetime) -> dict[str, Any]:
    joined = {"site", "overdue"}
    fields = {name: getattr(row, name) for name in OrderOut.model_fields if name not in joined}
    return {**fields, "site": row.site.code, "overdue": row.state is OrderState.OPEN and row.overdue_at <= now}


class Completion(Body):
    """Results by item key. `performed_at`: when the work was done, if that was not just now."""

    results: Annotated[dict[str, ResultIn], Field(max_length=20_000)]
    note: str = Field(default="", max_length=2000)
    performed_at: AwareDatetime | None = None


class Skip(Body):
    reason: SkipReason
    note: str = Field(default="", max_length=2000)

    @model_validator(mode="after")
    def _a_persons_word(self) -> "Skip":
        if self.reason not in SAID_BY_PEOPLE:
            raise ValueError(f"reason: one of {', '.join(sorted(SAID_BY_PEOPLE))}")
        if self.reason is SkipReason.OTHER and not self.note:
            raise ValueError("another reason needs a note")
        return self


class CalendarEvent(Shown):
    """An order, or (`planned`) a day on which there will be one. `order_id` is null for the latter."""

    plan_id: str
    order_id: str | None
    ticket_id: str | None
    site_id: str
    site: str
    title_en: str
    title_zh: str
    due_on: date
    due_at: datetime
    state: OrderState | Literal["planned"]
    overdue: bool


class ComplianceOut(Shown):
    """One month of due days. due = on_time + late + skipped + overdue; what is still pending is not in it.

    `compliance` is on_time of due in percent, null when nothing was due.
    """

    month: str
    due: int
    on_time: int
    late: int
    skipped: int
    overdue: int
    pending: int
    compliance: float | None

    @classmethod
    def of(cls, name: str, month: Month) -> "ComplianceOut":
        return cls(
            month=name,
            due=month.due,
            on_time=month.on_time,
            late=month.late,
            skipped=month.skipped,
            overdue=month.overdue,
            pending=month.pending,
            compliance=month.compliance,
        )

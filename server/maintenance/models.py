"""Tables of maintenance: plans, and the orders made from them."""

from datetime import date, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from server.assets.models import Asset, AssetCategory
from server.customers.models import Site
from server.db.base import Base, Json, JsonOrNull, PrimaryId
from server.db.types import str_enum
from server.kit.scope import SiteScoped
from server.kit.versioned import Versioned
from server.maintenance.recurrence import Step
from server.maintenance.schedule import CatchUp, DueReason


class OrderState(StrEnum):
    OPEN = "open"
    DONE = "done"
    SKIPPED = "skipped"


class SkipReason(StrEnum):
    """Why work was not done. The first three are the program's words, the others a person's."""

    MISSED = "missed"
    SUPERSEDED = "superseded"
    NO_ASSETS = "no_assets"
    NO_ACCESS = "no_access"
    CUSTOMER_REQUEST = "customer_request"
    OUT_OF_SERVICE = "out_of_service"
    DONE_ELSEWHERE = "done_elsewhere"
    OTHER = "other"


SAID_BY_PEOPLE = frozenset(SkipReason) - {SkipReason.MISSED, SkipReason.SUPERSEDED, SkipReason.NO_ASSETS}


class Plan(SiteScoped, Versioned, Base):
    """Work that recurs, on one asset or on all assets of a category at the site.

    Fixed when `rrule` is set, floating when `every` and `step` are. `dtstart` is wall time in the site's zone, the one
    time in the database that is not UTC: it must not move when a zone's rules change. `settled_on`: nothing up to and
    including this day will be made any more; moved by the generator without a new `version`.
    """

    __tablename__ = "maintenance_plans"

    id: Mapped[PrimaryId]
    asset_id: Mapped[str | None] = mapped_column(sa.String(36), sa.ForeignKey("assets.id"), index=True)
    category: Mapped[AssetCategory | None] = mapped_column(str_enum(AssetCategory, "category"))
    title_en: Mapped[str] = mapped_column(sa.String(200))
    title_zh: Mapped[str] = mapped_column(sa.String(200))
    rrule: Mapped[str | None] = mapped_column(sa.String(200))
    every: Mapped[int | None]
    step: Mapped[Step | None] = mapped_column(str_enum(Step, "step"))
    dtstart: Mapped[datetime] = mapped_column(sa.DateTime(timezone=False))
    lead_days: Mapped[int]
    tolerance_days: Mapped[int]
    catch_up: Mapped[CatchUp] = mapped_column(str_enum(CatchUp, "catch_up"))
    checklist: Mapped[Json]
    template: Mapped[str | None] = mapped_column(sa.String(63))
    active: Mapped[bool]
    settled_on: Mapped[date] = mapped_column(sa.Date)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    site: Mapped[Site] = relationship(lazy="raise")
    asset: Mapped[Asset | None] = relationship(lazy="raise")

    __table_args__ = (
        sa.CheckConstraint("(asset_id IS NULL) <> (category IS NULL)", name="target"),
        sa.CheckConstraint("(rrule IS NULL) <> (every IS NULL) AND (every IS NULL) = (step IS NULL)", name="rule"),
    )


class Order(SiteScoped, Versioned, Base):
    """One dated piece of work. It carries everything of the plan it needs, as it was at `checklist.plan_version`.

    `due_on` is the site's day. Open and past `overdue_at` (the end of the day and the tolerance) is overdue. `reason`
    says why it was made. `counted_from`: the day a floating plan counts the next from; set when done or skipped.
    """

    __tablename__ = "maintenance_orders"

    id: Mapped[PrimaryId]
    plan_id: Mapped[str] = mapped_column(sa.String(36), sa.ForeignKey("maintenance_plans.id"))
    title_en: Mapped[str] = mapped_column(sa.String(410))
    title_zh: Mapped[str] = mapped_column(sa.String(410))
    due_on: Mapped[date] = mapped_column(sa.Date)
    due_at: Mapped[datetime] = mapped_column(index=True)
    overdue_at: Mapped[datetime]
    reason: Mapped[DueReason] = mapped_column(str_enum(DueReason, "reason"))
    state: Mapped[OrderState] = mapped_column(str_enum(OrderState, "state"))
    ticket_id: Mapped[str | None] = mapped_column(sa.String(36), sa.ForeignKey("tickets.id"), index=True)
    checklist: Mapped[Json]
    results: Mapped[JsonOrNull]
    failed_items: Mapped[int]
    note: Mapped[str] = mapped_column(sa.String(2000))
    completed_at: Mapped[datetime | None]
    completed_by: Mapped[str | None] = mapped_column(sa.String(64))
    on_time: Mapped[bool | None]
    skip_reason: Mapped[SkipReason | None] = mapped_column(str_enum(SkipReason, "skip_reason"))
    counted_from: Mapped[date | None] = mapped_column(sa.Date)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    site: Mapped[Site] = relationship(lazy="raise")
    plan: Mapped[Plan] = relationship(lazy="raise")

    __table_args__ = (sa.UniqueConstraint("plan_id", "due_on"), sa.Index(None, "state", "overdue_at"))

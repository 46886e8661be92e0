"""REST of maintenance."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from server.assets.models import AssetCategory
from server.kit.paging import Page, Paging, page_of
from server.kit.principal import Permission
from server.kit.problems import BadRequest
from server.kit.requests import Now, Read, UnitRoute, Write, provide, require
from server.kit.scope import Scope
from server.kit.versioned import IfMatch, set_etag
from server.maintenance import planner, repository, service
from server.maintenance.catalogue import Catalogue, PlanTemplate
from server.maintenance.figures import compliance
from server.maintenance.models import OrderState
from server.maintenance.orders import Orders
from server.maintenance.repository import OrderFilter
from server.maintenance.schemas import (
    CalendarEvent,
    Completion,
    ComplianceOut,
    OrderDetail,
    OrderOut,
    PlanChange,
    PlanFromTemplate,
    PlanIn,
    PlanOut,
    Skip,
)

router = APIRouter(prefix="/maintenance", route_class=UnitRoute, tags=["maintenance"])

Seen = Annotated[Scope, require(Permission.MAINTENANCE_READ)]
Plans = Annotated[Scope, require(Permission.MAINTENANCE_PLAN)]
Works = Annotated[Scope, require(Permission.MAINTENANCE_WORK)]
Service = Annotated[Orders, provide(Orders)]
Templates = Annotated[Catalogue, provide(Catalogue)]
Id = Annotated[str | None, Query(max_length=36)]
Day = Annotated[date, Field(ge=date(1990, 1, 1), le=date(2200, 1, 1))]
From = Annotated[Day | None, Query(alias="from", description="first due day, by the site's calendar")]
To = Annotated[Day | None, Query(alias="to", description="last due day, inclusive")]


def _month_of(now: datetime, first: date | None, last: date | None) -> tuple[date, date]:
    """The days asked for; what is not said is filled up to a month, the present one when nothing is."""
    first = first or (last or now.date()).replace(day=1)
    return first, last or (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


@router.get("/templates")
async def list_templates(scope: Seen, catalogue: Templates) -> Page[PlanTemplate]:
    return Page(items=list(catalogue.templates.values()))


@router.get("/plans")
async def list_plans(
    session: Read,
    scope: Seen,
    page: Paging,
    site: Id = None,
    asset: Id = None,
    category: AssetCategory | None = None,
    active: bool | None = None,
) -> Page[PlanOut]:
    found = await repository.list_plans(session, scope, page, site=site, asset=asset, category=category, active=active)
    return page_of(found, PlanOut.of)


@router.post("/plans", status_code=201)
async def create_plan(body: PlanIn, response: Response, session: Write, scope: Plans, now: Now) -> PlanOut:
    row = await service.create_plan(session, scope, body, template=None, now=now)
    set_etag(response, row)
    return PlanOut.of(row)


@router.post("/plans/from-template", status_code=201)
async def create_plan_from_template(
    body: PlanFromTemplate, response: Response, session: Write, scope: Plans, catalogue: Templates, now: Now
) -> PlanOut:
    row = await service.create_from_template(session, scope, catalogue, body, now=now)
    set_etag(response, row)
    return PlanOut.of(row)


@router.get("/plans/{plan_id}")
async def get_plan(plan_id: str, response: Response, session: Read, scope: Seen) -> PlanOut:
    row = await repository.get_plan(session, scope, plan_id)
    set_etag(response, row)
    return PlanOut.of(row)


@router.patch("/plans/{plan_id}")
async def change_plan(
    plan_id: str, body: PlanChange, response: Response, session: Write, scope: Plans, if_match: IfMatch, now: Now
) -> PlanOut:
    row = await service.change_plan(session, scope, plan_id, body, if_match=if_match, now=now)
    set_etag(response, row)
    return PlanOut.of(row)


@router.get("/orders")
async def list_orders(
    session: Read,
    scope: Seen,
    page: Paging,
    now: Now,
    site: Id = None,
    plan: Id = None,
    ticket: Id = None,
    state: Annotated[Sequence[OrderState], Query()] = (),
    since: From = None,
    until: To = None,
    overdue: bool | None = None,
) -> Page[OrderOut]:
    wanted = OrderFilter(site=site, plan=plan, ticket=ticket, states=state, since=since, until=until, overdue=overdue)
    found = await repository.list_orders(session, scope, page, wanted=wanted, now=now)
    return page_of(found, lambda row: OrderOut.of(row, now))


@router.get("/orders/{order_id}")
async def get_order(order_id: str, response: Response, session: Read, scope: Seen, now: Now) -> OrderDetail:
    row = await repository.get_order(session, scope, order_id)
    set_etag(response, row)
    return OrderDetail.of(row, now)


@router.post("/orders/{order_id}/complete")
async def complete_order(
    order_id: str, body: Completion, response: Response, session: Write, scope: Works, orders: Service, now: Now
) -> OrderDetail:
    row = await orders.complete(session, scope, order_id, body, now=now)
    set_etag(response, row)
    return OrderDetail.of(row, now)


@router.post("/orders/{order_id}/skip")
async def skip_order(
    order_id: str, body: Skip, response: Response, session: Write, scope: Works, orders: Service, now: Now
) -> OrderDetail:
    row = await orders.skip(session, scope, order_id, body, now=now)
    set_etag(response, row)
    return OrderDetail.of(row, now)


@router.get("/calendar")
async def calendar(
    session: Read, scope: Seen, now: Now, first: From = None, last: To = None, site: Id = None
) -> Page[CalendarEvent]:
    """The present month where no days are named."""
    first, last = _month_of(now, first, last)
    found = await planner.events_between(session, scope, first=first, last=last, site=site, now=now)
    return Page(items=list(found))


@router.get("/compliance")
async def punctuality(
    session: Read, scope: Seen, now: Now, first: From = None, last: To = None, site: Id = None
) -> Page[ComplianceOut]:
    """How much of what was due in each month was done within its tolerance; at most three years."""
    first, last = _month_of(now, first, last)
    if not 0 <= (last - first).days <= 3 * 366:
        raise BadRequest("`from` is at most three years before `to`", code="range")
    rows = await repository.outcomes(session, scope, first=first, last=last, site=site, now=now)
    return Page(items=[ComplianceOut.of(name, month) for name, month in compliance(rows).items()])

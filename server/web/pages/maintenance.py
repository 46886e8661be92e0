"""Maintenance: the month's calendar, plans, and orders with their checklists."""

from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, Response
from pydantic import NaiveDatetime

from server.assets import repository as assets
from server.customers import repository as customers
from server.db.session import ReadSession
from server.kit.paging import MAX_LIMIT, PageRequest
from server.kit.principal import Permission
from server.kit.problems import BadRequest
from server.kit.requests import Now, Read, UnitRoute, Write, provide, require
from server.kit.scope import Scope
from server.maintenance import planner, repository, service
from server.maintenance.catalogue import Catalogue
from server.maintenance.checklist import Checklist, Result
from server.maintenance.models import SAID_BY_PEOPLE, OrderState, SkipReason
from server.maintenance.orders import Orders
from server.maintenance.repository import OrderFilter
from server.maintenance.schemas import Completion, PlanFromTemplate, Skip
from server.people import repository as people
from server.tickets import repository as tickets
from server.web.checks import fields, results
from server.web.filters import choice, older
from server.web.pages.alarms import Cursor
from server.web.view import PageRoute, TheView

router = APIRouter(route_class=PageRoute)
json_router = APIRouter(route_class=UnitRoute)

Seen = require(Permission.MAINTENANCE_READ)
Works = require(Permission.MAINTENANCE_WORK)
Plans = require(Permission.MAINTENANCE_PLAN)
Service = provide(Orders)
Templates = provide(Catalogue)
UPCOMING = 20
OLD_ORDERS = 50
_EVERYTHING = PageRequest(limit=MAX_LIMIT)


@router.get("/maintenance")
async def overview(view: TheView, session: Read, scope: Scope = Seen) -> Response:
    open_ones, _ = await repository.list_orders(
        session, scope, PageRequest(limit=UPCOMING), wanted=OrderFilter(states=(OrderState.OPEN,)), now=view.now
    )
    overdue, _ = await repository.list_orders(
        session, scope, PageRequest(limit=UPCOMING), wanted=OrderFilter(overdue=True), now=view.now
    )
    late = {order.id for order in overdue}
    return view.page(
        "maintenance.html",
        overdue=overdue,
        upcoming=[order for order in open_ones if order.id not in late],
        plans=await _plan_count(session, scope),
        may_plan=scope.may(Permission.MAINTENANCE_PLAN),
    )


async def _plan_count(session: ReadSession, scope: Scope) -> int:
    return len(await repository.active_plans(session, scope))


@json_router.get("/web/maintenance/calendar")
async def calendar(view: TheView, session: Read, start: date, end: date, scope: Scope = Seen) -> JSONResponse:
    """What the calendar shows from `start` to the day before `end`."""
    ui = view.ui()
    found = await planner.events_between(
        session, scope, first=start, last=end - timedelta(days=1), site=None, now=view.now
    )
    events = []
    for event in found:
        state = "overdue" if event.overdue else str(event.state)
        path = f"/maintenance/orders/{event.order_id}" if event.order_id else f"/maintenance/plans/{event.plan_id}"
        events.append(
            {
                "id": f"{event.plan_id}/{event.due_on}",
                "day": event.due_on.isoformat(),
                "title": ui.pick(event.title_en, event.title_zh),
                "state": state,
                "word": ui.word("order", state),
                "path": path,
            }
        )
    return JSONResponse(events, headers={"Cache-Control": "no-store", "Vary": "Cookie"})


@router.get("/maintenance/plans")
async def list_plans(view: TheView, session: Read, scope: Scope = Seen, cursor: Cursor = None) -> Response:
    page = PageRequest(cursor=cursor, limit=50)
    rows, following = await repository.list_plans(
        session, scope, page, site=None, asset=None, category=None, active=None
    )
    return view.page(
        "plans.html",
        plans=rows,
        older=older(view.request, following),
        may_plan=scope.may(Permission.MAINTENANCE_PLAN),
    )


@router.get("/maintenance/plans/new")
async def new_plan(view: TheView, session: Read, scope: Scope = Plans, catalogue: Catalogue = Templates) -> Response:
    found, _ = await assets.list_assets(
        session, scope, _EVERYTHING, wanted=assets.AssetFilter(active=True), now=view.now
    )
    sites, _ = await customers.list_sites(session, scope, _EVERYTHING, customer=None, active=True)
    return view.page(
        "plan_new.html",
        templates=sorted(catalogue.templates.values(), key=lambda template: template.category.value),
        assets=found,
        sites=sites,
        tomorrow=(view.now + timedelta(days=1)).strftime("%Y-%m-%dT09:00"),
    )


@router.post("/maintenance/plans/new")
async def create_plan(
    view: TheView,
    session: Write,
    now: Now,
    template: Annotated[str, Form(max_length=63)],
    target: Annotated[str, Form(max_length=80)],
    dtstart: Annotated[NaiveDatetime, Form()],
    scope: Scope = Plans,
    catalogue: Catalogue = Templates,
) -> Response:
    """`target` is `asset:ID`, or `site:ID` for all of the template's category there."""
    chosen = catalogue.get(template)
    kind, _, key = target.partition(":")
    where = {"site": key, "category": chosen.category} if kind == "site" else {"asset": key}
    body = PlanFromTemplate.model_validate({"template": template, "dtstart": dtstart, **where})
    row = await service.create_plan(session, scope, chosen.plan(body), template=template, now=now)
    return view.go(f"/maintenance/plans/{row.id}", done="saved")


@router.get("/maintenance/plans/{plan_id}")
async def plan(plan_id: str, view: TheView, session: Read, scope: Scope = Seen) -> Response:
    row = await repository.get_plan(session, scope, plan_id)
    today = view.now.date()
    coming = await planner.events_between(
        session, scope, first=today, last=today + timedelta(days=planner.MAX_DAYS - 1), site=row.site_id, now=view.now
    )
    done, _ = await repository.list_orders(
        session, scope, _EVERYTHING, wanted=OrderFilter(plan=row.id, until=today), now=view.now
    )
    asset = None
    if row.asset_id is not None and scope.may(Permission.ASSETS_READ):
        asset = await assets.get_asset(session, scope, row.asset_id)
    return view.page(
        "plan.html",
        zone=row.site.zone,
        plan=row,
        covered=asset,
        coming=[event for event in coming if event.plan_id == row.id],
        done=list(reversed(done))[:OLD_ORDERS],
    )


@router.get("/maintenance/orders/{order_id}")
async def order(order_id: str, view: TheView, session: Read, scope: Scope = Seen) -> Response:
    return await _order_page(view, session, scope, order_id, {}, [])


async def _order_page(
    view: TheView,
    session: ReadSession,
    scope: Scope,
    order_id: str,
    typed: Any,
    errors: Any,
) -> Response:
    row = await repository.get_order(session, scope, order_id)
    checklist = Checklist.model_validate(row.checklist)
    ticket = None
    if row.ticket_id is not None and scope.may(Permission.TICKETS_READ):
        ticket = await tickets.get_ticket(session, scope, row.ticket_id)
    names = {user.id: user.name for user in await people.active_users(session)}
    return view.page(
        "order.html",
        zone=row.site.zone,
        status=400 if errors else 200,
        order=row,
        overdue=row.state is OrderState.OPEN and row.overdue_at <= view.now,
        fields=fields(checklist.items, typed, errors),
        truncated=checklist.truncated,
        results={key: Result.model_validate(value) for key, value in (row.results or {}).items()},
        wrong=len(errors),
        note=str(typed.get("note", "")),
        ticket=ticket,
        by=names.get(row.completed_by or "", ""),
        may_work=row.state is OrderState.OPEN and scope.may(Permission.MAINTENANCE_WORK),
        skip_reasons=[reason for reason in SkipReason if reason in SAID_BY_PEOPLE],
    )


@router.post("/maintenance/orders/{order_id}/complete")
async def complete(
    order_id: str,
    request: Request,
    view: TheView,
    session: Write,
    now: Now,
    scope: Scope = Works,
    orders: Orders = Service,
) -> Response:
    """What is missing or wrong comes back with the form, filled in as it was."""
    typed = await request.form()
    row = await repository.get_order(session, scope, order_id)
    items = Checklist.model_validate(row.checklist).items
    body = Completion(results=results(items, typed), note=str(typed.get("note", "")))
    try:
        await orders.complete(session, scope, order_id, body, now=now)
    except BadRequest as problem:
        if problem.code != "checklist":
            raise
        return await _order_page(view, session, scope, order_id, typed, problem.errors)
    return view.go(f"/maintenance/orders/{order_id}", done="finished")


@router.post("/maintenance/orders/{order_id}/skip")
async def skip(
    order_id: str,
    view: TheView,
    session: Write,
    now: Now,
    reason: Annotated[str, Form(max_length=32)],
    note: Annotated[str, Form(max_length=2000)] = "",
    scope: Scope = Works,
    orders: Orders = Service,
) -> Response:
    body = Skip(reason=choice(SkipReason, reason) or SkipReason.OTHER, note=note)
    await orders.skip(session, scope, order_id, body, now=now)
    return view.go(f"/maintenance/orders/{order_id}", done="skipped")

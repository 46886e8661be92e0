"""The asset register: what stands where, until when it is under warranty, and what was done to it."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from server.assets import repository, service
from server.assets.models import Asset, AssetCategory
from server.assets.warranty import WarrantyStatus
from server.customers import repository as customers
from server.db.session import ReadSession
from server.fleet import repository as fleet
from server.kit.paging import MAX_LIMIT, PageRequest
from server.kit.principal import Permission
from server.kit.requests import Read, require
from server.kit.scope import Scope
from server.maintenance import planner
from server.maintenance import repository as maintenance
from server.maintenance.models import Order, OrderState
from server.tickets import repository as tickets
from server.tickets.states import OPEN_STATES
from server.web.filters import Chosen, choice, older
from server.web.pages.alarms import Cursor
from server.web.view import PageRoute, TheView

router = APIRouter(route_class=PageRoute)

Seen = require(Permission.ASSETS_READ)
A_PAGE = 50
MOST_TICKETS = 20
LAST_YEAR = timedelta(days=400)


@router.get("/assets")
async def list_assets(
    view: TheView,
    session: Read,
    scope: Scope = Seen,
    site: Chosen = "",
    category: Chosen = "",
    status: Chosen = "",
    within: Annotated[str, Query(pattern=r"^\d{0,4}$")] = "",
    cursor: Cursor = None,
) -> Response:
    """`within`: only those whose warranty ends in so many days, today included."""
    wanted = repository.AssetFilter(
        site=site or None,
        category=choice(AssetCategory, category),
        active=True,
        status=choice(WarrantyStatus, status),
        warranty_within_days=int(within) if within else None,
    )
    page = PageRequest(cursor=cursor, limit=A_PAGE)
    rows, following = await repository.list_assets(session, scope, page, wanted=wanted, now=view.now)
    soon = repository.AssetFilter(active=True, warranty_within_days=30)
    ending, _ = await repository.list_assets(session, scope, PageRequest(limit=MAX_LIMIT), wanted=soon, now=view.now)
    sites, _ = await customers.list_sites(session, scope, PageRequest(limit=MAX_LIMIT), customer=None, active=None)
    return view.page(
        "assets.html",
        assets=[(row, service.shown(row, view.now)) for row in rows],
        ending=len(ending),
        sites=sites,
        categories=list(AssetCategory),
        statuses=list(WarrantyStatus),
        chosen={"site": site, "category": category, "status": status, "within": within},
        filtered=bool(site or category or status or within),
        older=older(view.request, following),
    )


@router.get("/assets/{asset_id}")
async def asset(asset_id: str, view: TheView, session: Read, scope: Scope = Seen) -> Response:
    row = await repository.get_asset(session, scope, asset_id)
    device, done = None, []
    if row.device and scope.may(Permission.FLEET_READ):
        device = await fleet.find_device(session, scope, row.site_id, row.device)
    if row.device and scope.may(Permission.TICKETS_READ):
        found, _ = await tickets.list_tickets(
            session, scope, PageRequest(limit=MOST_TICKETS), site=row.site_id, device=row.device
        )
        done = list(found)
    return view.page(
        "asset.html",
        zone=row.site.zone,
        may_maintenance=scope.may(Permission.MAINTENANCE_READ),
        **await _maintenance(view, session, scope, row),
        row=row,
        shown=service.shown(row, view.now),
        device=device,
        tickets=done,
        open_tickets=[ticket for ticket in done if ticket.state in OPEN_STATES],
        present=await repository.present_asset(session, scope, row.id) if row.replaced_by_id else None,
    )


async def _maintenance(view: TheView, session: ReadSession, scope: Scope, row: Asset) -> dict[str, Any]:
    """The plans that cover an asset, what was done last by them and what comes next."""
    if not scope.may(Permission.MAINTENANCE_READ):
        return {"plans": [], "last_order": None, "next_event": None}
    plans = [
        plan
        for plan in await maintenance.active_plans(session, scope, site=row.site_id)
        if plan.asset_id == row.id or plan.category == row.category
    ]
    covering = {plan.id for plan in plans}
    today = service.site_day(row.site, view.now)
    last_day = today + timedelta(days=planner.MAX_DAYS - 1)
    coming = (
        []
        if not plans
        else await planner.events_between(session, scope, first=today, last=last_day, site=row.site_id, now=view.now)
    )
    done: list[Order] = []
    for plan in plans:
        wanted = maintenance.OrderFilter(plan=plan.id, states=(OrderState.DONE,), since=today - LAST_YEAR)
        found, _ = await maintenance.list_orders(
            session, scope, PageRequest(limit=MAX_LIMIT), wanted=wanted, now=view.now
        )
        done += found
    return {
        "plans": plans,
        "last_order": max(done, key=lambda order: order.due_at, default=None),
        "next_event": next(
            (e for e in coming if e.plan_id in covering and e.state in (OrderState.OPEN, "planned")), None
        ),
    }

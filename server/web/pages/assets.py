"""The asset register: what stands where, until when it is under warranty, and what was done to it."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from server.assets import repository, service
from server.assets.models import AssetCategory
from server.assets.warranty import WarrantyStatus
from server.customers import repository as customers
from server.fleet import repository as fleet
from server.kit.paging import MAX_LIMIT, PageRequest
from server.kit.principal import Permission
from server.kit.requests import Read, require
from server.kit.scope import Scope
from server.tickets import repository as tickets
from server.tickets.states import OPEN_STATES
from server.web.filters import Chosen, choice, older
from server.web.pages.alarms import Cursor
from server.web.view import PageRoute, TheView

router = APIRouter(route_class=PageRoute)

Seen = require(Permission.ASSETS_READ)
A_PAGE = 50
MOST_TICKETS = 20


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
        row=row,
        shown=service.shown(row, view.now),
        device=device,
        tickets=done,
        open_tickets=[ticket for ticket in done if ticket.state in OPEN_STATES],
        present=await repository.present_asset(session, scope, row.id) if row.replaced_by_id else None,
    )

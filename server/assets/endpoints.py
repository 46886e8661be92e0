"""REST of assets."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from server.assets import repository, service
from server.assets.models import AssetCategory
from server.assets.repository import AssetFilter
from server.assets.schemas import AssetChange, AssetIn, AssetOut
from server.assets.warranty import MAX_MONTHS, WarrantyStatus
from server.kit.paging import Page, Paging, page_of
from server.kit.principal import Permission
from server.kit.requests import Now, Read, UnitRoute, Write, require
from server.kit.scope import Scope
from server.kit.versioned import IfMatch, set_etag

router = APIRouter(route_class=UnitRoute, tags=["assets"])

Seen = Annotated[Scope, require(Permission.ASSETS_READ)]
Edits = Annotated[Scope, require(Permission.ASSETS_WRITE)]
Id = Annotated[str | None, Query(max_length=36)]
Within = Annotated[
    int | None,
    Query(ge=0, le=MAX_MONTHS * 31, description="in warranty today, and the last day is at most so many days away"),
]


@router.get("/assets")
async def list_assets(
    session: Read,
    scope: Seen,
    page: Paging,
    now: Now,
    site: Id = None,
    room: Id = None,
    category: AssetCategory | None = None,
    device: Annotated[str | None, Query(max_length=63)] = None,
    active: bool | None = None,
    status: WarrantyStatus | None = None,
    warranty_within_days: Within = None,
) -> Page[AssetOut]:
    wanted = AssetFilter(
        site=site,
        room=room,
        category=category,
        device=device,
        active=active,
        status=status,
        warranty_within_days=warranty_within_days,
    )
    found = await repository.list_assets(session, scope, page, wanted=wanted, now=now)
    return page_of(found, lambda row: service.shown(row, now))


@router.post("/assets", status_code=201)
async def create_asset(body: AssetIn, response: Response, session: Write, scope: Edits, now: Now) -> AssetOut:
    row = await service.create_asset(session, scope, body, now=now)
    set_etag(response, row)
    return service.shown(row, now)


@router.get("/assets/{asset_id}")
async def get_asset(asset_id: str, response: Response, session: Read, scope: Seen, now: Now) -> AssetOut:
    row = await repository.get_asset(session, scope, asset_id)
    set_etag(response, row)
    return service.shown(row, now)


@router.patch("/assets/{asset_id}")
async def change_asset(
    asset_id: str,
    body: AssetChange,
    response: Response,
    session: Write,
    scope: Edits,
    if_match: IfMatch,
    now: Now,
) -> AssetOut:
    row = await service.change_asset(session, scope, asset_id, body, if_match=if_match, now=now)
    set_etag(response, row)
    return service.shown(row, now)

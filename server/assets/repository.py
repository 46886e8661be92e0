"""All queries of assets. Every one takes a Scope; a row outside it is not found."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from server.assets.models import Asset, AssetCategory
from server.assets.warranty import WarrantyStatus
from server.customers.models import Site
from server.db.session import ReadSession
from server.kit.paging import Order, PageRequest, fetch_page
from server.kit.problems import NotFound
from server.kit.scope import Scope, scoped

ASSETS = Order("assets.name", Asset.name_en, Asset.id)
# A chain of replacements longer than this is a loop that should not exist.
MAX_CHAIN = 100

_WITH_PLACE = (joinedload(Asset.site), joinedload(Asset.room))


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetFilter:
    site: str | None = None
    room: str | None = None
    category: AssetCategory | None = None
    device: str | None = None
    active: bool | None = None
    status: WarrantyStatus | None = None
    warranty_within_days: int | None = None


async def get_asset(session: ReadSession, scope: Scope, asset_id: str) -> Asset:
    """With its site and room."""
    query = scoped(sa.select(Asset).where(Asset.id == asset_id), Asset, scope)
    row = await session.scalar(query.options(*_WITH_PLACE))
    if row is None:
        raise NotFound("asset", asset_id)
    return row


async def list_assets(
    session: ReadSession, scope: Scope, page: PageRequest, *, wanted: AssetFilter, now: datetime
) -> tuple[Sequence[Asset], str | None]:
    """With their sites and rooms, by name."""
    query = scoped(sa.select(Asset), Asset, scope).options(*_WITH_PLACE)
    for column, value in (
        (Asset.site_id, wanted.site),
        (Asset.room_id, wanted.room),
        (Asset.category, wanted.category),
        (Asset.device, wanted.device),
        (Asset.active, wanted.active),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.status is WarrantyStatus.NOT_ACCEPTED:
        query = query.where(Asset.warranty_end.is_(None))
    if wanted.warranty_within_days is not None or wanted.status in (WarrantyStatus.IN_WARRANTY, WarrantyStatus.EXPIRED):
        query = query.where(await _ends(session, scope, wanted, now))
    return await fetch_page(session, query, order=ASSETS, page=page)


async def _ends(session: ReadSession, scope: Scope, wanted: AssetFilter, now: datetime) -> sa.ColumnElement[bool]:
    """The condition on the last day. What today is depends on the site's zone: two days at most at any instant."""
    zones: dict[date, list[str]] = defaultdict(list)
    for zone in await session.scalars(scoped(sa.select(Site.zone).distinct(), Site, scope)):
        zones[now.astimezone(ZoneInfo(zone)).date()].append(zone)
    by_day = []
    for today, names in zones.items():
        conditions: list[sa.ColumnElement[bool]] = [
            Asset.site_id.in_(scoped(sa.select(Site.id), Site, scope).where(Site.zone.in_(names)))
        ]
        if wanted.status is WarrantyStatus.EXPIRED:
            conditions.append(Asset.warranty_end < today)
        else:
            conditions.append(Asset.warranty_end >= today)
        if wanted.warranty_within_days is not None:
            conditions.append(Asset.warranty_end.between(today, today + timedelta(days=wanted.warranty_within_days)))
        by_day.append(sa.and_(*conditions))
    return sa.or_(sa.false(), *by_day)


async def assets_of_category(
    session: ReadSession, scope: Scope, *, site_id: str, category: AssetCategory, limit: int
) -> Sequence[Asset]:
    """The active assets of one kind at a site, by name."""
    query = scoped(sa.select(Asset), Asset, scope).where(
        Asset.site_id == site_id, Asset.category == category, Asset.active.is_(True)
    )
    return (await session.scalars(query.order_by(Asset.name_en, Asset.id).limit(limit))).all()


async def present_asset(session: ReadSession, scope: Scope, asset_id: str) -> Asset | None:
    """What stands where this asset stood: itself, or the end of its chain of replacements; None when it left."""
    asset = await get_asset(session, scope, asset_id)
    for _ in range(MAX_CHAIN):
        if asset.active or asset.replaced_by_id is None:
            break
        asset = await get_asset(session, scope, asset.replaced_by_id)
    return asset if asset.active else None

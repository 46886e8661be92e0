"""Making and changing assets. Functions: there is no state to hold."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic_core import to_jsonable_python

from facility.clock import to_ms
from facility.ids import new_id
from server.assets import repository
from server.assets.models import Asset
from server.assets.schemas import AssetChange, AssetIn, AssetOut
from server.assets.warranty import warranty_end
from server.customers import repository as customers
from server.customers.models import Room, Site
from server.db.session import WriteSession
from server.kit.audit import audit, difference
from server.kit.problems import BadRequest, Conflict
from server.kit.scope import Scope
from server.kit.versioned import check_version


def site_day(site: Site, now: datetime) -> date:
    """The day it is at a site."""
    return now.astimezone(ZoneInfo(site.zone)).date()


def shown(row: Asset, now: datetime) -> AssetOut:
    """`row.site` and `row.room` are loaded."""
    return AssetOut.of(row, today=site_day(row.site, now))


async def create_asset(session: WriteSession, scope: Scope, body: AssetIn, *, now: datetime) -> Asset:
    site = await customers.get_site(session, scope, body.site)
    room = None if body.room is None else await _room_of(session, scope, site, body.room)
    old = None if body.replaces is None else await repository.get_asset(session, scope, body.replaces)
    _check_acceptance(site, body.accepted_on, now)
    asset = Asset(
        id=new_id(to_ms(now)),
        customer_id=site.customer_id,
        site_id=site.id,
        room_id=body.room,
        warranty_end=warranty_end(body.accepted_on, body.warranty_months),
        active=True,
        replaced_by_id=None,
        created_at=now,
        updated_at=now,
        site=site,
        room=room,
        **body.model_dump(exclude={"site", "room", "replaces"}),
    )
    session.add(asset)
    await session.flush()
    _record(session, scope, "created", asset, new=body.model_dump(), now=now)
    if old is not None:
        await _retire(session, scope, old, successor=asset, now=now)
    return asset


async def _retire(session: WriteSession, scope: Scope, old: Asset, *, successor: Asset, now: datetime) -> None:
    if old.site_id != successor.site_id:
        raise BadRequest("the replaced asset stands at another site", code="asset_of_other_site")
    if old.replaced_by_id is not None:
        raise Conflict("it was replaced before: name the asset that stands there now", code="replaced")
    old.active, old.replaced_by_id, old.updated_at = False, successor.id, now
    await session.flush()
    _record(session, scope, "replaced", old, new={"active": False, "replaced_by_id": successor.id}, now=now)


async def change_asset(
    session: WriteSession, scope: Scope, asset_id: str, body: AssetChange, *, if_match: str, now: datetime
) -> Asset:
    """Apply what the body carries; an empty change keeps the version and leaves no trace."""
    row = await repository.get_asset(session, scope, asset_id)
    check_version(row, if_match)
    wanted = body.changes()
    if "room" in wanted:
        key = wanted.pop("room")
        row.room = None if key is None else await _room_of(session, scope, row.site, str(key))
        wanted["room_id"] = key
    if wanted.get("active") and row.replaced_by_id is not None:
        raise Conflict("another asset took its place: change that one", code="replaced")
    old, new = difference({name: getattr(row, name) for name in wanted}, wanted)
    if not new:
        return row
    for name, value in new.items():
        setattr(row, name, value)
    if "accepted_on" in new:
        _check_acceptance(row.site, row.accepted_on, now)
    row.warranty_end = warranty_end(row.accepted_on, row.warranty_months)
    row.updated_at = now
    await session.flush()
    _record(session, scope, "changed", row, old=old, new=new, now=now)
    return row


async def _room_of(session: WriteSession, scope: Scope, site: Site, room_id: str) -> Room:
    room = await customers.get_room(session, scope, room_id)
    if room.site_id != site.id:
        raise BadRequest("the room belongs to another site", code="room_of_other_site")
    return room


def _check_acceptance(site: Site, accepted_on: date | None, now: datetime) -> None:
    """An acceptance that has not taken place starts no warranty."""
    if accepted_on is not None and accepted_on > site_day(site, now):
        raise BadRequest(
            f"accepted_on {accepted_on} has not come yet at the site: enter it when it was signed", code="not_accepted"
        )


def _record(
    session: WriteSession,
    scope: Scope,
    verb: str,
    row: Asset,
    *,
    new: dict[str, Any],
    now: datetime,
    old: dict[str, Any] | None = None,
) -> None:
    audit(
        session,
        now=now,
        actor=scope.principal,
        action=f"assets.asset.{verb}",
        entity="asset",
        entity_id=row.id,
        old=to_jsonable_python(old),
        new=to_jsonable_python(new),
        customer_id=row.customer_id,
        site_id=row.site_id,
    )

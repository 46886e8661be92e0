"""Making and changing customers, sites, rooms and contacts. Functions: there is no state to hold."""

from datetime import datetime
from typing import Any

from facility.clock import to_ms
from facility.ids import new_id
from server.customers import repository
from server.customers.models import Contact, Customer, Room, Site
from server.customers.schemas import (
    ContactChange,
    ContactIn,
    CustomerChange,
    CustomerIn,
    RoomChange,
    RoomIn,
    SiteChange,
    SiteIn,
)
from server.db.session import WriteSession
from server.kit.audit import audit, difference
from server.kit.problems import BadRequest, Conflict, Forbidden
from server.kit.schemas import Body
from server.kit.scope import Scope
from server.kit.versioned import check_version


async def create_customer(session: WriteSession, scope: Scope, body: CustomerIn, *, now: datetime) -> Customer:
    """A new customer; only a caller who sees all customers may add one."""
    if not scope.unlimited:
        raise Forbidden("a caller limited to customers cannot add another one", code="scope")
    if await repository.code_taken(session, Customer, body.code):
        raise Conflict(f"customer code {body.code!r} is taken", code="code_taken")
    customer = Customer(
        id=new_id(to_ms(now)), code=body.code, name=body.name, active=True, created_at=now, updated_at=now
    )
    session.add(customer)
    await session.flush()
    _record(session, scope, "created", customer, new=body.model_dump(), now=now)
    return customer


async def create_site(session: WriteSession, scope: Scope, body: SiteIn, *, now: datetime) -> Site:
    customer = await repository.get_customer(session, scope, body.customer)
    if scope.sites is not None:
        raise Forbidden("a caller limited to sites cannot add another one", code="scope")
    if await repository.code_taken(session, Site, body.code):
        raise Conflict(f"site code {body.code!r} is taken", code="code_taken")
    site = Site(
        id=new_id(to_ms(now)),
        customer_id=customer.id,
        active=True,
        created_at=now,
        updated_at=now,
        **body.model_dump(exclude={"customer"}),
    )
    session.add(site)
    await session.flush()
    _record(session, scope, "created", site, new=body.model_dump(), now=now)
    return site


async def create_room(session: WriteSession, scope: Scope, body: RoomIn, *, now: datetime) -> Room:
    site = await repository.get_site(session, scope, body.site)
    if await repository.room_by_code(session, scope, site.id, body.code) is not None:
        raise Conflict(f"room code {body.code!r} is taken in this site", code="code_taken")
    room = Room(
        id=new_id(to_ms(now)),
        customer_id=site.customer_id,
        site_id=site.id,
        active=True,
        created_at=now,
        updated_at=now,
        **body.model_dump(exclude={"site"}),
    )
    session.add(room)
    await session.flush()
    _record(session, scope, "created", room, new=body.model_dump(), now=now)
    return room


async def create_contact(session: WriteSession, scope: Scope, body: ContactIn, *, now: datetime) -> Contact:
    customer = await repository.get_customer(session, scope, body.customer)
    if body.site is not None:
        site = await repository.get_site(session, scope, body.site)
        if site.customer_id != customer.id:
            raise BadRequest("the site belongs to another customer", code="site_of_other_customer")
    contact = Contact(
        id=new_id(to_ms(now)),
        customer_id=customer.id,
        site_id=body.site,
        active=True,
        created_at=now,
        updated_at=now,
        **body.model_dump(exclude={"customer", "site"}),
    )
    session.add(contact)
    await session.flush()
    _record(session, scope, "created", contact, new=body.model_dump(), now=now)
    return contact


async def change_customer(
    session: WriteSession, scope: Scope, customer_id: str, body: CustomerChange, *, if_match: str, now: datetime
) -> Customer:
    row = await repository.get_customer(session, scope, customer_id)
    await _change(session, scope, row, body, if_match=if_match, now=now)
    return row


async def change_site(
    session: WriteSession, scope: Scope, site_id: str, body: SiteChange, *, if_match: str, now: datetime
) -> Site:
    row = await repository.get_site(session, scope, site_id)
    await _change(session, scope, row, body, if_match=if_match, now=now)
    return row


async def change_room(
    session: WriteSession, scope: Scope, room_id: str, body: RoomChange, *, if_match: str, now: datetime
) -> Room:
    row = await repository.get_room(session, scope, room_id)
    await _change(session, scope, row, body, if_match=if_match, now=now)
    return row


async def change_contact(
    session: WriteSession, scope: Scope, contact_id: str, body: ContactChange, *, if_match: str, now: datetime
) -> Contact:
    row = await repository.get_contact(session, scope, contact_id)
    await _change(session, scope, row, body, if_match=if_match, now=now)
    return row


async def _change(
    session: WriteSession,
    scope: Scope,
    row: Customer | Site | Room | Contact,
    body: Body,
    *,
    if_match: str,
    now: datetime,
) -> None:
    """Apply what the body carries; an empty change keeps the version and leaves no trace."""
    check_version(row, if_match)
    wanted = body.changes()
    old, new = difference({name: getattr(row, name) for name in wanted}, wanted)
    if not new:
        return
    for name, value in new.items():
        setattr(row, name, value)
    row.updated_at = now
    await session.flush()
    _record(session, scope, "changed", row, old=old, new=new, now=now)


def _record(
    session: WriteSession,
    scope: Scope,
    verb: str,
    row: Customer | Site | Room | Contact,
    *,
    new: dict[str, Any],
    now: datetime,
    old: dict[str, Any] | None = None,
) -> None:
    entity = type(row).__name__.lower()
    audit(
        session,
        now=now,
        actor=scope.principal,
        action=f"customers.{entity}.{verb}",
        entity=entity,
        entity_id=row.id,
        old=old,
        new=new,
        customer_id=row.id if isinstance(row, Customer) else row.customer_id,
        site_id=row.id if isinstance(row, Site) else getattr(row, "site_id", None),
    )

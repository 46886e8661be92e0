"""All queries of customers. Every one takes a Scope; a row outside it is not found."""

from collections.abc import Sequence
from typing import TypeVar

import sqlalchemy as sa

from server.customers.models import Contact, Customer, Room, Site
from server.db.session import ReadSession
from server.kit.paging import Order, PageRequest, fetch_page
from server.kit.problems import NotFound
from server.kit.scope import Scope, scoped

CUSTOMERS = Order("customers.code", Customer.code, Customer.id)
SITES = Order("sites.code", Site.code, Site.id)
ROOMS = Order("rooms.code", Room.code, Room.id)
CONTACTS = Order("contacts.name", Contact.name, Contact.id)

M = TypeVar("M", Customer, Site, Room, Contact)


async def _get(session: ReadSession, scope: Scope, model: type[M], key: str) -> M:
    row = await session.scalar(scoped(sa.select(model).where(model.id == key), model, scope))
    if row is None:
        raise NotFound(model.__name__.lower(), key)
    return row


async def get_customer(session: ReadSession, scope: Scope, customer_id: str) -> Customer:
    return await _get(session, scope, Customer, customer_id)


async def get_site(session: ReadSession, scope: Scope, site_id: str) -> Site:
    return await _get(session, scope, Site, site_id)


async def get_room(session: ReadSession, scope: Scope, room_id: str) -> Room:
    return await _get(session, scope, Room, room_id)


async def get_contact(session: ReadSession, scope: Scope, contact_id: str) -> Contact:
    return await _get(session, scope, Contact, contact_id)


async def site_by_code(session: ReadSession, scope: Scope, code: str) -> Site | None:
    """The site an agent's topic names."""
    return await session.scalar(scoped(sa.select(Site).where(Site.code == code), Site, scope))


async def customer_by_code(session: ReadSession, scope: Scope, code: str) -> Customer | None:
    return await session.scalar(scoped(sa.select(Customer).where(Customer.code == code), Customer, scope))


async def room_by_code(session: ReadSession, scope: Scope, site_id: str, code: str) -> Room | None:
    query = sa.select(Room).where(Room.site_id == site_id, Room.code == code)
    return await session.scalar(scoped(query, Room, scope))


async def code_taken(session: ReadSession, model: type[Customer] | type[Site], code: str) -> bool:
    """Whether a code is used anywhere: codes are unique over all customers, so this one question has no scope."""
    return await session.scalar(sa.select(model.id).where(model.code == code)) is not None


async def list_customers(
    session: ReadSession, scope: Scope, page: PageRequest, *, active: bool | None
) -> tuple[Sequence[Customer], str | None]:
    query = scoped(sa.select(Customer), Customer, scope)
    if active is not None:
        query = query.where(Customer.active.is_(active))
    return await fetch_page(session, query, order=CUSTOMERS, page=page)


async def list_sites(
    session: ReadSession, scope: Scope, page: PageRequest, *, customer: str | None, active: bool | None
) -> tuple[Sequence[Site], str | None]:
    query = scoped(sa.select(Site), Site, scope)
    if customer is not None:
        query = query.where(Site.customer_id == customer)
    if active is not None:
        query = query.where(Site.active.is_(active))
    return await fetch_page(session, query, order=SITES, page=page)


async def list_rooms(
    session: ReadSession, scope: Scope, page: PageRequest, *, site: str | None, active: bool | None
) -> tuple[Sequence[Room], str | None]:
    query = scoped(sa.select(Room), Room, scope)
    if site is not None:
        query = query.where(Room.site_id == site)
    if active is not None:
        query = query.where(Room.active.is_(active))
    return await fetch_page(session, query, order=ROOMS, page=page)


async def list_contacts(
    session: ReadSession, scope: Scope, page: PageRequest, *, customer: str | None, site: str | None
) -> tuple[Sequence[Contact], str | None]:
    query = scoped(sa.select(Contact), Contact, scope)
    if customer is not None:
        query = query.where(Contact.customer_id == customer)
    if site is not None:
        query = query.where(Contact.site_id == site)
    return await fetch_page(session, query, order=CONTACTS, page=page)

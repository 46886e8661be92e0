"""REST of customers, sites, rooms and contacts."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from server.customers import repository, service
from server.customers.schemas import (
    ContactChange,
    ContactIn,
    ContactOut,
    CustomerChange,
    CustomerIn,
    CustomerOut,
    RoomChange,
    RoomIn,
    RoomOut,
    SiteChange,
    SiteIn,
    SiteOut,
)
from server.kit.paging import Page, Paging, page_of
from server.kit.principal import Permission
from server.kit.requests import Now, Read, UnitRoute, Write, require
from server.kit.scope import Scope
from server.kit.versioned import IfMatch, set_etag

router = APIRouter(route_class=UnitRoute, tags=["customers"])

Seen = Annotated[Scope, require(Permission.CUSTOMERS_READ)]
Edits = Annotated[Scope, require(Permission.CUSTOMERS_WRITE)]
Id = Annotated[str | None, Query(max_length=36)]


@router.get("/customers")
async def list_customers(session: Read, scope: Seen, page: Paging, active: bool | None = None) -> Page[CustomerOut]:
    found = await repository.list_customers(session, scope, page, active=active)
    return page_of(found, CustomerOut.model_validate)


@router.post("/customers", status_code=201)
async def create_customer(body: CustomerIn, response: Response, session: Write, scope: Edits, now: Now) -> CustomerOut:
    row = await service.create_customer(session, scope, body, now=now)
    set_etag(response, row)
    return CustomerOut.model_validate(row)


@router.get("/customers/{customer_id}")
async def get_customer(customer_id: str, response: Response, session: Read, scope: Seen) -> CustomerOut:
    row = await repository.get_customer(session, scope, customer_id)
    set_etag(response, row)
    return CustomerOut.model_validate(row)


@router.patch("/customers/{customer_id}")
async def change_customer(
    customer_id: str,
    body: CustomerChange,
    response: Response,
    session: Write,
    scope: Edits,
    if_match: IfMatch,
    now: Now,
) -> CustomerOut:
    row = await service.change_customer(session, scope, customer_id, body, if_match=if_match, now=now)
    set_etag(response, row)
    return CustomerOut.model_validate(row)


@router.get("/sites")
async def list_sites(
    session: Read, scope: Seen, page: Paging, customer: Id = None, active: bool | None = None
) -> Page[SiteOut]:
    found = await repository.list_sites(session, scope, page, customer=customer, active=active)
    return page_of(found, SiteOut.model_validate)


@router.post("/sites", status_code=201)
async def create_site(body: SiteIn, response: Response, session: Write, scope: Edits, now: Now) -> SiteOut:
    row = await service.create_site(session, scope, body, now=now)
    set_etag(response, row)
    return SiteOut.model_validate(row)


@router.get("/sites/{site_id}")
async def get_site(site_id: str, response: Response, session: Read, scope: Seen) -> SiteOut:
    row = await repository.get_site(session, scope, site_id)
    set_etag(response, row)
    return SiteOut.model_validate(row)


@router.patch("/sites/{site_id}")
async def change_site(
    site_id: str, body: SiteChange, response: Response, session: Write, scope: Edits, if_match: IfMatch, now: Now
) -> SiteOut:
    row = await service.change_site(session, scope, site_id, body, if_match=if_match, now=now)
    set_etag(response, row)
    return SiteOut.model_validate(row)


@router.get("/rooms")
async def list_rooms(
    session: Read, scope: Seen, page: Paging, site: Id = None, active: bool | None = None
) -> Page[RoomOut]:
    found = await repository.list_rooms(session, scope, page, site=site, active=active)
    return page_of(found, RoomOut.model_validate)


@router.post("/rooms", status_code=201)
async def create_room(body: RoomIn, response: Response, session: Write, scope: Edits, now: Now) -> RoomOut:
    row = await service.create_room(session, scope, body, now=now)
    set_etag(response, row)
    return RoomOut.model_validate(row)


@router.get("/rooms/{room_id}")
async def get_room(room_id: str, response: Response, session: Read, scope: Seen) -> RoomOut:
    row = await repository.get_room(session, scope, room_id)
    set_etag(response, row)
    return RoomOut.model_validate(row)


@router.patch("/rooms/{room_id}")
async def change_room(
    room_id: str, body: RoomChange, response: Response, session: Write, scope: Edits, if_match: IfMatch, now: Now
) -> RoomOut:
    row = await service.change_room(session, scope, room_id, body, if_match=if_match, now=now)
    set_etag(response, row)
    return RoomOut.model_validate(row)


@router.get("/contacts")
async def list_contacts(
    session: Read, scope: Seen, page: Paging, customer: Id = None, site: Id = None
) -> Page[ContactOut]:
    found = await repository.list_contacts(session, scope, page, customer=customer, site=site)
    return page_of(found, ContactOut.model_validate)


@router.post("/contacts", status_code=201)
async def create_contact(body: ContactIn, response: Response, session: Write, scope: Edits, now: Now) -> ContactOut:
    row = await service.create_contact(session, scope, body, now=now)
    set_etag(response, row)
    return ContactOut.model_validate(row)


@router.get("/contacts/{contact_id}")
async def get_contact(contact_id: str, response: Response, session: Read, scope: Seen) -> ContactOut:
    row = await repository.get_contact(session, scope, contact_id)
    set_etag(response, row)
    return ContactOut.model_validate(row)


@router.patch("/contacts/{contact_id}")
async def change_contact(
    contact_id: str,
    body: ContactChange,
    response: Response,
    session: Write,
    scope: Edits,
    if_match: IfMatch,
    now: Now,
) -> ContactOut:
    row = await service.change_contact(session, scope, contact_id, body, if_match=if_match, now=now)
    set_etag(response, row)
    return ContactOut.model_validate(row)

"""Makes what server tests need through the true services, as the system or as a given user."""

import itertools
from dataclasses import dataclass
from datetime import timedelta

import httpx

from facility.clock import ManualClock, to_ms
from facility.ids import new_id
from server.app import Server
from server.assets import service as assets
from server.assets.models import Asset, AssetCategory
from server.assets.schemas import AssetIn
from server.customers import service as customers
from server.customers.models import Contact, Customer, Room, Site
from server.customers.schemas import ContactIn, CustomerIn, RoomIn, SiteIn
from server.kit.principal import Role
from server.kit.scope import Scope
from server.kit.secrets import digest, new_token
from server.people.models import ApiToken, User
from server.people.passwords import Passwords

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Place:
    """A customer with one site, one room in it, and one contact of the site."""

    customer: Customer
    site: Site
    room: Room
    contact: Contact

    def ids(self) -> frozenset[str]:
        return frozenset({self.customer.id, self.site.id, self.room.id, self.contact.id})


@dataclass(frozen=True, slots=True)
class World:
    """A server with two places of different customers, and a second site of the first customer."""

    server: Server
    clock: ManualClock
    home: Place
    sibling: Place
    foreign: Place


async def make_customer(server: Server, code: str | None = None) -> Customer:
    code = code or f"customer-{next(_numbers)}"
    async with server.db.write() as session:
        return await customers.create_customer(
            session, Scope.system(), CustomerIn(code=code, name=code.title()), now=server.kit.clock.now()
        )


async def make_site(
    server: Server, customer: Customer, code: str | None = None, *, zone: str = "Asia/Shanghai"
) -> Site:
    code = code or f"site-{next(_numbers)}"
    async with server.db.write() as session:
        return await customers.create_site(
            session,
            Scope.system(),
            SiteIn(customer=customer.id, code=code, name=code.title(), zone=zone),
            now=server.kit.clock.now(),
        )


async def make_room(server: Server, site: Site, code: str | None = None) -> Room:
    code = code or f"room-{next(_numbers)}"
    async with server.db.write() as session:
        return await customers.create_room(
            session, Scope.system(), RoomIn(site=site.id, code=code, name=code.title()), now=server.kit.clock.now()
        )


async def make_place(server: Server, code: str, *, customer: Customer | None = None) -> Place:
    customer = customer or await make_customer(server, code)
    site = await make_site(server, customer, code)
    room = await make_room(server, site, f"{code}-room")
    async with server.db.write() as session:
        contact = await customers.create_contact(
            session,
            Scope.system(),
            ContactIn(customer=customer.id, site=site.id, name=f"{code} duty"),
            now=server.kit.clock.now(),
        )
    return Place(customer, site, room, contact)


async def make_asset(
    server: Server, site: Site, category: AssetCategory = AssetCategory.CRAC, **fields: object
) -> Asset:
    """An asset of the site; `fields` as of AssetIn."""
    name = f"{category.value} {next(_numbers)}"
    body = AssetIn.model_validate(
        {"site": site.id, "category": category, "name_en": name.title(), "name_zh": name, **fields}
    )
    async with server.db.write() as session:
        return await assets.create_asset(session, Scope.system(), body, now=server.kit.clock.now())


async def make_user(
    server: Server,
    *roles: Role,
    login: str | None = None,
    customers: list[str] | None = None,
    sites: list[str] | None = None,
    password: str | None = None,
    language: str = "en",
    notify_url: str | None = None,
) -> User:
    """A user row; the password is hashed only when one is given, because that takes long."""
    login = login or f"user-{next(_numbers)}"
    now = server.kit.clock.now()
    password_hash = None
    if password is not None:
        password_hash = await Passwords().hash(password)
    async with server.db.write() as session:
        user = User(
            id=new_id(to_ms(now)),
            login=login,
            name=login.title(),
            email="",
            phone="",
            password_hash=password_hash,
            roles=[role.value for role in roles],
            customers=customers,
            sites=sites,
            language=language,
            zone="Asia/Shanghai",
            notify_url=notify_url,
            active=True,
            created_at=now,
            updated_at=now,
        )
        session.add(user)
    return user


async def make_token(server: Server, user: User) -> str:
    """A bearer token of the user, as the user may."""
    secret, now = new_token(), server.kit.clock.now()
    async with server.db.write() as session:
        session.add(
            ApiToken(
                id=new_id(to_ms(now)),
                user_id=user.id,
                name="test",
                digest=digest(secret),
                created_at=now,
                expires_at=now + timedelta(days=3650),
            )
        )
    return secret


def client_of(server: Server, token: str | None = None) -> httpx.AsyncClient:
    """An HTTP client straight into the application, without a socket."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(server.app, client=("192.0.2.7", 50000)),
        base_url="http://coldaisle.test",
        headers=headers,
    )

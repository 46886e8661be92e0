"""Fixtures of server tests: a built server on a migrated database, a world of two customers, clients with a role."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from facility.clock import ManualClock
from server.app import Server, build
from server.config import load_config
from server.db import migrate
from server.kit.principal import Role
from tests.conftest import DATABASES
from tests.server.factories import World, client_of, make_place, make_token, make_user
from tests.support.postgresql import Postgresql
from tests.support.reporting import note_peer

START = datetime(2026, 3, 10, 2, 0, tzinfo=UTC)  # a Tuesday, 10:00 in Shanghai

ClientAs = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy: migrating anew for each test would take most of its time."""
    path = tmp_path_factory.mktemp("migrated") / "main.db"
    asyncio.run(migrate.upgrade(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql: Postgresql) -> Iterator[str]:
    """A migrated PostgreSQL database to copy."""
    url = postgresql.new_database()
    asyncio.run(migrate.upgrade(url))
    yield url
    postgresql.drop_database(url)


@pytest.fixture(params=DATABASES[os.environ.get("COLDAISLE_TEST_DATABASE", "both")])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database at the newest revision, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        path = tmp_path / "main.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    cluster: Postgresql = request.getfixturevalue("postgresql")
    note_peer(request, "postgresql")
    url = cluster.new_database(request.getfixturevalue("migrated_postgresql"))
    yield url
    cluster.drop_database(url)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def server(migrated_url: str, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Server]:
    """A built server that answers through `client_of`; it does not listen and runs no components."""
    overrides = {"data_dir": str(tmp_path / "data"), "database_url": migrated_url, "http": {"port": 0}}
    async with build(load_config(overrides=overrides, environment={}), clock=clock) as built:
        yield built


@pytest.fixture
async def world(server: Server, clock: ManualClock) -> World:
    home = await make_place(server, "home")
    sibling = await make_place(server, "sibling", customer=home.customer)
    foreign = await make_place(server, "foreign")
    return World(server, clock, home, sibling, foreign)


@pytest.fixture
async def client_as(server: Server) -> AsyncIterator[ClientAs]:
    """`await client_as(Role.NOC, customers=[...], sites=[...])`: a client with a bearer token of a new user."""
    async with AsyncExitStack() as stack:

        async def make(
            *roles: Role, customers: Iterable[str] | None = None, sites: Iterable[str] | None = None
        ) -> httpx.AsyncClient:
            user = await make_user(
                server,
                *(roles or (Role.ADMIN,)),
                customers=None if customers is None else list(customers),
                sites=None if sites is None else list(sites),
            )
            return await stack.enter_async_context(client_of(server, await make_token(server, user)))

        yield make


@pytest.fixture
async def anonymous(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(server) as client:
        yield client

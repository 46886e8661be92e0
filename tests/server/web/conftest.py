"""A seeded server and people signed in by the form, as a browser would be."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack

import httpx
import pytest

from server.app import Server
from server.kit.principal import Role
from tests.server.factories import client_of, make_user
from tests.server.web.seed import Seeded, seed

PASSWORD = "watch the room"
SignInAs = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def seeded(server: Server) -> Seeded:
    return await seed(server)


@pytest.fixture
async def signed_in(server: Server) -> AsyncIterator[SignInAs]:
    """`await signed_in(Role.NOC, language="zh_CN", customers=[...])`: a client with the cookie of a new user."""
    async with AsyncExitStack() as stack:

        async def make(
            *roles: Role,
            language: str = "en",
            customers: Iterable[str] | None = None,
            sites: Iterable[str] | None = None,
        ) -> httpx.AsyncClient:
            user = await make_user(
                server,
                *(roles or (Role.ADMIN,)),
                language=language,
                password=PASSWORD,
                customers=None if customers is None else list(customers),
                sites=None if sites is None else list(sites),
            )
            client = await stack.enter_async_context(client_of(server))
            answer = await client.post("/login", data={"login": user.login, "password": PASSWORD})
            assert answer.status_code == 303, answer.text
            return client

        yield make


def csrf_of(page: httpx.Response) -> str:
    """The form token of a page."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found is not None, page.text[:500]
    return found.group(1)


async def send_form(client: httpx.AsyncClient, page: str, path: str, **fields: str) -> httpx.Response:
    """Open a page, and send a form of it with its token."""
    token = csrf_of(await client.get(page))
    return await client.post(path, data={"csrf_token": token, **fields})

"""Every endpoint x a foreign site's principal, generated from the OpenAPI document.

An endpoint that names something by id answers 404, a list holds nothing foreign, and a new endpoint without an example
in `scope_examples.py` fails here.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from server.api.application import API_PREFIX
from server.kit.principal import Role
from tests.server.conftest import ClientAs
from tests.server.factories import Place, World
from tests.server.scope_examples import BODIES, GLOBAL, PATH, QUERIES

_PARAMETER = re.compile(r"{(\w+)}")


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    takes_body: bool
    required_query: frozenset[str]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def parameters(self) -> list[str]:
        return _PARAMETER.findall(self.path)


def operations(world: World) -> list[Operation]:
    found = []
    for path, methods in world.server.app.openapi()["paths"].items():
        for method, operation in methods.items():
            query = {p["name"] for p in operation.get("parameters", []) if p["in"] == "query" and p["required"]}
            found.append(Operation(method.upper(), path, "requestBody" in operation, frozenset(query)))
    return found


async def example_ids(world: World, place: Place) -> dict[str, str]:
    return {name: await make(world, place) for name, make in PATH.items()}


async def call(
    client: httpx.AsyncClient, operation: Operation, world: World, place: Place, ids: dict[str, str]
) -> httpx.Response:
    path = _PARAMETER.sub(lambda match: ids[match[1]], operation.path)
    body = await BODIES[operation.name](world, place) if operation.name in BODIES else None
    query = await QUERIES[operation.name](world, place) if operation.name in QUERIES else {}
    return await client.request(
        operation.method,
        path,
        json=body,
        params={name: str(value) for name, value in query.items()},
        headers={"If-Match": "*"},
    )


@pytest.fixture(params=["other customer", "other site of the same customer"])
async def intruder(
    request: pytest.FixtureRequest, world: World, client_as: ClientAs
) -> AsyncIterator[tuple[httpx.AsyncClient, Place]]:
    """A caller with every role, limited to home, and the place it must not see."""
    if request.param == "other customer":
        yield await client_as(*Role, customers=[world.home.customer.id]), world.foreign
    else:
        limited = await client_as(*Role, customers=[world.home.customer.id], sites=[world.home.site.id])
        yield limited, world.sibling


async def test_every_endpoint_has_an_example(world: World) -> None:
    missing = []
    for operation in operations(world):
        if operation.name in GLOBAL:
            continue
        missing += [f"{operation.name}: PATH[{name!r}]" for name in operation.parameters if name not in PATH]
        if operation.takes_body and operation.name not in BODIES:
            missing.append(f"{operation.name}: BODIES")
        if operation.required_query and operation.name not in QUERIES:
            missing.append(f"{operation.name}: QUERIES")
    assert missing == []


async def test_no_example_is_for_an_endpoint_that_is_gone(world: World) -> None:
    names = {operation.name for operation in operations(world)}
    assert {*BODIES, *QUERIES, *GLOBAL} - names == set()


async def test_everything_under_the_api_is_in_the_document(world: World) -> None:
    paths = {operation.path for operation in operations(world)}
    assert paths
    assert all(path.startswith(API_PREFIX) for path in paths)


async def test_an_examples_id_exists_for_who_may_see_it(world: World, client_as: ClientAs) -> None:
    everybody = await client_as(*(role for role in Role if role is not Role.CUSTOMER))
    ids = await example_ids(world, world.foreign)
    wrong = []
    for operation in operations(world):
        if operation.method == "GET" and operation.parameters and operation.name not in GLOBAL:
            answer = await call(everybody, operation, world, world.foreign, ids)
            if answer.status_code != 200:
                wrong.append(f"{operation.name}: {answer.status_code} {answer.text[:200]}")
    assert wrong == []


async def test_what_is_foreign_is_not_found(world: World, intruder: tuple[httpx.AsyncClient, Place]) -> None:
    client, place = intruder
    ids = await example_ids(world, place)
    if place is world.sibling:
        del ids["customer_id"]  # the customer itself is the caller's own
    wrong = []
    for operation in operations(world):
        names_something = operation.parameters or operation.name in BODIES or operation.name in QUERIES
        own_customer = place is world.sibling and (
            "customer_id" in operation.parameters or operation.name == "POST /api/v1/sites"
        )
        if operation.name in GLOBAL or not names_something or own_customer:
            continue
        answer = await call(client, operation, world, place, ids)
        if answer.status_code != 404:
            wrong.append(f"{operation.name}: {answer.status_code} {answer.text[:200]}")
    assert wrong == []


async def test_lists_hold_nothing_foreign(world: World, intruder: tuple[httpx.AsyncClient, Place]) -> None:
    client, place = intruder
    ids = await example_ids(world, place)
    foreign = (place.ids() | set(ids.values())) - world.home.ids()
    wrong = []
    for operation in operations(world):
        if operation.method != "GET" or operation.parameters or operation.required_query:
            continue
        answer = await call(client, operation, world, place, ids)
        if operation.name in GLOBAL:
            continue
        if answer.status_code != 200 or any(one in answer.text for one in foreign):
            wrong.append(f"{operation.name}: {answer.status_code} {answer.text[:300]}")
    assert wrong == []


async def test_what_is_not_scoped_says_so(world: World, intruder: tuple[httpx.AsyncClient, Place]) -> None:
    client, place = intruder
    ids = await example_ids(world, place)
    wrong = []
    for operation in operations(world):
        if operation.name in GLOBAL:
            answer = await call(client, operation, world, place, ids)
            allowed, why = GLOBAL[operation.name]
            if answer.status_code not in allowed or (answer.status_code == 200 and place.site.id in answer.text):
                wrong.append(f"{operation.name} ({why}): {answer.status_code} {answer.text[:200]}")
    assert wrong == []


async def test_nobody_is_let_in_without_a_credential(world: World, anonymous: httpx.AsyncClient) -> None:
    ids = await example_ids(world, world.foreign)
    wrong = []
    for operation in operations(world):
        answer = await call(anonymous, operation, world, world.foreign, ids)
        if answer.status_code not in (401, 422) or (answer.status_code == 422 and operation.name not in GLOBAL):
            wrong.append(f"{operation.name}: {answer.status_code} {answer.text[:200]}")
    assert wrong == []

"""What the scope test needs to know of each endpoint. A domain adds its lines here when it adds an endpoint.

PATH: a path parameter -> the id of something at a place. BODIES: a change -> a well-formed body that names things of
that place. QUERIES: a GET with required parameters -> values that name things of the place. GLOBAL: what concerns the
whole installation or oneself, with the statuses a limited caller may get and why.
"""

from collections.abc import Awaitable, Callable, Mapping

from facility.clock import to_ms
from facility.ids import new_id
from server.alarms.centre_rules import AGENT_LOST
from server.alarms.service import AlarmService
from server.kit.attachments import attach
from server.kit.principal import Role
from server.kit.scope import Scope
from server.tickets.schemas import TicketIn
from server.tickets.service import TicketService
from tests.server.factories import Place, World, make_asset, make_user
from tests.server.finding import service_of
from tests.server.fleet.making import make_agent, make_device
from tests.server.maintaining import make_order, make_plan, plan_body

Example = Callable[[World, Place], Awaitable[str]]
BodyExample = Callable[[World, Place], Awaitable[dict[str, object]]]


async def _customer(world: World, place: Place) -> str:
    return place.customer.id


async def _site(world: World, place: Place) -> str:
    return place.site.id


async def _room(world: World, place: Place) -> str:
    return place.room.id


async def _contact(world: World, place: Place) -> str:
    return place.contact.id


async def _attachment(world: World, place: Place) -> str:
    async def content() -> object:
        yield b"a photo of the room"

    stored = await world.server.kit.attachments.save(content())  # type: ignore[arg-type]
    async with world.server.db.write() as session:
        row = attach(
            session,
            stored,
            entity="room",
            entity_id=place.room.id,
            customer_id=place.customer.id,
            site_id=place.site.id,
            filename="room.jpg",
            media_type="image/jpeg",
            now=world.clock.now(),
            actor=Scope.system().principal,
        )
    return row.id


async def _user(world: World, place: Place) -> str:
    return (await make_user(world.server, Role.NOC, customers=[place.customer.id])).id


async def _token(world: World, place: Place) -> str:
    return new_id(to_ms(world.clock.now()))


async def _asset(world: World, place: Place) -> str:
    return (await make_asset(world.server, place.site)).id


async def _agent(world: World, place: Place) -> str:
    return (await make_agent(world, place)).id


async def _device(world: World, place: Place) -> str:
    return (await make_device(world, place))[0].id


async def _point(world: World, place: Place) -> str:
    return (await make_device(world, place))[1].id


async def _alarm(world: World, place: Place) -> str:
    """One of the centre's own alarms: at another place each time it is asked for."""
    async with world.server.db.write() as session:
        return await service_of(world.server, AlarmService).raise_centre(
            session,
            customer_id=place.customer.id,
            site_id=place.site.id,
            rule=AGENT_LOST,
            device=f"edge-{new_id(to_ms(world.clock.now()))}",
            now=world.clock.now(),
        )


async def _ticket(world: World, place: Place) -> str:
    body = TicketIn(site=place.site.id, title="A lamp is out")
    async with world.server.db.write() as session:
        opened = await service_of(world.server, TicketService).open_by_hand(
            session, Scope.system(), body, source="api", now=world.clock.now()
        )
    return opened.id


async def _new_ticket(world: World, place: Place) -> dict[str, object]:
    return {"site": place.site.id, "title": "Planted"}


async def _new_owner(world: World, place: Place) -> dict[str, object]:
    return {"owner": await _user(world, place)}


async def _plan(world: World, place: Place) -> str:
    return (await make_plan(world.server, place.site)).id


async def _order(world: World, place: Place) -> str:
    return (await make_order(world.server, place.site)).id


PATH: Mapping[str, Example] = {
    "alarm_id": _alarm,
    "ticket_id": _ticket,
    "agent_id": _agent,
    "device_id": _device,
    "point_id": _point,
    "quarantined_id": _token,
    "customer_id": _customer,
    "site_id": _site,
    "room_id": _room,
    "contact_id": _contact,
    "attachment_id": _attachment,
    "asset_id": _asset,
    "plan_id": _plan,
    "order_id": _order,
    "user_id": _user,
    "token_id": _token,
}


def _fixed(**values: object) -> BodyExample:
    async def body(world: World, place: Place) -> dict[str, object]:
        return values

    return body


async def _new_site(world: World, place: Place) -> dict[str, object]:
    return {"customer": place.customer.id, "code": "planted", "name": "Planted"}


async def _new_room(world: World, place: Place) -> dict[str, object]:
    return {"site": place.site.id, "code": "planted", "name": "Planted"}


async def _new_contact(world: World, place: Place) -> dict[str, object]:
    return {"customer": place.customer.id, "site": place.site.id, "name": "Planted"}


async def _new_asset(world: World, place: Place) -> dict[str, object]:
    return {"site": place.site.id, "category": "ups", "name_en": "Planted", "name_zh": "Planted"}


async def _new_agent(world: World, place: Place) -> dict[str, object]:
    return {"site": place.site.id, "code": "planted"}


async def _readings(world: World, place: Place) -> dict[str, object]:
    return {"point": await _point(world, place)}


async def _new_plan(world: World, place: Place) -> dict[str, object]:
    return plan_body(site=place.site.id, category="ups")


async def _plan_from_template(world: World, place: Place) -> dict[str, object]:
    return {"template": "ups-monthly", "site": place.site.id, "dtstart": "2026-04-01T09:00"}


BODIES: Mapping[str, BodyExample] = {
    "POST /api/v1/agents": _new_agent,
    "PATCH /api/v1/customers/{customer_id}": _fixed(name="Taken over"),
    "POST /api/v1/sites": _new_site,
    "PATCH /api/v1/sites/{site_id}": _fixed(name="Taken over"),
    "POST /api/v1/rooms": _new_room,
    "PATCH /api/v1/rooms/{room_id}": _fixed(name="Taken over"),
    "POST /api/v1/contacts": _new_contact,
    "PATCH /api/v1/contacts/{contact_id}": _fixed(name="Taken over"),
    "POST /api/v1/alarms/{alarm_id}/ack": _fixed(note="Seen"),
    "POST /api/v1/tickets": _new_ticket,
    "POST /api/v1/tickets/{ticket_id}/acknowledge": _fixed(note="Seen"),
    "POST /api/v1/tickets/{ticket_id}/start": _fixed(note=""),
    "POST /api/v1/tickets/{ticket_id}/resolve": _fixed(note="Done"),
    "POST /api/v1/tickets/{ticket_id}/close": _fixed(note=""),
    "POST /api/v1/tickets/{ticket_id}/reopen": _fixed(note="Again"),
    "POST /api/v1/tickets/{ticket_id}/assign": _new_owner,
    "POST /api/v1/tickets/{ticket_id}/comment": _fixed(note="Planted"),
    "POST /api/v1/assets": _new_asset,
    "POST /api/v1/maintenance/plans": _new_plan,
    "POST /api/v1/maintenance/plans/from-template": _plan_from_template,
    "PATCH /api/v1/maintenance/plans/{plan_id}": _fixed(title_en="Taken over"),
    "POST /api/v1/maintenance/orders/{order_id}/complete": _fixed(results={}),
    "POST /api/v1/maintenance/orders/{order_id}/skip": _fixed(reason="no_access"),
    "PATCH /api/v1/assets/{asset_id}": _fixed(name_en="Taken over"),
}

QUERIES: Mapping[str, BodyExample] = {
    "GET /api/v1/readings": _readings,
}

# operation -> (statuses allowed to a caller limited to another place, why)
GLOBAL: Mapping[str, tuple[set[int], str]] = {
    "GET /api/v1/ingest/quarantine": ({403}, "a refused block proves no site"),
    "GET /api/v1/ingest/quarantine/{quarantined_id}/payload": ({403}, "a refused block proves no site"),
    "GET /api/v1/ingest/strangers": ({403}, "who is not known belongs to nobody"),
    "POST /api/v1/session": ({422, 401}, "signing in"),
    "DELETE /api/v1/session": ({400}, "a token has no session"),
    "GET /api/v1/me": ({200}, "oneself"),
    "GET /api/v1/me/profile": ({200}, "oneself"),
    "PATCH /api/v1/me/profile": ({200, 412, 422}, "oneself"),
    "GET /api/v1/me/notify": ({200}, "oneself"),
    "PUT /api/v1/me/notify": ({200, 422}, "oneself"),
    "GET /api/v1/tokens": ({200}, "one's own tokens"),
    "POST /api/v1/tokens": ({400, 422}, "one's own tokens, made by a session only"),
    "POST /api/v1/customers": ({403, 422}, "only who sees all customers adds one"),
    "GET /api/v1/users": ({403}, "people belong to the installation"),
    "POST /api/v1/users": ({403, 422}, "people belong to the installation"),
    "GET /api/v1/users/{user_id}": ({403}, "people belong to the installation"),
    "PATCH /api/v1/users/{user_id}": ({403, 422}, "people belong to the installation"),
}

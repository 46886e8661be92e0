"""Tickets over REST: actions with their guards, roles, files, planned work, numbers. On both databases."""

import asyncio
import itertools

import pytest
import sqlalchemy as sa

from facility.severity import Severity
from server.alarms.service import AlarmService
from server.kit.principal import Role
from server.kit.scope import Scope
from server.tickets.service import TicketService
from server.tickets.states import TicketKind
from server.tickets.writing import rederive, summary_of
from tests.server.alarms.making import deliver, ended, item, raised, updated
from tests.server.conftest import ClientAs
from tests.server.factories import World, make_user
from tests.server.finding import service_of
from tests.server.fleet.making import make_agent
from tests.server.tickets.test_alarm_to_ticket import tickets


async def test_a_ticket_from_its_opening_to_its_end(world: World, client_as: ClientAs) -> None:
    client = await client_as(Role.DISPATCHER)
    me = (await client.get("/api/v1/me")).json()["id"]
    body = {"site": world.home.site.id, "title": "Lamp out", "title_zh": "灯不亮", "device": "lamp-1"}
    opened = (await client.post("/api/v1/tickets", json=body)).json()
    assert (opened["number"], opened["state"], opened["kind"]) == ("T-2026-000001", "new", "request")
    path = f"/api/v1/tickets/{opened['id']}"
    for action, note, state in (
        ("acknowledge", "", "acknowledged"),
        ("start", "", "in_progress"),
        ("comment", "Bulb ordered", "in_progress"),
        ("resolve", "Bulb replaced", "resolved"),
        ("close", "", "closed"),
        ("reopen", "Out again", "new"),
    ):
        world.clock.advance(60)
        answer = await client.post(f"{path}/{action}", json={"note": note})
        assert (answer.status_code, answer.json().get("state")) == (200, state), answer.text
    shown = (await client.get(f"/api/v1/tickets/{opened['number']}")).json()
    assert (shown["owner"], shown["reopened"], shown["resolved_at"]) == (me, 1, None)
    assert shown["actions"] == ["acknowledge", "start", "resolve", "assign", "comment"]
    log = (await client.get(f"{path}/events")).json()["items"]
    assert [(entry["seq"], entry["kind"]) for entry in log] == list(
        enumerate(["opened", "acknowledged", "started", "commented", "resolved", "closed", "reopened"], start=1)
    )
    assert log[4]["payload"]["note"] == "Bulb replaced"
    await tickets(world)  # compares row and log


async def test_what_a_state_forbids_is_refused_with_what_it_allows(world: World, client_as: ClientAs) -> None:
    client = await client_as(Role.DISPATCHER)
    opened = (await client.post("/api/v1/tickets", json={"site": world.home.site.id, "title": "Lamp out"})).json()
    path = f"/api/v1/tickets/{opened['id']}"
    refused = await client.post(f"{path}/close", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_allowed_in_state")
    assert refused.json()["errors"][0]["allowed"] == ["acknowledge", "start", "resolve", "assign", "comment"]
    for action in ("resolve", "comment"):
        bare = await client.post(f"{path}/{action}", json={})
        assert (bare.status_code, bare.json()["code"]) == (400, "note_required")


async def test_only_who_works_on_tickets_of_the_site_can_be_given_one(world: World, client_as: ClientAs) -> None:
    client = await client_as(Role.DISPATCHER)
    opened = (await client.post("/api/v1/tickets", json={"site": world.home.site.id, "title": "Lamp out"})).json()
    path = f"/api/v1/tickets/{opened['id']}/assign"
    elsewhere = await make_user(world.server, Role.ENGINEER, customers=[world.foreign.customer.id])
    looker = await make_user(world.server, Role.AUDITOR)
    engineer = await make_user(world.server, Role.ENGINEER, sites=[world.home.site.id])
    for user, code in ((elsewhere, "owner_out_of_scope"), (looker, "owner_unknown")):
        refused = await client.post(path, json={"owner": user.id})
        assert (refused.status_code, refused.json()["code"]) == (400, code)
    given = (await client.post(path, json={"owner": engineer.id})).json()
    assert (given["owner"], given["owner_name"], given["state"]) == (engineer.id, engineer.name, "new")


@pytest.mark.parametrize(
    ("role", "opens", "works", "assigns"),
    [
        (Role.CUSTOMER, 201, 403, 403),
        (Role.AUDITOR, 403, 403, 403),
        (Role.NOC, 201, 403, 403),
        (Role.ENGINEER, 201, 200, 403),
        (Role.DISPATCHER, 201, 200, 200),
    ],
)
async def test_roles(world: World, client_as: ClientAs, role: Role, opens: int, works: int, assigns: int) -> None:
    engineer = await make_user(world.server, Role.ENGINEER)
    manager = await client_as(Role.MANAGER)
    body = {"site": world.home.site.id, "title": "Lamp out"}
    path = f"/api/v1/tickets/{(await manager.post('/api/v1/tickets', json=body)).json()['id']}"
    client = await client_as(role, customers=[world.home.customer.id])
    assert (await client.get(path)).status_code == 200
    assert (await client.post("/api/v1/tickets", json=body)).status_code == opens
    assert (await client.post(f"{path}/assign", json={"owner": engineer.id})).status_code == assigns
    assert (await client.post(f"{path}/start", json={})).status_code == works


async def test_files_of_a_ticket(world: World, client_as: ClientAs) -> None:
    client = await client_as(Role.ENGINEER)
    opened = (await client.post("/api/v1/tickets", json={"site": world.home.site.id, "title": "Lamp out"})).json()
    path = f"/api/v1/tickets/{opened['id']}"
    made = await client.post(
        f"{path}/attachments",
        params={"filename": "lamp.jpg"},
        content=b"a photo",
        headers={"Content-Type": "image/jpeg"},
    )
    assert made.status_code == 201, made.text
    (file,) = (await client.get(path)).json()["attachments"]
    assert (file["filename"], file["media_type"], file["size"]) == ("lamp.jpg", "image/jpeg", 7)
    assert (await client.get(f"/api/v1/attachments/{file['id']}")).content == b"a photo"
    assert (await client.get(f"{path}/events")).json()["items"][-1]["kind"] == "attached"


async def test_planned_work_has_one_ticket_however_often_it_is_asked_for(world: World) -> None:
    service = service_of(world.server, TicketService)
    numbers = set()
    for _ in range(2):
        async with world.server.db.write() as session:
            row = await service.open_planned(
                session,
                Scope.system(),
                kind=TicketKind.PREVENTIVE,
                customer_id=world.home.customer.id,
                site_id=world.home.site.id,
                idempotency_key="plan/1/2026-04-01",
                title_en="UPS monthly",
                title_zh="UPS月检",
                now=world.clock.now(),
            )
            numbers.add(row.number)
    assert numbers == {"T-2026-000001"}
    for _ in range(2):
        async with world.server.db.write() as session:
            await service.resolve_planned(session, Scope.system(), row.id, note="Done", now=world.clock.now())
    assert [(ticket.state, ticket.resolution) for ticket in await tickets(world)] == [("resolved", "Done")]


async def test_tickets_opened_at_once_have_numbers_of_their_own(world: World, client_as: ClientAs) -> None:
    client = await client_as(Role.NOC)
    body = {"site": world.home.site.id, "title": "Lamp out"}
    answers = await asyncio.gather(*(client.post("/api/v1/tickets", json=body) for _ in range(6)))
    assert {answer.json()["number"] for answer in answers} == {f"T-2026-{number:06d}" for number in range(1, 7)}


async def test_a_person_cannot_reopen_beside_an_open_ticket_of_the_same_trouble(
    world: World, client_as: ClientAs
) -> None:
    client = await client_as(Role.DISPATCHER)
    first = raised(world.clock.now())
    await deliver(world, item(first))
    (ticket,) = await tickets(world)
    await client.post(f"/api/v1/tickets/{ticket.id}/resolve", json={"note": "Done"})
    await deliver(world, item(ended(first)))
    world.clock.advance(25 * 3600)
    await deliver(world, item(raised(world.clock.now())))
    assert len(await tickets(world)) == 2
    refused = await client.post(f"/api/v1/tickets/{ticket.id}/reopen", json={"note": "Again"})
    assert (refused.status_code, refused.json()["code"]) == (409, "another_open")


async def test_every_order_of_arrival_gives_the_same_ticket(world: World) -> None:
    """Two occurrences of one key, each word in a block of its own: every fifth of the 120 orders."""
    start = world.clock.now()
    world.clock.advance(3600)
    for number, order in enumerate(itertools.islice(itertools.permutations(range(5)), 0, None, 5)):
        first = raised(start, device=f"th-{number}", severity=Severity.MINOR)
        worse = updated(first, Severity.CRITICAL)
        second = raised(world.clock.now(), device=f"th-{number}", severity=Severity.MAJOR)
        block = [first, worse, ended(worse), second, ended(second)]
        for position in order:
            await deliver(world, item(block[position]))
    found = await tickets(world)
    told = {(t.state, t.severity, t.auto_resolve_at is not None, t.reopened, t.kind, t.previous_id) for t in found}
    assert len(found) == 24
    assert told == {("new", "critical", True, 0, "corrective", None)}


async def test_the_database_itself_refuses_a_second_open_ticket_and_a_changed_log(world: World) -> None:
    await deliver(world, item(raised(world.clock.now())))
    (ticket,) = await tickets(world)
    columns = ", ".join(column.name for column in ticket.__table__.columns if column.name not in ("id", "number"))
    twin = f"INSERT INTO tickets (id, number, {columns}) SELECT 'twin', 'T-0', {columns} FROM tickets"
    with pytest.raises(sa.exc.IntegrityError):
        async with world.server.db.write() as session:
            await session.execute(sa.text(twin))
    with pytest.raises(sa.exc.DBAPIError, match="append-only"):
        async with world.server.db.write() as session:
            await session.execute(sa.text("DELETE FROM ticket_events"))
    async with world.server.db.read() as session:
        assert await rederive(session, ticket.id) == summary_of(ticket)


async def test_decisions_and_open_tickets_are_exported(world: World) -> None:
    await deliver(world, item(raised(world.clock.now())))
    await world.server.jobs.run_due()
    text = world.server.kit.metrics.exposition().decode()
    assert 'coldaisle_server_ticket_decisions_total{decision="opened_new"} 1.0' in text
    assert 'coldaisle_server_open_tickets{state="new"} 1.0' in text


async def test_a_decision_that_was_taken_back_is_not_counted(world: World) -> None:
    """The centre takes a batch on which it fails anew, block by block."""
    first = item(raised(world.clock.now()))
    agent = await make_agent(world, world.home)

    async def fail() -> None:
        async with world.server.db.write() as session:
            service = service_of(world.server, AlarmService)
            await service.apply(session, site=agent.site, agent=agent, items=[first], now=world.clock.now())
            raise LookupError("another block of the batch")

    with pytest.raises(LookupError):
        await fail()
    await deliver(world, first)
    text = world.server.kit.metrics.exposition().decode()
    assert 'coldaisle_server_ticket_decisions_total{decision="opened_new"} 1.0' in text
    assert len(await tickets(world)) == 1

"""REST of tickets."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime

from facility.severity import Severity
from server.kit.attachments import attachments_of
from server.kit.paging import Page, Paging, page_of
from server.kit.principal import Permission
from server.kit.requests import Now, Read, TheKit, TheUnit, UnitRoute, Write, provide, require
from server.kit.scope import Scope
from server.tickets import repository
from server.tickets.schemas import (
    AssignIn,
    AttachmentOut,
    NoteIn,
    TicketDetail,
    TicketEventOut,
    TicketIn,
    TicketOut,
)
from server.tickets.service import ENTITY, TicketService
from server.tickets.states import Action, TicketKind, TicketState

router = APIRouter(route_class=UnitRoute, tags=["tickets"])

Seen = Annotated[Scope, require(Permission.TICKETS_READ)]
Opens = Annotated[Scope, require(Permission.TICKETS_OPEN)]
Works = Annotated[Scope, require(Permission.TICKETS_WORK)]
Dispatches = Annotated[Scope, require(Permission.TICKETS_DISPATCH)]
Service = Annotated[TicketService, provide(TicketService)]
Word = Annotated[str | None, Query(max_length=120)]


@router.get("/tickets")
async def list_tickets(
    session: Read,
    scope: Seen,
    page: Paging,
    site: Annotated[str | None, Query(max_length=63, description="id or code")] = None,
    device: Word = None,
    rule: Word = None,
    kind: Annotated[list[TicketKind] | None, Query()] = None,
    state: Annotated[list[TicketState] | None, Query()] = None,
    severity: Annotated[list[Severity] | None, Query()] = None,
    owner: Word = None,
    alarm: Word = None,
    since: Annotated[AwareDatetime | None, Query(alias="from", description="bounds `opened_at`, half open")] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to", description="bounds `opened_at`, half open")] = None,
) -> Page[TicketOut]:
    found = await repository.list_tickets(
        session,
        scope,
        page,
        site=site,
        device=device,
        rule=rule,
        kinds=kind or (),
        states=state or (),
        severities=severity or (),
        owner=owner,
        alarm=alarm,
        since=since,
        until=until,
    )
    return page_of(found, TicketOut.of)


@router.post("/tickets", status_code=201)
async def open_ticket(body: TicketIn, session: Write, scope: Opens, service: Service, now: Now) -> TicketOut:
    return TicketOut.of(await service.open_by_hand(session, scope, body, source="api", now=now))


@router.get("/tickets/{ticket_id}")
async def get_ticket(ticket_id: str, session: Read, scope: Seen) -> TicketDetail:
    row = await repository.get_ticket(session, scope, ticket_id)
    files = await attachments_of(session, scope, ENTITY, row.id)
    return TicketDetail.with_parts(row, await repository.alarm_ids_of(session, row.id), files)


@router.get("/tickets/{ticket_id}/events")
async def list_events(ticket_id: str, session: Read, scope: Seen, page: Paging) -> Page[TicketEventOut]:
    row = await repository.get_ticket(session, scope, ticket_id)
    return page_of(await repository.list_events(session, scope, page, ticket_id=row.id), TicketEventOut.of)


@router.post("/tickets/{ticket_id}/attachments", status_code=201)
async def attach_file(
    ticket_id: str,
    request: Request,
    unit: TheUnit,
    kit: TheKit,
    scope: Opens,
    service: Service,
    now: Now,
    filename: Annotated[str, Query(min_length=1, max_length=200)] = "file",
) -> AttachmentOut:
    """The body is the file itself, its type the Content-Type."""
    async with kit.db.read() as session:
        await repository.get_ticket(session, scope, ticket_id)
    stored = await kit.attachments.save(request.stream())
    media_type = request.headers.get("content-type", "application/octet-stream")
    made = await service.attach_file(
        await unit.write(),
        scope,
        ticket_id,
        stored,
        filename=filename,
        media_type=media_type,
        source="api",
        now=now,
    )
    return AttachmentOut.model_validate(made)


@router.post("/tickets/{ticket_id}/acknowledge")
async def acknowledge(
    ticket_id: str, body: NoteIn, session: Write, scope: Works, service: Service, now: Now
) -> TicketOut:
    done = {"note": body.note}
    return TicketOut.of(await service.act(session, scope, ticket_id, Action.ACKNOWLEDGE, done, source="api", now=now))


@router.post("/tickets/{ticket_id}/start")
async def start(ticket_id: str, body: NoteIn, session: Write, scope: Works, service: Service, now: Now) -> TicketOut:
    done = {"note": body.note}
    return TicketOut.of(await service.act(session, scope, ticket_id, Action.START, done, source="api", now=now))


@router.post("/tickets/{ticket_id}/resolve")
async def resolve(ticket_id: str, body: NoteIn, session: Write, scope: Works, service: Service, now: Now) -> TicketOut:
    done = {"note": body.note}
    return TicketOut.of(await service.act(session, scope, ticket_id, Action.RESOLVE, done, source="api", now=now))


@router.post("/tickets/{ticket_id}/close")
async def close(ticket_id: str, body: NoteIn, session: Write, scope: Works, service: Service, now: Now) -> TicketOut:
    done = {"note": body.note}
    return TicketOut.of(await service.act(session, scope, ticket_id, Action.CLOSE, done, source="api", now=now))


@router.post("/tickets/{ticket_id}/reopen")
async def reopen(ticket_id: str, body: NoteIn, session: Write, scope: Works, service: Service, now: Now) -> TicketOut:
    done = {"note": body.note}
    return TicketOut.of(await service.act(session, scope, ticket_id, Action.REOPEN, done, source="api", now=now))


@router.post("/tickets/{ticket_id}/assign")
async def assign(
    ticket_id: str, body: AssignIn, session: Write, scope: Dispatches, service: Service, now: Now
) -> TicketOut:
    return TicketOut.of(await service.assign(session, scope, ticket_id, body.owner, source="api", now=now))


@router.post("/tickets/{ticket_id}/comment")
async def comment(ticket_id: str, body: NoteIn, session: Write, scope: Opens, service: Service, now: Now) -> TicketOut:
    done = {"note": body.note}
    return TicketOut.of(await service.act(session, scope, ticket_id, Action.COMMENT, done, source="api", now=now))

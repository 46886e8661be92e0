"""REST of tickets."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, status
from pydantic import AwareDatetime

from facility.severity import Severity
from server.kit.paging import Page, Paging, page_of
from server.kit.principal import Permission
from server.kit.requests import Now, Read, UnitRoute, Write, provide, require
from server.kit.scope import Scope
from server.tickets import repository
from server.tickets.schemas import (
    AssignIn,
    CommentIn,
    NoteIn,
    ResolveIn,
    TicketDetail,
    TicketEventOut,
    TicketIn,
    TicketOut,
)
from server.tickets.service import TicketService
from server.tickets.states import Action, TicketKind, TicketState

router = APIRouter(route_class=UnitRoute, tags=["tickets"])

Seen = Annotated[Scope, require(Permission.TICKETS_READ)]
Opens = Annotated[Scope, require(Permission.TICKETS_OPEN)]
Works = Annotated[Scope, require(Permission.TICKETS_WORK)]
Dispatches = Annotated[Scope, require(Permission.TICKETS_DISPATCH)]
Service = Annotated[TicketService, provide(TicketService)]
Word = Annotated[str | None, Query(max_length=120)]
At = Annotated[AwareDatetime | None, Query(description="RFC 3339 time; bounds `opened_at`, half open")]


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
    since: Annotated[datetime | None, At, Query(alias="from")] = None,
    until: Annotated[datetime | None, At, Query(alias="to")] = None,
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


@router.post("/tickets", status_code=status.HTTP_201_CREATED)
async def open_ticket(body: TicketIn, session: Write, scope: Opens, service: Service, now: Now) -> TicketOut:
    return TicketOut.of(await service.open_by_hand(session, scope, body, source="api", now=now))


@router.get("/tickets/{ticket_id}")
async def get_ticket(ticket_id: str, session: Read, scope: Seen) -> TicketDetail:
    row = await repository.get_ticket(session, scope, ticket_id)
    return TicketDetail.with_alarms(row, await repository.alarm_ids_of(session, row.id))


@router.get("/tickets/{ticket_id}/events")
async def list_events(ticket_id: str, session: Read, scope: Seen, page: Paging) -> Page[TicketEventOut]:
    row = await repository.get_ticket(session, scope, ticket_id)
    return page_of(await repository.list_events(session, scope, page, ticket_id=row.id), TicketEventOut.of)


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
async def resolve(
    ticket_id: str, body: ResolveIn, session: Write, scope: Works, service: Service, now: Now
) -> TicketOut:
    done = {"note": body.note}
    return TicketOut.of(await service.act(session, scope, ticket_id, Action.RESOLVE, done, source="api", now=now))


@router.post("/tickets/{ticket_id}/close")
async def close(ticket_id: str, body: NoteIn, session: Write, scope: Works, service: Service, now: Now) -> TicketOut:
    done = {"note": body.note}
    return TicketOut.of(await service.act(session, scope, ticket_id, Action.CLOSE, done, source="api", now=now))


@router.post("/tickets/{ticket_id}/reopen")
async def reopen(
    ticket_id: str, body: ResolveIn, session: Write, scope: Works, service: Service, now: Now
) -> TicketOut:
    done = {"note": body.note}
    return TicketOut.of(await service.act(session, scope, ticket_id, Action.REOPEN, done, source="api", now=now))


@router.post("/tickets/{ticket_id}/assign")
async def assign(
    ticket_id: str, body: AssignIn, session: Write, scope: Dispatches, service: Service, now: Now
) -> TicketOut:
    return TicketOut.of(await service.assign(session, scope, ticket_id, body.owner, source="api", now=now))


@router.post("/tickets/{ticket_id}/comment")
async def comment(
    ticket_id: str, body: CommentIn, session: Write, scope: Opens, service: Service, now: Now
) -> TicketOut:
    done = {"text": body.text}
    return TicketOut.of(await service.act(session, scope, ticket_id, Action.COMMENT, done, source="api", now=now))

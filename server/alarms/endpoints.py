"""REST of alarms."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from facility.severity import Severity
from server.alarms import repository
from server.alarms.doubt import unknown_among
from server.alarms.lifecycle import AlarmState
from server.alarms.schemas import AckIn, AlarmDetail, AlarmOut
from server.alarms.service import AlarmService
from server.alarms.watching import TicketFinder
from server.kit.paging import Page, Paging
from server.kit.principal import Permission
from server.kit.requests import Now, Read, UnitRoute, Write, provide, require
from server.kit.scope import Scope

router = APIRouter(route_class=UnitRoute, tags=["alarms"])

Seen = Annotated[Scope, require(Permission.ALARMS_READ)]
Acks = Annotated[Scope, require(Permission.ALARMS_ACK)]
Service = Annotated[AlarmService, provide(AlarmService)]
Tickets = Annotated[TicketFinder, provide(TicketFinder)]
Word = Annotated[str | None, Query(max_length=120)]


@router.get("/alarms")
async def list_alarms(
    session: Read,
    scope: Seen,
    page: Paging,
    tickets: Tickets,
    site: Annotated[str | None, Query(max_length=63, description="id or code")] = None,
    device: Word = None,
    rule: Word = None,
    severity: Annotated[list[Severity] | None, Query()] = None,
    state: Annotated[list[AlarmState] | None, Query()] = None,
    active: bool | None = None,
    since: Annotated[AwareDatetime | None, Query(alias="from", description="bounds `raised_at`, half open")] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to", description="bounds `raised_at`, half open")] = None,
) -> Page[AlarmOut]:
    rows, following = await repository.list_alarms(
        session,
        scope,
        page,
        site=site,
        device=device,
        rule=rule,
        severities=severity or (),
        states=state or (),
        active=active,
        since=since,
        until=until,
    )
    found = await tickets.tickets_of(session, [row.id for row in rows])
    unknown = await unknown_among(session, rows)
    items = [AlarmOut.of(row, found.get(row.id), unknown.get(row.id)) for row in rows]
    return Page(items=items, next=following)


@router.get("/alarms/{alarm_id}")
async def get_alarm(alarm_id: str, session: Read, scope: Seen, tickets: Tickets) -> AlarmDetail:
    row = await repository.get_alarm(session, scope, alarm_id)
    events = await repository.events_of(session, scope, alarm_id)
    found = await tickets.tickets_of(session, [row.id])
    unknown = await unknown_among(session, [row])
    comings = await repository.comings_of(session, row)
    return AlarmDetail.with_events(row, found.get(row.id), unknown.get(row.id), comings, events)


@router.post("/alarms/{alarm_id}/ack")
async def acknowledge(
    alarm_id: str, body: AckIn, session: Write, scope: Acks, service: Service, tickets: Tickets, now: Now
) -> AlarmOut:
    row = await service.acknowledge(session, scope, alarm_id, note=body.note, source="api", now=now)
    found = await tickets.tickets_of(session, [row.id])
    unknown = await unknown_among(session, [row])
    return AlarmOut.of(row, found.get(row.id), unknown.get(row.id))

"""The list of alarms, one alarm with its curve and log, and acknowledging it."""

from typing import Annotated

from fastapi import APIRouter, Form, Query
from fastapi.responses import Response

from facility.severity import Severity
from server.alarms import repository
from server.alarms.doubt import unknown_among
from server.alarms.lifecycle import AlarmState, may_acknowledge
from server.alarms.schemas import swings_of
from server.alarms.service import AlarmService
from server.alarms.watching import TicketFinder
from server.customers import repository as customers
from server.fleet import repository as fleet
from server.fleet import service as fleet_service
from server.kit.paging import MAX_LIMIT, PageRequest
from server.kit.principal import Permission
from server.kit.requests import Now, Read, Write, provide, require
from server.kit.scope import Scope
from server.web.charts import level_lines
from server.web.filters import Chosen, choice, older
from server.web.view import PageRoute, TheView, safe_next

router = APIRouter(route_class=PageRoute)

Seen = require(Permission.ALARMS_READ)
Acks = require(Permission.ALARMS_ACK)
Service = provide(AlarmService)
Tickets = provide(TicketFinder)  # type: ignore[type-abstract]
Cursor = Annotated[str | None, Query(max_length=500)]
A_PAGE = 50


@router.get("/alarms")
async def list_alarms(
    view: TheView,
    session: Read,
    scope: Scope = Seen,
    tickets: TicketFinder = Tickets,
    site: Chosen = "",
    severity: Chosen = "",
    state: Chosen = "",
    active: Chosen = "",
    device: Chosen = "",
    cursor: Cursor = None,
) -> Response:
    chosen_severity, chosen_state = choice(Severity, severity), choice(AlarmState, state)
    rows, following = await repository.list_alarms(
        session,
        scope,
        PageRequest(cursor=cursor, limit=A_PAGE),
        site=site or None,
        device=device or None,
        severities=[chosen_severity] if chosen_severity else (),
        states=[chosen_state] if chosen_state else (),
        active={"yes": True, "no": False}.get(active),
    )
    sites, _ = await customers.list_sites(session, scope, PageRequest(limit=MAX_LIMIT), customer=None, active=None)
    template = "_alarm_rows.html" if view.request.headers.get("hx-request") else "alarms.html"
    return view.page(
        template,
        alarms=rows,
        tickets=await tickets.tickets_of(session, [row.id for row in rows]),
        unknown=await unknown_among(session, rows),
        sites=sites,
        severities=list(Severity),
        states=list(AlarmState),
        chosen={"site": site, "severity": severity, "state": state, "active": active, "device": device},
        older=older(view.request, following),
        filtered=any((site, severity, state, active, device)),
        may_acknowledge=may_acknowledge,
    )


@router.get("/alarms/{alarm_id}")
async def alarm(
    alarm_id: str,
    view: TheView,
    session: Read,
    scope: Scope = Seen,
    tickets: TicketFinder = Tickets,
) -> Response:
    row = await repository.get_alarm(session, scope, alarm_id)
    device = await fleet.find_device(session, scope, row.site_id, row.device)
    point = await fleet.find_point(session, scope, row.site_id, row.device, row.metric, row.subject)
    rule = None
    if row.agent_id is not None:
        rule = await fleet_service.rule(session, scope, row.agent_id, row.rule, row.rule_revision)
    events = await repository.events_of(session, scope, row.id)
    return view.page(
        "alarm.html",
        zone=row.site.zone,
        alarm=row,
        device=device,
        point=point,
        rule=rule,
        levels=level_lines(row.metric, rule.levels) if rule else [],
        ticket=(await tickets.tickets_of(session, [row.id])).get(row.id),
        unknown=(await unknown_among(session, [row])).get(row.id),
        comings=await repository.comings_of(session, row),
        swings=swings_of(events),
        events=events,
        may_acknowledge=may_acknowledge(row.state) and scope.may(Permission.ALARMS_ACK),
    )


@router.post("/alarms/{alarm_id}/acknowledge")
async def acknowledge(
    alarm_id: str,
    view: TheView,
    session: Write,
    now: Now,
    scope: Scope = Acks,
    service: AlarmService = Service,
    note: Annotated[str, Form(max_length=1000)] = "",
    back: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    await service.acknowledge(session, scope, alarm_id, note=note.strip(), source="web", now=now)
    return view.go(safe_next(back) if back else f"/alarms/{alarm_id}", done="acknowledged")

"""The list of tickets, one ticket with everything a repair needs to know, and what may be done with it."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi.responses import Response

from facility.severity import Severity
from server.assets import repository as assets
from server.assets import service as asset_service
from server.customers import repository as customers
from server.db.session import ReadSession
from server.fleet import repository as fleet
from server.fleet.models import Point
from server.kit.paging import MAX_LIMIT, PageRequest
from server.kit.principal import Permission
from server.kit.problems import Forbidden, NotFound
from server.kit.requests import Now, Read, Write, provide, require
from server.kit.scope import Scope
from server.maintenance import repository as maintenance
from server.maintenance.models import Order
from server.people import repository as people
from server.people.auth import principal_of_user
from server.people.models import User
from server.tickets import repository
from server.tickets.models import Ticket
from server.tickets.schemas import TicketIn
from server.tickets.service import TicketService
from server.tickets.states import OPEN_STATES, Action, TicketKind, TicketState, allowed
from server.web.charts import level_lines
from server.web.filters import Chosen, choice, older
from server.web.pages.alarms import Cursor
from server.web.view import PageRoute, TheView

router = APIRouter(route_class=PageRoute)

Seen = require(Permission.TICKETS_READ)
Opens = require(Permission.TICKETS_OPEN)
Service = provide(TicketService)
A_PAGE = 50
MOST_EVENTS = MAX_LIMIT
MOST_PAST = 10
# What an action needs, beside that the state allows it.
NEEDS = {
    Action.ACKNOWLEDGE: Permission.TICKETS_WORK,
    Action.START: Permission.TICKETS_WORK,
    Action.RESOLVE: Permission.TICKETS_WORK,
    Action.CLOSE: Permission.TICKETS_WORK,
    Action.REOPEN: Permission.TICKETS_WORK,
    Action.ASSIGN: Permission.TICKETS_DISPATCH,
    Action.COMMENT: Permission.TICKETS_OPEN,
}
# The actions with a button of their own; resolving and reopening need a word of explanation.
WITH_WORDS = (Action.RESOLVE, Action.REOPEN)
_OPEN = "open"


@router.get("/tickets")
async def list_tickets(
    view: TheView,
    session: Read,
    scope: Scope = Seen,
    site: Chosen = "",
    state: Chosen = _OPEN,
    kind: Chosen = "",
    severity: Chosen = "",
    mine: Chosen = "",
    cursor: Cursor = None,
) -> Response:
    """Open ones unless another state is chosen."""
    chosen_state = None if state == _OPEN else choice(TicketState, state)
    chosen_kind, chosen_severity = choice(TicketKind, kind), choice(Severity, severity)
    rows, following = await repository.list_tickets(
        session,
        scope,
        PageRequest(cursor=cursor, limit=A_PAGE),
        site=site or None,
        states=OPEN_STATES if state == _OPEN else ([chosen_state] if chosen_state else ()),
        kinds=[chosen_kind] if chosen_kind else (),
        severities=[chosen_severity] if chosen_severity else (),
        owner=scope.principal.id if mine else None,
    )
    sites, _ = await customers.list_sites(session, scope, PageRequest(limit=MAX_LIMIT), customer=None, active=None)
    template = "_ticket_rows.html" if view.request.headers.get("hx-request") else "tickets.html"
    return view.page(
        template,
        tickets=rows,
        sites=sites,
        kinds=list(TicketKind),
        states=list(TicketState),
        severities=list(Severity),
        chosen={"site": site, "state": state, "kind": kind, "severity": severity, "mine": mine},
        filtered=bool(site or kind or severity or mine or state not in (_OPEN, "")),
        counts=await repository.count_by_state(session, scope),
        older=older(view.request, following),
        may_open=scope.may(Permission.TICKETS_OPEN),
    )


@router.get("/tickets/new")
async def new_ticket(
    view: TheView, session: Read, scope: Scope = Opens, site: Chosen = "", device: Chosen = ""
) -> Response:
    sites, _ = await customers.list_sites(session, scope, PageRequest(limit=MAX_LIMIT), customer=None, active=True)
    return view.page(
        "ticket_new.html",
        sites=sites,
        site=site,
        device=device,
        kinds=[TicketKind.REQUEST, TicketKind.CORRECTIVE, TicketKind.INSPECTION, TicketKind.COMPLAINT],
        severities=list(Severity),
    )


@router.post("/tickets/new")
async def open_ticket(
    view: TheView,
    session: Write,
    now: Now,
    site: Annotated[str, Form(max_length=63)],
    title: Annotated[str, Form(max_length=500)],
    scope: Scope = Opens,
    service: TicketService = Service,
    kind: Annotated[str, Form(max_length=32)] = TicketKind.REQUEST.value,
    severity: Annotated[str, Form(max_length=32)] = Severity.MINOR.value,
    description: Annotated[str, Form(max_length=20_000)] = "",
    device: Annotated[str, Form(max_length=63)] = "",
) -> Response:
    body = TicketIn(
        site=site,
        kind=choice(TicketKind, kind) or TicketKind.REQUEST,
        severity=choice(Severity, severity) or Severity.MINOR,
        title=title,
        description=description,
        device=device,
    )
    row = await service.open_by_hand(session, scope, body, source="web", now=now)
    return view.go(f"/tickets/{row.id}", done="opened")


@router.get("/tickets/{ticket_id}")
async def ticket(ticket_id: str, view: TheView, session: Read, scope: Scope = Seen) -> Response:
    row = await repository.get_ticket(session, scope, ticket_id)
    context: dict[str, Any] = {"alarms": [], "point": None, "levels": [], "device": None, "assets": []}
    if scope.may(Permission.ALARMS_READ):
        context["alarms"] = await repository.alarms_of(session, scope, row.id)
    if row.device and scope.may(Permission.FLEET_READ):
        context["device"] = await fleet.find_device(session, scope, row.site_id, row.device)
        context |= await _judged(session, scope, context["alarms"])
    if row.device and scope.may(Permission.ASSETS_READ):
        wanted = assets.AssetFilter(site=row.site_id, device=row.device, active=True)
        found, _ = await assets.list_assets(session, scope, PageRequest(limit=5), wanted=wanted, now=view.now)
        context["assets"] = [asset_service.shown(asset, view.now) for asset in found]
    events, _ = await repository.list_events(session, scope, PageRequest(limit=MOST_EVENTS), ticket_id=row.id)
    actions = [action for action in allowed(row.state) if scope.may(NEEDS[action])]
    return view.page(
        "ticket.html",
        zone=row.site.zone,
        ticket=row,
        events=events,
        actions=actions,
        buttons=[action for action in actions if action not in (*WITH_WORDS, Action.ASSIGN, Action.COMMENT)],
        with_words=[action for action in actions if action in WITH_WORDS],
        may_assign=Action.ASSIGN in actions,
        engineers=await _engineers(session, row) if Action.ASSIGN in actions else [],
        may_comment=Action.COMMENT in actions,
        order=await _order(view, session, scope, row),
        past=await _past(session, scope, row),
        names={user.id: user.name for user in await people.active_users(session)},
        may_history=scope.may(Permission.HISTORY_READ),
        **context,
    )


async def _judged(session: ReadSession, scope: Scope, alarms: Sequence[Any]) -> dict[str, Any]:
    """The point the newest alarm was judged by, and the thresholds of the rule as it was then."""
    for alarm in alarms:
        point: Point | None = await fleet.find_point(
            session, scope, alarm.site_id, alarm.device, alarm.metric, alarm.subject
        )
        if point is None:
            continue
        rules = (
            []
            if alarm.agent_id is None
            else await fleet.rules_of_agent(session, scope, alarm.agent_id, rules=[alarm.rule])
        )
        judged = next((rule for rule in rules if rule.revision == alarm.rule_revision), None)
        return {
            "point": point,
            "charted": alarm,
            "rule": judged,
            "levels": level_lines(point.metric, judged.levels) if judged else [],
        }
    return {"point": None, "charted": None, "rule": None}


async def _order(view: TheView, session: ReadSession, scope: Scope, row: Ticket) -> Order | None:
    """The maintenance order a planned ticket was opened for."""
    if not scope.may(Permission.MAINTENANCE_READ) or row.kind not in (TicketKind.PREVENTIVE, TicketKind.INSPECTION):
        return None
    wanted = maintenance.OrderFilter(ticket=row.id)
    found, _ = await maintenance.list_orders(session, scope, PageRequest(limit=1), wanted=wanted, now=view.now)
    return found[0] if found else None


async def _engineers(session: ReadSession, row: Ticket) -> list[User]:
    """Who may be given the ticket: those who work on tickets of its site."""
    found = []
    for user in await people.active_users(session):
        scope = Scope.of(principal_of_user(user))
        if scope.may(Permission.TICKETS_WORK) and scope.sees(customer_id=row.customer_id, site_id=row.site_id):
            found.append(user)
    return found


async def _past(session: ReadSession, scope: Scope, row: Ticket) -> list[Ticket]:
    """The other tickets of the device, newest first."""
    if not row.device:
        return []
    found, _ = await repository.list_tickets(
        session, scope, PageRequest(limit=MOST_PAST + 1), site=row.site_id, device=row.device
    )
    return [other for other in found if other.id != row.id][:MOST_PAST]


@router.post("/tickets/{ticket_id}/{action}")
async def act(
    ticket_id: str,
    action: str,
    view: TheView,
    session: Write,
    now: Now,
    scope: Scope = Seen,
    service: TicketService = Service,
    note: Annotated[str, Form(max_length=4000)] = "",
    owner: Annotated[str, Form(max_length=63)] = "",
) -> Response:
    """Every action is a form of its own; what it needs is checked here and by the service."""
    if action not in set(Action):
        raise NotFound("action", action)
    wanted = Action(action)
    if not scope.may(NEEDS[wanted]):
        # The same refusal as at the API; the page shows no such button.
        raise Forbidden("your role does not allow this", code="role")
    path = f"/tickets/{ticket_id}"
    if wanted is Action.ASSIGN:
        await service.assign(session, scope, ticket_id, owner, source="web", now=now)
    else:
        await service.act(session, scope, ticket_id, wanted, {"note": note.strip()}, source="web", now=now)
    if wanted is Action.COMMENT:
        return view.go(path, done="commented")
    return view.go(path, done="changed")

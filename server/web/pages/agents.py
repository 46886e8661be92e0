"""An agent: how it is, what it lost, and taking it out of use."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form
from fastapi.responses import Response

from server.fleet import repository as fleet
from server.fleet import service as fleet_service
from server.fleet.drops import by_reason, thinned
from server.fleet.models import AgentStatus
from server.fleet.watch import AgentWatchers
from server.kit.paging import MAX_LIMIT, PageRequest
from server.kit.principal import Permission
from server.kit.requests import Now, Read, Write, provide, require
from server.kit.scope import Scope
from server.web.view import PageRoute, TheView

router = APIRouter(route_class=PageRoute)

Seen = require(Permission.FLEET_READ)
Edits = require(Permission.FLEET_WRITE)
Watchers = provide(AgentWatchers)
LATELY = PageRequest(limit=10)


@router.get("/agents/{agent_id}")
async def agent(agent_id: str, view: TheView, session: Read, scope: Scope = Seen) -> Response:
    row = await fleet.get_agent(session, scope, agent_id)
    devices, _ = await fleet.list_devices(session, scope, PageRequest(limit=MAX_LIMIT), agent=row.id)
    return view.page(
        "agent.html",
        zone=row.site.zone,
        agent=row,
        drops=by_reason(row.drops),
        thinned=thinned(row.drops),
        devices=devices,
        events=(await fleet.list_events(session, scope, LATELY, agent=row.id))[0],
        may_retire=scope.may(Permission.FLEET_WRITE) and row.status is not AgentStatus.RETIRED,
        is_online=row.status is AgentStatus.ONLINE,
    )


@router.post("/agents/{agent_id}/retire")
async def retire(
    agent_id: str,
    view: TheView,
    session: Write,
    now: Now,
    sure: Annotated[Literal["yes"], Form()],
    scope: Scope = Edits,
    watchers: AgentWatchers = Watchers,
) -> Response:
    """sure: the box that says what will happen was ticked."""
    await fleet_service.retire_agent(session, scope, agent_id, watchers=watchers.all, now=now)
    return view.go(f"/agents/{agent_id}", done="agent_retired")

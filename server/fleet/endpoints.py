"""REST of agents, devices, points and agents' events."""

from typing import Annotated

from fastapi import APIRouter, Query

from server.fleet import repository, service
from server.fleet.models import AgentStatus
from server.fleet.schemas import AgentIn, AgentOut, DeviceDetail, DeviceOut, EventOut, PointOut
from server.fleet.watch import AgentWatchers
from server.kit.paging import Page, Paging, page_of
from server.kit.principal import Permission
from server.kit.requests import Now, Read, UnitRoute, Write, provide, require
from server.kit.scope import Scope

router = APIRouter(route_class=UnitRoute, tags=["fleet"])

Seen = Annotated[Scope, require(Permission.FLEET_READ)]
Edits = Annotated[Scope, require(Permission.FLEET_WRITE)]
Code = Annotated[str | None, Query(max_length=63, description="id or code")]
Word = Annotated[str | None, Query(max_length=120)]


@router.get("/agents")
async def list_agents(
    session: Read, scope: Seen, page: Paging, site: Code = None, status: AgentStatus | None = None
) -> Page[AgentOut]:
    return page_of(await repository.list_agents(session, scope, page, site=site, status=status), AgentOut.of)


@router.post("/agents", status_code=201)
async def create_agent(body: AgentIn, session: Write, scope: Edits, now: Now) -> AgentOut:
    return AgentOut.of(await service.create_agent(session, scope, body, now=now))


@router.get("/agents/{agent_id}")
async def get_agent(agent_id: str, session: Read, scope: Seen) -> AgentOut:
    return AgentOut.of(await repository.get_agent(session, scope, agent_id))


@router.post("/agents/{agent_id}/retire")
async def retire_agent(
    agent_id: str, session: Write, scope: Edits, watchers: Annotated[AgentWatchers, provide(AgentWatchers)], now: Now
) -> AgentOut:
    """It is gone for good: its devices are retired and its alarms end as `device_retired`. 409 while it is online."""
    return AgentOut.of(await service.retire_agent(session, scope, agent_id, watchers=watchers.all, now=now))


@router.get("/agents/{agent_id}/events")
async def list_agent_events(
    agent_id: str, session: Read, scope: Seen, page: Paging, device: Code = None, kind: Word = None
) -> Page[EventOut]:
    agent = await repository.get_agent(session, scope, agent_id)
    found = await repository.list_events(session, scope, page, agent=agent.id, device=device, kind=kind)
    return page_of(found, EventOut.model_validate)


@router.get("/events")
async def list_events(
    session: Read, scope: Seen, page: Paging, site: Code = None, device: Code = None, kind: Word = None
) -> Page[EventOut]:
    """Traps, reboots and what agents say of themselves, the newest first."""
    found = await repository.list_events(session, scope, page, site=site, device=device, kind=kind)
    return page_of(found, EventOut.model_validate)


@router.get("/devices")
async def list_devices(
    session: Read,
    scope: Seen,
    page: Paging,
    site: Code = None,
    room: Code = None,
    kind: Word = None,
    active: bool | None = True,
) -> Page[DeviceOut]:
    found = await repository.list_devices(session, scope, page, site=site, room=room, kind=kind, active=active)
    return page_of(found, DeviceOut.of)


@router.get("/devices/{device_id}")
async def get_device(device_id: str, session: Read, scope: Seen) -> DeviceDetail:
    row = await repository.get_device(session, scope, device_id)
    points = await service.points_of(session, scope, row.id)
    rules = await service.rules_of(session, scope, row)
    return DeviceDetail.with_parts(row, points, list(rules))


@router.get("/points")
async def list_points(
    session: Read,
    scope: Seen,
    page: Paging,
    site: Code = None,
    device: Code = None,
    metric: Word = None,
    room: Code = None,
    kind: Word = None,
    active: bool | None = True,
) -> Page[PointOut]:
    found = await repository.list_points(
        session, scope, page, site=site, device=device, metric=metric, room=room, kind=kind, active=active
    )
    return page_of(found, PointOut.of)


@router.get("/points/{point_id}")
async def get_point(point_id: str, session: Read, scope: Seen) -> PointOut:
    return PointOut.of(await repository.get_point(session, scope, point_id))

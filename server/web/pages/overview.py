"""The first page: every room with its devices as they are now."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from server.alarms import repository as alarms
from server.customers import repository as customers
from server.db.session import ReadSession
from server.fleet import repository as fleet
from server.fleet.models import AgentStatus
from server.history.service import HistoryService
from server.kit.paging import MAX_LIMIT, PageRequest
from server.kit.principal import Permission
from server.kit.requests import Read, provide, require
from server.kit.scope import Scope
from server.tickets import repository as tickets
from server.web.rooms import key_points, rooms_of
from server.web.view import PageRoute, TheView

router = APIRouter(route_class=PageRoute)

Seen = require(Permission.FLEET_READ)
History = provide(HistoryService)
# Whoever has more devices than this looks at sites one by one; the page says so.
MOST_DEVICES = MAX_LIMIT
ALARMS_SHOWN = 8


@router.get("/")
async def overview(view: TheView, session: Read, scope: Scope = Seen, history: HistoryService = History) -> Response:
    return view.page("overview.html", **await _live(view, session, scope, history))


@router.get("/overview/live")
async def live(view: TheView, session: Read, scope: Scope = Seen, history: HistoryService = History) -> Response:
    """The part that refreshes itself."""
    return view.page("_overview_live.html", **await _live(view, session, scope, history))


async def _live(view: TheView, session: ReadSession, scope: Scope, history: HistoryService) -> dict[str, Any]:
    everything = PageRequest(limit=MAX_LIMIT)
    sites, _ = await customers.list_sites(session, scope, everything, customer=None, active=True)
    rooms, _ = await customers.list_rooms(session, scope, everything, site=None, active=True)
    devices, more = await fleet.list_devices(session, scope, PageRequest(limit=MOST_DEVICES))
    agents, _ = await fleet.list_agents(session, scope, everything, site=None, status=None)
    points = key_points(await fleet.points_of_devices(session, scope, [device.id for device in devices]))
    latest = await history.latest(points)
    active, _ = await alarms.list_alarms(session, scope, everything, active=True)
    worst_first = sorted(active, key=lambda alarm: (alarm.severity.rank, -alarm.raised_at.timestamp()))
    away = {agent.id for agent in agents if agent.status is not AgentStatus.ONLINE}
    return {
        "rooms": rooms_of(sites, rooms, devices, points, latest, active, view.now, away=away),
        "agents": [agent for agent in agents if agent.status is not AgentStatus.RETIRED],
        "site_names": {site.id: site for site in sites},
        "counts": await alarms.active_by_severity(session, scope),
        "alarms": worst_first[:ALARMS_SHOWN],
        "alarms_total": len(active),
        "tickets_open": sum((await tickets.count_by_state(session, scope)).values()),
        "more_devices": more is not None,
        "device_ids": {(device.site_id, device.device): device.id for device in devices},
    }

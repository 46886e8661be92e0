"""A device: facts, live points, history, and what other domains know of it."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from facility.severity import worst
from server.alarms import repository as alarms
from server.assets import repository as assets
from server.assets import service as asset_service
from server.db.session import ReadSession
from server.fleet import repository as fleet
from server.fleet import service as fleet_service
from server.fleet.models import AgentStatus, Point
from server.history.schemas import LatestOut
from server.history.service import HistoryService
from server.kit.paging import PageRequest
from server.kit.principal import Permission
from server.kit.requests import Read, provide, require
from server.kit.scope import Scope
from server.tickets import repository as tickets
from server.web.rooms import KEY_METRICS, fresh
from server.web.ui import metric_of
from server.web.view import PageRoute, TheView
from server.web.words import N_

router = APIRouter(route_class=PageRoute)

Seen = require(Permission.FLEET_READ)
History = provide(HistoryService)
SPANS = (("1h", N_("1 hour")), ("24h", N_("24 hours")), ("7d", N_("7 days")), ("30d", N_("30 days")))
Span = Annotated[str, Query(pattern="^(1h|24h|7d|30d)$")]
MOST_CHARTS = 4
LATELY = PageRequest(limit=5)

PointRow = tuple[Point, LatestOut | None, bool]


@router.get("/devices/{device_id}")
async def device(
    device_id: str,
    view: TheView,
    session: Read,
    scope: Scope = Seen,
    history: HistoryService = History,
    span: Span = "1h",
    point: Annotated[list[str] | None, Query(max_length=MOST_CHARTS)] = None,
) -> Response:
    row = await fleet.get_device(session, scope, device_id)
    points = await fleet_service.points_of(session, scope, row.id)
    rows = await _rows(view, history, points)
    context: dict[str, Any] = {"alarms": [], "tickets": [], "assets": [], "severity": None}
    if scope.may(Permission.ALARMS_READ):
        found, _ = await alarms.list_alarms(session, scope, LATELY, site=row.site_id, device=row.device)
        context["alarms"] = found
        active, _ = await alarms.list_alarms(
            session, scope, PageRequest(limit=50), site=row.site_id, device=row.device, active=True
        )
        context["severity"] = worst([alarm.severity for alarm in active]) if active else None
    if scope.may(Permission.TICKETS_READ):
        context["tickets"], _ = await tickets.list_tickets(session, scope, LATELY, site=row.site_id, device=row.device)
    if scope.may(Permission.ASSETS_READ):
        context["assets"] = await _assets(view, session, scope, row.site_id, row.device)
    return view.page(
        "device.html",
        away=row.agent.status is not AgentStatus.ONLINE,
        zone=row.site.zone,
        device=row,
        rows=rows,
        rules=await fleet_service.rules_of(session, scope, row),
        events=(await fleet.list_events(session, scope, LATELY, site=row.site_id, device=row.device))[0],
        charted=charted(points, point or []),
        spans=SPANS,
        span=span,
        **context,
    )


@router.get("/devices/{device_id}/points")
async def live_points(
    device_id: str,
    view: TheView,
    session: Read,
    scope: Scope = Seen,
    history: HistoryService = History,
    span: Span = "1h",
) -> Response:
    """The table of points, which refreshes itself."""
    row = await fleet.get_device(session, scope, device_id)
    points = await fleet_service.points_of(session, scope, row.id)
    return view.page(
        "_device_points.html", zone=row.site.zone, rows=await _rows(view, history, points), device=row, span=span
    )


async def _assets(view: TheView, session: ReadSession, scope: Scope, site_id: str, device: str) -> list[Any]:
    wanted = assets.AssetFilter(site=site_id, device=device, active=True)
    found, _ = await assets.list_assets(session, scope, LATELY, wanted=wanted, now=view.now)
    return [asset_service.shown(row, view.now) for row in found]


async def _rows(view: TheView, history: HistoryService, points: Sequence[Point]) -> list[PointRow]:
    """Every point with its newest value and whether that is live; the main ones first."""
    latest = {value.point: value for value in await history.latest(points)}
    order = {name: position for position, name in enumerate(KEY_METRICS)}
    ordered = sorted(points, key=lambda p: (order.get(p.metric, len(order)), p.metric, p.subject))
    return [
        (point, value, value is not None and fresh(value, point, view.now))
        for point in ordered
        for value in (latest.get(point.id),)
    ]


def charted(points: Sequence[Point], asked: Sequence[str]) -> list[Point]:
    """The points to draw: those asked for, else the main value of each key metric, else the first numbers."""
    by_id = {point.id: point for point in points}
    if asked:
        return [by_id[key] for key in asked if key in by_id]
    main: dict[str, Point] = {}
    for point in sorted(points, key=lambda point: (point.subject != "", point.subject)):
        main.setdefault(point.metric, point)
    known = [main[name] for name in KEY_METRICS if name in main]
    numeric = [point for point in points if (entry := metric_of(point.metric)) is None or entry.states is None]
    return (known or numeric or list(points))[:MOST_CHARTS]

"""Curves for charts as JSON, worded for the reader: /web/points/... and /web/alarms/...."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from server.alarms import repository as alarms
from server.alarms.models import Alarm
from server.db.session import ReadSession
from server.fleet import repository as fleet
from server.fleet import service as fleet_service
from server.fleet.models import Point
from server.history.service import HistoryService
from server.kit.paging import PageRequest
from server.kit.principal import Permission
from server.kit.problems import NotFound
from server.kit.requests import Read, UnitRoute, provide, require
from server.kit.scope import Scope
from server.web.charts import Columns, begin, hold_s, level_lines, raw_columns, step_columns
from server.web.ui import Ui, metric_of, unit_of
from server.web.view import TheView

router = APIRouter(route_class=UnitRoute)

Seen = require(Permission.HISTORY_READ)
History = provide(HistoryService)

SPANS = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
# What a ticket shows around its alarm (30 minutes on both sides), and at most of an alarm that lasts.
AROUND = timedelta(minutes=30)
LONGEST_AROUND = timedelta(hours=24)
_HEADERS = {"Cache-Control": "no-store", "Vary": "Cookie"}


@router.get("/web/points/{point_id}/series")
async def point_series(
    point_id: str,
    view: TheView,
    session: Read,
    scope: Scope = Seen,
    history: HistoryService = History,
    span: Annotated[str, Query(pattern="^(1h|24h|7d|30d)$")] = "1h",
) -> JSONResponse:
    point = await fleet.get_point(session, scope, point_id)
    end = view.now
    return JSONResponse(await _curve(view, session, scope, history, point, end - SPANS[span], end), headers=_HEADERS)


@router.get("/web/alarms/{alarm_id}/series")
async def alarm_series(
    alarm_id: str, view: TheView, session: Read, scope: Scope = Seen, history: HistoryService = History
) -> JSONResponse:
    """The readings the alarm was judged by, from half an hour before it to half an hour after it."""
    if not scope.may(Permission.ALARMS_READ):
        raise NotFound("alarm", alarm_id)
    alarm = await alarms.get_alarm(session, scope, alarm_id)
    point = await fleet.find_point(session, scope, alarm.site_id, alarm.device, alarm.metric, alarm.subject)
    if point is None:
        raise NotFound("point", f"{alarm.device}/{alarm.metric}")
    start = alarm.raised_at - AROUND
    end = min((alarm.ended_at or view.now) + AROUND, view.now, alarm.raised_at + LONGEST_AROUND)
    return JSONResponse(
        await _curve(view, session, scope, history, point, start, max(end, start + AROUND), alarm=alarm),
        headers=_HEADERS,
    )


async def _curve(
    view: TheView,
    session: ReadSession,
    scope: Scope,
    history: HistoryService,
    point: Point,
    start: datetime,
    end: datetime,
    *,
    alarm: Alarm | None = None,
) -> dict[str, Any]:
    window = await history.window(
        session,
        scope,
        site_id=point.site_id,
        device=point.device.device,
        metric=point.metric,
        subject=point.subject,
        start=start,
        end=end,
    )
    columns = Columns()
    if window is not None and window.step_s is None:
        columns = raw_columns(point.metric, window.raw, hold=hold_s(point.interval_s, point.heartbeat_s))
    elif window is not None and window.step_s is not None:
        columns = step_columns(point.metric, window.steps, step_s=window.step_s)
    if alarm is None:
        found, _ = await alarms.list_alarms(
            session,
            scope,
            PageRequest(limit=50),
            site=point.site_id,
            device=point.device.device,
            since=start,
            until=end,
        )
        marked = [row for row in found if row.metric == point.metric and row.subject == point.subject]
    else:
        marked = [alarm]
    if not scope.may(Permission.ALARMS_READ):
        marked = []
    levels = await _levels(session, scope, point, alarm)
    return _shown(view.ui(point.site.zone), point, columns, start, end, levels, marked)


async def _levels(session: ReadSession, scope: Scope, point: Point, alarm: Alarm | None) -> list[dict[str, Any]]:
    """The thresholds of the rule as it was when the alarm came, or of every rule that judges the point now."""
    if alarm is not None:
        rule = None
        if alarm.agent_id is not None:
            rule = await fleet_service.rule(session, scope, alarm.agent_id, alarm.rule, alarm.rule_revision)
        return [] if rule is None else level_lines(point.metric, rule.levels)
    device = await fleet.get_device(session, scope, point.device_id)
    rules = await fleet_service.rules_of(session, scope, device)
    return level_lines(point.metric, [level for r in rules if r.metric == point.metric for level in r.levels])


def _shown(
    ui: Ui,
    point: Point,
    columns: Columns,
    start: datetime,
    end: datetime,
    levels: Sequence[dict[str, Any]],
    marked: Sequence[Alarm],
) -> dict[str, Any]:
    entry = metric_of(point.metric)
    states = {}
    if entry is not None and entry.states is not None:
        states = {state.code: ui.pick(state.en, state.zh) for state in entry.states.states}
    severities = {line["severity"] for line in levels}
    return {
        "label": ui.point(point),
        "time": ui.gettext("Time"),
        "lowest": ui.gettext("Lowest"),
        "highest": ui.gettext("Highest"),
        "empty": ui.gettext("No readings in this period."),
        "unit": unit_of(point.metric),
        "decimals": 1 if entry is None else entry.decimals,
        "zone": ui.zone,
        "from": begin(
            start.timestamp(),
            end.timestamp(),
            known_since=point.device.created_at.timestamp(),
            columns=columns,
        ),
        "to": end.timestamp(),
        "t": columns.t,
        "v": columns.v,
        "low": columns.low if any(value is not None for value in columns.low) else [],
        "high": columns.high if any(value is not None for value in columns.high) else [],
        "nothing": columns.empty,
        "states": states,
        "levels": [{**line, "label": ui.severity(line["severity"])} for line in levels],
        "severities": sorted(severities),
        "marks": [
            {
                "from": alarm.raised_at.timestamp(),
                "to": alarm.ended_at.timestamp() if alarm.ended_at else None,
                "severity": alarm.severity.value,
                "label": ui.pick(alarm.rule_en, alarm.rule_zh, alarm.rule),
            }
            for alarm in marked
        ],
    }

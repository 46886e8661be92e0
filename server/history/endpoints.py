"""REST of readings: raw, in steps, newest; JSON or CSV."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from server.fleet import repository as fleet
from server.history.export import raw_csv, steps_csv
from server.history.schemas import LatestOut, RawPage, StepPage
from server.history.service import MAX_LATEST, MAX_RAW, HistoryService
from server.kit.paging import Page, PageRequest
from server.kit.principal import Permission
from server.kit.problems import BadRequest
from server.kit.requests import Now, Read, UnitRoute, provide, require
from server.kit.scope import Scope

router = APIRouter(route_class=UnitRoute, tags=["history"])

Seen = Annotated[Scope, require(Permission.HISTORY_READ)]
Service = Annotated[HistoryService, provide(HistoryService)]
Code = Annotated[str | None, Query(max_length=63, description="id or code")]
CSV = "text/csv"
# What a request without `from` means.
DEFAULT_SPAN = timedelta(hours=1)


class Format(StrEnum):
    JSON = "json"
    CSV = "csv"


@router.get(
    "/readings",
    response_model=RawPage | StepPage,
    responses={200: {"content": {CSV: {}}, "description": "Raw readings, or steps when `step` is given"}},
)
async def get_readings(
    point: Annotated[str, Query(max_length=36, description="id of the point")],
    session: Read,
    scope: Seen,
    service: Service,
    now: Now,
    start: Annotated[datetime | None, Query(alias="from", description="default: an hour before `to`")] = None,
    end: Annotated[datetime | None, Query(alias="to", description="exclusive; default: now")] = None,
    step: Annotated[int | None, Query(ge=1, le=31 * 86400, description="seconds; absent: raw readings")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_RAW, description="raw readings in one page")] = MAX_RAW,
    form: Annotated[Format | None, Query(alias="format")] = None,
    accept: Annotated[str, Header()] = "",
) -> RawPage | StepPage | Response:
    row = await fleet.get_point(session, scope, point)
    end = end or now
    start = start or end - DEFAULT_SPAN
    if start.tzinfo is None or end.tzinfo is None:
        raise BadRequest("times carry a zone, such as 2026-11-23T09:00:00Z", code="naive_time")
    if start >= end:
        raise BadRequest("`from` must be before `to`", code="empty_range")
    as_csv = form is Format.CSV or (form is None and accept.split(";")[0].strip() == CSV)
    if step is not None:
        steps = await service.steps(row, start, end, step_s=step)
        return Response(steps_csv(steps), media_type=CSV) if as_csv else StepPage(items=steps, step=step)
    raw = await service.raw(row, start, end, limit=limit + 1)
    following = raw[limit].taken_at if len(raw) > limit else None
    if as_csv:
        headers = {"X-Next-From": following.isoformat()} if following else {}
        return Response(raw_csv(raw[:limit]), media_type=CSV, headers=headers)
    return RawPage(items=raw[:limit], next=following)


@router.get("/readings/latest")
async def get_latest(
    session: Read,
    scope: Seen,
    service: Service,
    site: Code = None,
    device: Code = None,
    room: Code = None,
    metric: Annotated[str | None, Query(max_length=120)] = None,
) -> Page[LatestOut]:
    points, _ = await fleet.list_points(
        session, scope, PageRequest(limit=MAX_LATEST), site=site, device=device, room=room, metric=metric
    )
    return Page(items=await service.latest(points))

"""History for other domains: curves and newest values of points a caller may see."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from facility.clock import from_ms, to_ms
from facility.reading import QUALITY_BY_CODE
from server.db.session import ReadSession
from server.fleet import repository as fleet
from server.fleet.models import Point
from server.history.codes import REASON_BY_CODE, decode_value, is_state
from server.history.rollup import Bucket, Sample, choose_step
from server.history.schemas import LatestOut, RawOut, StepOut
from server.history.store import History, RawReading
from server.kit.problems import BadRequest
from server.kit.scope import Scope

# A chart of 1,500 pixels shows no more; a request may ask for up to MAX_STEPS.
CHART_POINTS = 1500
MAX_STEPS = 11_000
MAX_RAW = 10_000
# A page shows this many live values at most in one request.
MAX_LATEST = 20_000


@dataclass(frozen=True, slots=True)
class Window:
    """A curve for a chart: raw readings, or steps of `step_s` seconds; one of the two is empty."""

    point: Point
    step_s: int | None
    raw: list[RawOut]
    steps: list[StepOut]


class HistoryService:
    """Every answer goes through the point's row, so the scope is that of fleet."""

    def __init__(self, history: History) -> None:
        self.history = history

    async def raw(self, point: Point, start: datetime, end: datetime, *, limit: int = MAX_RAW) -> list[RawOut]:
        """Readings taken in [start, end), oldest first."""
        rows = await self.history.raw(point.id, to_ms(start), to_ms(end), limit=limit)
        return [_raw_out(point.metric, row) for row in rows]

    async def steps(self, point: Point, start: datetime, end: datetime, *, step_s: int) -> list[StepOut]:
        """Steps aligned to UTC; BadRequest when there would be more than MAX_STEPS."""
        if (to_ms(end) - to_ms(start)) > MAX_STEPS * step_s * 1000:
            raise BadRequest(f"more than {MAX_STEPS} steps: ask for a longer step or less time", code="too_many_steps")
        buckets = await self.history.buckets(point.id, to_ms(start), to_ms(end), step_ms=step_s * 1000)
        return [_step_out(point.metric, bucket) for bucket in buckets]

    async def latest(self, points: Sequence[Point]) -> list[LatestOut]:
        """The newest reading of each of these points (site and device loaded) that has one, in their order."""
        found = await self.history.latest([point.id for point in points])
        return [_latest_out(point, found[point.id]) for point in points if point.id in found]

    async def window(
        self,
        session: ReadSession,
        scope: Scope,
        *,
        site_id: str,
        device: str,
        metric: str,
        subject: str,
        start: datetime,
        end: datetime,
        max_points: int = CHART_POINTS,
    ) -> Window | None:
        """The curve of a point around something that happened, raw when it fits into `max_points`; None: no such point.

        A state metric always comes raw (at most MAX_RAW readings): an average of states means nothing.
        """
        point = await fleet.find_point(session, scope, site_id, device, metric, subject)
        if point is None:
            return None
        state = is_state(metric)
        limit = MAX_RAW if state else max_points
        raw = await self.raw(point, start, end, limit=limit + 1)
        if len(raw) <= limit or state:
            return Window(point, None, raw[:limit], [])
        step_s = choose_step(to_ms(end) - to_ms(start), max_points) // 1000
        return Window(point, step_s, [], await self.steps(point, start, end, step_s=step_s))


def _raw_out(metric: str, row: RawReading) -> RawOut:
    return RawOut(
        taken_at=from_ms(row.at),
        value=decode_value(metric, row.value),
        quality=QUALITY_BY_CODE[row.quality],
        reason=REASON_BY_CODE.get(row.reason) if row.reason is not None else None,
        raw=row.raw,
    )


def _step_out(metric: str, bucket: Bucket) -> StepOut:
    state = is_state(metric)
    return StepOut(
        at=from_ms(bucket.at),
        min=None if state else bucket.minimum,
        avg=None if state else bucket.average,
        max=None if state else bucket.maximum,
        n=bucket.n,
        last=decode_value(metric, bucket.last),
    )


def _latest_out(point: Point, sample: Sample) -> LatestOut:
    return LatestOut(
        point=point.id,
        site=point.site.code,
        device=point.device.device,
        device_id=point.device_id,
        metric=point.metric,
        subject=point.subject,
        unit=point.unit,
        taken_at=from_ms(sample.at),
        value=decode_value(point.metric, sample.value),
        quality=QUALITY_BY_CODE[sample.quality],
        reason=REASON_BY_CODE.get(sample.reason) if sample.reason is not None else None,
    )

"""Time to a limit: a straight line through the last samples says when the limit will be reached if nothing changes."""

from facility.alarms import AlarmEvent
from facility.ids import NewId
from rules.judges import Reason
from rules.model import Rule
from rules.parts import Forecast
from rules.runs import Run
from rules.windowed import WindowJudge

# Further away than this is "not in sight": an event's value stays a finite number.
HORIZON_S = 7 * 86400.0
# A line through two samples is what their noise says.
FEWEST = 3


def seconds_left(value: float, slope: float, *, limit: float, sign: int) -> float:
    """Until a value with this slope reaches the limit from below (sign 1) or above (sign -1); at most HORIZON_S."""
    distance, speed = sign * (limit - value), sign * slope
    if distance <= 0:
        return 0.0
    return min(distance / speed, HORIZON_S) if speed > 0 else HORIZON_S


class ForecastJudge(WindowJudge):
    """`forecast`: judges the seconds left, which are also the value of its events."""

    __slots__ = ("limit", "sign")
    raise_reason = Reason.FORECAST

    def __init__(
        self, rule: Rule, forecast: Forecast, *, origin: str, device: str, subject: str, gap_ms: int, new_id: NewId
    ) -> None:
        super().__init__(
            rule, forecast.window, origin=origin, device=device, subject=subject, gap_ms=gap_ms, new_id=new_id
        )
        self.limit = forecast.limit
        self.sign = 1 if forecast.direction == "rise" else -1

    def absorb(self, run: Run) -> bool:
        window = self.window
        if not self.quiet or not window.even(run) or self.sign * (self.limit - self._nearest(run)) <= 0:
            return False
        times, values = window.times[:], window.values[:]
        times.extend(run.times)
        values.extend(run.values)  # type: ignore[arg-type]  # a forecast's values are numbers
        span, oldest, before = window.span, 0, len(window.times)
        for newest in range(before, len(times)):
            at = times[newest]
            while times[oldest] < at - span:
                oldest += 1
            little = newest - oldest + 1 < FEWEST or 2 * (at - times[oldest]) < span
            if little or self.sign * (values[newest] - values[oldest]) > 0:
                return False
        window.add_all(run)
        self.seen = run.times[-1]
        self.value = HORIZON_S
        return True

    def _nearest(self, run: Run) -> float:
        return run.high if self.sign > 0 else run.low

    def sample(self, at: int, value: float | str) -> list[AlarmEvent] | None:
        if not isinstance(value, float):
            return None
        window = self.window
        window.add(at, value)
        beyond = self.sign * (self.limit - value) <= 0
        if not beyond and (len(window.times) < FEWEST or 2 * (at - window.times[0]) < window.span):
            return self.calm_so_far(at)
        # What has not come nearer since the window began has no trend towards the limit, whatever lies between.
        nearer = not beyond and self.sign * (value - window.values[0]) > 0
        if self.quiet and not nearer and not beyond:
            self.seen = at
            self.value = HORIZON_S
            return None
        slope = window.slope() if nearer else 0.0
        left = round(seconds_left(value, slope, limit=self.limit, sign=self.sign), 1)
        return self.judge(at, left)

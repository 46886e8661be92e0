"""Rate of change: a sliding window turns samples into a slope, which is then judged like any number."""

from facility.alarms import AlarmEvent
from facility.ids import NewId
from rules.judges import Reason
from rules.model import Rule
from rules.parts import Rate
from rules.runs import Run
from rules.windowed import WindowJudge


class RateJudge(WindowJudge):
    """`rise` and `fall` per `per`, from the oldest sample of the window to now (see `rules.model.Rate`).

    The value of its events is the slope, in units of the metric per `per`. A slope seen over less than half of the
    window can raise an alarm but not clear one: after a data gap little is known.
    """

    __slots__ = ("scale",)
    raise_reason = Reason.RATE_EXCEEDED

    def __init__(
        self, rule: Rule, rate: Rate, *, origin: str, device: str, subject: str, gap_ms: int, new_id: NewId
    ) -> None:
        super().__init__(
            rule, rate.window_ms, origin=origin, device=device, subject=subject, gap_ms=gap_ms, new_id=new_id
        )
        self.scale = rate.per / rate.window_ms

    def absorb(self, run: Run) -> bool:
        window = self.window
        if not self.quiet or not window.even(run):
            return False
        # No two of these values are further apart, whichever of them is the oldest at a time.
        rise = (max(run.high, max(window.values)) - min(run.low, min(window.values))) * self.scale
        if rise > self.calm_high or -rise < self.calm_low:
            return False
        window.add_all(run)
        self.seen = run.times[-1]
        # A window's last is the run's: an even run loses none.
        self.value = (window.values[-1] - window.values[0]) * self.scale
        return True

    def sample(self, at: int, value: float | str) -> list[AlarmEvent] | None:
        if not isinstance(value, float):
            return None
        window = self.window
        window.add(at, value)
        oldest_at = window.times[0]
        slope = (value - window.values[0]) * self.scale
        if self.quiet and self.calm_low <= slope <= self.calm_high:
            self.seen = at
            self.value = slope
            return None
        slope = round(slope, 4)
        if 2 * (at - oldest_at) < window.span and self.calm_low <= slope <= self.calm_high:
            return self.calm_so_far(at)
        return self.judge(at, slope)

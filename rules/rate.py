"""Rate of change: a sliding window turns samples into a slope, which is then judged like any number."""

from collections import deque

from facility.alarms import AlarmEvent
from facility.ids import NewId
from rules.judges import Reason
from rules.levels import LevelJudge
from rules.model import Rule
from rules.parts import Rate
from rules.records import JudgeRecord

# A window keeps at most this many samples: at 15 min that is one in 14 s, finer than any default poll interval.
MAX_SAMPLES = 64


class RateJudge(LevelJudge):
    """`rise` and `fall` per `per`, from the oldest sample of the window to now (see `rules.model.Rate`).

    The value of its events is the slope, in units of the metric per `per`. A slope seen over less than half of the
    window can raise an alarm but not clear one: after a data gap little is known.
    """

    __slots__ = ("ring", "scale", "spacing", "window")
    raise_reason = Reason.RATE_EXCEEDED

    def __init__(
        self, rule: Rule, rate: Rate, *, origin: str, device: str, subject: str, gap_ms: int, new_id: NewId
    ) -> None:
        super().__init__(rule, origin=origin, device=device, subject=subject, gap_ms=gap_ms, new_id=new_id)
        self.window = rate.window_ms
        self.scale = rate.per / rate.window_ms
        self.spacing = self.window // MAX_SAMPLES
        self.ring: deque[tuple[int, float]] = deque()

    def sample(self, at: int, value: float | str) -> list[AlarmEvent] | None:
        if not isinstance(value, float):
            return None
        ring = self.ring
        while ring and ring[0][0] < at - self.window:
            ring.popleft()
        oldest_at, oldest = ring[0] if ring else (at, value)
        if not ring or at - ring[-1][0] >= self.spacing:
            ring.append((at, value))
        slope = (value - oldest) * self.scale
        if self.quiet and self.calm_low <= slope <= self.calm_high:
            self.seen = at
            self.value = slope
            return None
        slope = round(slope, 4)
        if 2 * (at - oldest_at) < self.window and self.calm_low <= slope <= self.calm_high:
            return self.run(at) or None
        return super().sample(at, slope)

    @property
    def calm(self) -> bool:
        return not self.ring and super().calm

    @property
    def only_window(self) -> bool:
        return super().calm

    def save(self) -> JudgeRecord:
        record = super().save()
        record.ring = list(self.ring)
        return record

    def load(self, record: JudgeRecord) -> None:
        super().load(record)
        self.ring.extend(record.ring)

    def carry(self, record: JudgeRecord) -> bool:
        self.ring.extend(record.ring)
        return super().carry(record)

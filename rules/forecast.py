"""Time to a limit: a straight line through the last samples says when the limit will be reached if nothing changes."""

from collections import deque
from collections.abc import Sequence

from facility.alarms import AlarmEvent
from facility.ids import NewId
from rules.judges import Reason
from rules.levels import LevelJudge
from rules.model import Rule
from rules.parts import Forecast
from rules.rate import MAX_SAMPLES
from rules.records import JudgeRecord

# Further away than this is "not in sight": an event's value stays a finite number.
HORIZON_S = 7 * 86400.0
# A line through two samples is what their noise says.
FEWEST = 3


def slope_of(samples: Sequence[tuple[int, float]]) -> float:
    """Units a second of the least-squares line through (ms, value) samples; 0 where there is no line."""
    first, base = samples[0]
    count, times, values, squares, products = 0, 0, 0.0, 0, 0.0
    for at, value in samples:
        when, above = at - first, value - base
        count += 1
        times += when
        values += above
        squares += when * when
        products += when * above
    spread = count * squares - times * times
    return 1000 * (count * products - times * values) / spread if spread else 0.0


def seconds_left(value: float, slope: float, *, limit: float, sign: int) -> float:
    """Until a value with this slope reaches the limit from below (sign 1) or above (sign -1); at most HORIZON_S."""
    distance, speed = sign * (limit - value), sign * slope
    if distance <= 0:
        return 0.0
    return min(distance / speed, HORIZON_S) if speed > 0 else HORIZON_S


class ForecastJudge(LevelJudge):
    """`forecast`: judges the seconds left, which are also the value of its events."""

    __slots__ = ("limit", "ring", "sign", "spacing", "window")
    raise_reason = Reason.FORECAST

    def __init__(
        self, rule: Rule, forecast: Forecast, *, origin: str, device: str, subject: str, gap_ms: int, new_id: NewId
    ) -> None:
        super().__init__(rule, origin=origin, device=device, subject=subject, gap_ms=gap_ms, new_id=new_id)
        self.window = forecast.window
        self.spacing = self.window // MAX_SAMPLES
        self.limit = forecast.limit
        self.sign = 1 if forecast.direction == "rise" else -1
        self.ring: deque[tuple[int, float]] = deque()

    def sample(self, at: int, value: float | str) -> list[AlarmEvent] | None:
        if not isinstance(value, float):
            return None
        ring = self.ring
        while ring and ring[0][0] < at - self.window:
            ring.popleft()
        if not ring or at - ring[-1][0] >= self.spacing:
            ring.append((at, value))
        beyond = self.sign * (self.limit - value) <= 0
        if not beyond and (len(ring) < FEWEST or 2 * (at - ring[0][0]) < self.window):
            return self.run(at) or None  # too little is known to raise or to clear
        # What has not come nearer since the window began has no trend towards the limit, whatever lies between.
        nearer = not beyond and self.sign * (value - ring[0][1]) > 0
        if self.quiet and not nearer and not beyond:
            self.seen = at
            self.value = HORIZON_S
            return None
        slope = slope_of(ring) if nearer else 0.0
        left = round(seconds_left(value, slope, limit=self.limit, sign=self.sign), 1)
        return super().sample(at, left)

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

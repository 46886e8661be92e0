"""What is known of each device now: the last good value of every point, and whether the device answers.

A value lives as long as it holds: three poll intervals, or until the device is lost or the point goes bad. After that
it is gone, so a dead device's curves end instead of freezing.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from collectors.exchange import PollOutcome, PollProblem
from facility.reading import Reading

log = logging.getLogger(__name__)

# As the rule engine: a value may be missed twice, the third missed poll makes it unknown.
HOLD_INTERVALS = 3


@dataclass(slots=True)
class DeviceState:
    """One device now. up: None until its first poll; points: last readings by (metric, subject)."""

    interval_s: float
    up: bool | None = None
    problem: PollProblem | None = None
    detail: str = ""
    polled_ms: int = 0
    points: dict[tuple[str, str], Reading] = field(default_factory=dict)


class LiveTable:
    """Every device of the site; says once when one breaks and once when it heals."""

    def __init__(self) -> None:
        self.devices: dict[str, DeviceState] = {}

    def configure(self, intervals: Mapping[str, float]) -> None:
        """The devices there are now (id -> interval in seconds); others are forgotten."""
        self.devices = {
            device: self.devices.get(device) or DeviceState(interval) for device, interval in intervals.items()
        }
        for device, interval in intervals.items():
            self.devices[device].interval_s = interval

    def keep(self, outcome: PollOutcome, readings: Sequence[Reading]) -> None:
        """Take in a poll of a configured device; of any other nothing is kept."""
        state = self.devices.get(outcome.device)
        if state is None:
            return
        if outcome.problem is PollProblem.HELD_BACK:
            # A missed slot: it was not asked, and stays what it was.
            log.debug("device not asked", extra={"device": outcome.device, "detail": outcome.detail})
            return
        state.polled_ms = outcome.started_ms
        self._turn(state, outcome)
        if outcome.problem is not None:
            state.points.clear()
            return
        for reading in readings:
            key = (reading.metric, reading.subject)
            if reading.good:
                state.points[key] = reading
            else:
                state.points.pop(key, None)

    def living(self, now_ms: int) -> Iterable[tuple[str, Reading]]:
        """Readings that still hold, with their device."""
        for device, state in self.devices.items():
            oldest = now_ms - int(state.interval_s * 1000 * HOLD_INTERVALS)
            for reading in state.points.values():
                if reading.taken_at >= oldest:
                    yield device, reading

    @property
    def lost(self) -> int:
        return sum(1 for state in self.devices.values() if state.up is False)

    def _turn(self, state: DeviceState, outcome: PollOutcome) -> None:
        problem = outcome.problem
        facts = {"device": outcome.device, "problem": str(problem or ""), "detail": outcome.detail}
        if problem is not None and state.up is not False:
            log.warning("device does not answer", extra=facts)
        elif problem is not None:
            log.debug("device still does not answer", extra=facts)
        elif state.up is False:
            log.info("device answers again", extra=facts)
        # While it is left alone, what was wrong with it stays what it was.
        if problem is not PollProblem.BACKING_OFF or state.problem is None:
            state.problem, state.detail = problem, outcome.detail
        state.up = problem is None

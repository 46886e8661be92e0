"""When a device's readings were taken: by its clock, forwards between two settings of the clock, no instant twice."""

from collections import deque

from facility.clock import STEP_MS

# Instants remembered, for a clock that is set back goes through them again: over an hour of polls at 10 s. A poll that
# falls on an older one to the millisecond would lose its readings to those in history, which keeps the first.
REMEMBERED = 512


class Stamps:
    """Makes the times of one device. A clock that was set back is followed at once: see ADR 0012."""

    def __init__(self) -> None:
        self.last = 0
        self._latest = 0
        self._given: deque[int] = deque(maxlen=REMEMBERED)

    def next(self, now_ms: int) -> int:
        """The time for what was read now."""
        # Within less than a step the clock did not go back: two polls fell on one millisecond.
        at = now_ms if now_ms <= self.last - STEP_MS else max(now_ms, self.last + 1)
        while at <= self._latest and at in self._given:
            at += 1
        self._given.append(at)
        self._latest = max(self._latest, at)
        self.last = at
        return at

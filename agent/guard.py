"""The clock guard: readings taken by a clock that cannot be right are held, not stored and not judged.

A machine without a battery-backed clock starts in 1970; a clock that was wrong and is set back leaves readings from
the future. Such readings are held in bounded memory. When the clock is set, those from before are moved by the step
and released as uncertain with the reason `clock`; those from the future are released once their time has come near.
"""

from collections import deque
from collections.abc import Sequence
from enum import StrEnum

from msgspec.structs import replace

from facility.items import AHEAD_MS, EARLIEST_MS
from facility.reading import Quality, QualityReason, Reading

# At 500 values a second about a minute, the time NTP takes after a boot with a network.
MAX_HELD = 30_000


class ClockVerdict(StrEnum):
    BELIEVABLE = "believable"
    TOO_EARLY = "too_early"
    TOO_FAR_AHEAD = "too_far_ahead"


def verdict(taken_at: int, now_ms: int) -> ClockVerdict:
    """Whether a reading's time can be right. Both in ms UTC."""
    if taken_at < EARLIEST_MS:
        return ClockVerdict.TOO_EARLY
    if taken_at > now_ms + AHEAD_MS:
        return ClockVerdict.TOO_FAR_AHEAD
    return ClockVerdict.BELIEVABLE


class ClockGuard:
    """Holds what is not believable. `dropped` counts what there was no room for."""

    def __init__(self, *, max_held: int = MAX_HELD) -> None:
        self._held: deque[Reading] = deque()
        self._max = max_held
        self.dropped = 0

    @property
    def held(self) -> int:
        return len(self._held)

    def judge(self, readings: Sequence[Reading], now_ms: int) -> list[Reading]:
        """The believable ones, those released by the passing of time first."""
        passed = self._release(now_ms) if self._held else []
        for reading in readings:
            if verdict(reading.taken_at, now_ms) is ClockVerdict.BELIEVABLE:
                passed.append(reading)
            else:
                self._hold(reading)
        return passed

    def stepped(self, step_ms: int, now_ms: int) -> list[Reading]:
        """The clock was set by `step_ms`: what was held moves with it, and what is believable now is released."""
        self._held = deque(
            replace(reading, taken_at=reading.taken_at + step_ms) if reading.taken_at < EARLIEST_MS else reading
            for reading in self._held
        )
        return self._release(now_ms)

    def _hold(self, reading: Reading) -> None:
        if len(self._held) >= self._max:
            self._held.popleft()
            self.dropped += 1
        self._held.append(reading)

    def _release(self, now_ms: int) -> list[Reading]:
        kept: deque[Reading] = deque()
        released = []
        for reading in self._held:
            if verdict(reading.taken_at, now_ms) is ClockVerdict.BELIEVABLE:
                doubtful = Quality.UNCERTAIN if reading.quality is Quality.GOOD else reading.quality
                released.append(replace(reading, quality=doubtful, reason=reading.reason or QualityReason.CLOCK))
            else:
                kept.append(reading)
        self._held = kept
        return released

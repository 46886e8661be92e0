"""The clock guard: what a clock that cannot be right has stamped is not stored under that time.

A machine without a battery-backed clock starts in 1970. Its time is wrong by one unknown step and right otherwise,
since it is anchored to the monotonic clock: the rules judge on it at once, and what they raise is told at the site.
Readings and alarm events of that time are held in bounded memory; when the clock is set they are moved by the step,
readings released as uncertain with the reason `clock`. What comes from the future is held unjudged, and released once
its time has come near; a clock set back makes none, since the stamps follow it (ADR 0012).
"""

import dataclasses
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from msgspec.structs import replace

from facility.alarms import AlarmEvent
from facility.ids import NewId
from facility.items import AHEAD_MS, EARLIEST_MS
from facility.reading import Quality, QualityReason, Reading

# At 500 values a second about a minute, the time NTP takes after a boot with a network.
MAX_HELD = 30_000
# Each is an alarm on a machine that does not know the time: more than any room has points.
MAX_UNDATED = 10_000


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


@dataclass(frozen=True, slots=True)
class Judged:
    """stored: readings for the journal. judged: readings for the rules, those of an unset clock among them."""

    stored: list[Reading]
    judged: list[Reading]


class OrderedIds:
    """Ids in the order they were made, whatever happens to the clock meanwhile: the centre takes the greater for
    younger. When the clock is set back they go on from where they were, until the program ends.

    floor: a time in ms UTC that is certainly past, such as that of the journal's newest block; a clock that starts in
    1970 counts from it.
    """

    def __init__(self, new_id: NewId) -> None:
        self._new_id = new_id
        self._first: int | None = None
        self._newest = 0
        self._ahead = 0
        self.floor = EARLIEST_MS

    def __call__(self, at_ms: int) -> str:
        if at_ms >= EARLIEST_MS:
            at = at_ms + self._ahead
        else:
            if self._first is None:
                self._first = at_ms
            at = self.floor + max(0, at_ms - self._first)
        self._newest = max(self._newest, at)
        return self._new_id(at)

    def stepped(self, step_ms: int) -> None:
        """The clock was set by `step_ms`."""
        # Ids of one millisecond have no order.
        self._ahead = max(0, self._ahead - step_ms + 1)
        self.floor = max(self.floor, self._newest + 1)
        self._first = None


class ClockGuard:
    """Holds what is not believable. drop: told how many readings or alarm events there was no room for."""

    def __init__(self, drop: Callable[[int], None], *, max_held: int = MAX_HELD) -> None:
        self._drop = drop
        self._held: deque[Reading] = deque()
        self._undated: deque[AlarmEvent] = deque()
        self._max = max_held

    @property
    def held(self) -> int:
        return len(self._held)

    def judge(self, readings: Sequence[Reading], now_ms: int) -> Judged:
        """What may be stored, those released by the passing of time first; and what may be judged."""
        stored = self._release(now_ms) if self._held else []
        judged = list(stored)
        at, found = now_ms, verdict(now_ms, now_ms)
        for reading in readings:
            if reading.taken_at != at:  # those of one poll have one time
                at = reading.taken_at
                found = verdict(at, now_ms)
            if found is ClockVerdict.BELIEVABLE:
                stored.append(reading)
            else:
                self._hold(reading)
            if found is not ClockVerdict.TOO_FAR_AHEAD:
                judged.append(reading)
        return Judged(stored, judged)

    def date(self, events: Sequence[AlarmEvent]) -> list[AlarmEvent]:
        """Those whose time can be right; the others wait for the clock to be set."""
        dated = [event for event in events if event.at >= EARLIEST_MS]
        if len(dated) < len(events):
            self._undated.extend(event for event in events if event.at < EARLIEST_MS)
            while len(self._undated) > MAX_UNDATED:
                self._undated.popleft()
                self._drop(1)
        return dated

    @property
    def undated(self) -> int:
        """Alarm events that wait for the clock to be set."""
        return len(self._undated)

    def undated_for(self, now_ms: int) -> int:
        """For how long, in ms, the first of them has waited."""
        return max(0, now_ms - self._undated[0].at) if self._undated else 0

    def dated(self, step_ms: int) -> list[AlarmEvent]:
        """The clock was set by `step_ms`: the alarm events that waited for it, moved with it."""
        moved = [dataclasses.replace(event, at=event.at + step_ms) for event in self._undated]
        self._undated.clear()
        return self.date(moved)

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
            self._drop(1)
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

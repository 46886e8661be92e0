"""The clock guard: what a clock that cannot be right has stamped is not stored under that time.

A machine without a battery-backed clock starts in 1970, or at a time that was saved before: earlier than what the
agent itself has seen. Its time is wrong by one unknown step and right otherwise, since it is anchored to the monotonic
clock: the rules judge on it at once, and what they raise is told at the site. Readings and alarm events of that time
are held in bounded memory; when the clock is set they are moved by the step, readings released as uncertain with the
reason `clock`. A clock that is only doubted is waited for `DOUBT_MS` at most (ADR 0016). What comes from the future is
held unjudged, and released once its time has come near; a clock set back makes none, since the stamps follow it
(ADR 0012).
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
# Behind what was seen before the start by more than this, a clock was not set: one that is kept moves by seconds while
# a program restarts, and systemd-timesyncd saves the time that a board boots by once a minute.
BEHIND_MS = 60_000
# NTP takes about a minute after a boot with a network. The centre hears no alarm meanwhile, and where nobody keeps the
# clock, who set it back by hand may have been right.
DOUBT_MS = 600_000

_NEVER = 1 << 62


class ClockVerdict(StrEnum):
    BELIEVABLE = "believable"
    TOO_EARLY = "too_early"
    TOO_FAR_AHEAD = "too_far_ahead"


def verdict(taken_at: int, now_ms: int, earliest: int = EARLIEST_MS) -> ClockVerdict:
    """Whether a reading's time can be right. All in ms UTC."""
    if taken_at < earliest:
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
    younger. Each is a millisecond after the one before at least, since ids of one millisecond have no order.
    """

    def __init__(self, new_id: NewId) -> None:
        self._new_id = new_id
        self._newest = EARLIEST_MS

    def __call__(self, at_ms: int) -> str:
        self._newest = max(at_ms, self._newest + 1)
        return self._new_id(self._newest)

    def follow(self, *past: int) -> None:
        """Go on after these times, in ms UTC: of ids made before, or else such as are certainly past."""
        self._newest = max(self._newest, *past)


class ClockGuard:
    """Holds what is not believable. drop: told how many readings or alarm events there was no room for."""

    def __init__(self, drop: Callable[[int], None], *, max_held: int = MAX_HELD) -> None:
        self._drop = drop
        self._held: deque[Reading] = deque()
        self._undated: deque[AlarmEvent] = deque()
        self._max = max_held
        # What bears an earlier time waits for the clock to be set.
        self._earliest = EARLIEST_MS
        # Seen before the start, and since when the clock is doubted for being behind it: 0 for neither.
        self._seen = 0
        self._doubted_at = 0

    @property
    def held(self) -> int:
        return len(self._held)

    @property
    def doubts(self) -> bool:
        """The clock is behind what was seen before the start, and it is waited for its being set."""
        return self._earliest == _NEVER

    def is_unset(self, now_ms: int) -> bool:
        return now_ms < self._earliest

    def doubt(self, seen_ms: int, now_ms: int) -> None:
        """At the start, at `now_ms`: `seen_ms` was past before. A clock that is behind it counts as not set."""
        if EARLIEST_MS <= now_ms < seen_ms - BEHIND_MS:
            self._earliest, self._seen, self._doubted_at = _NEVER, seen_ms, now_ms

    def believe(self, now_ms: int, *, kept: bool, coming: int = 0) -> list[Reading] | None:
        """End a doubt and give what was held, if it is time for it; None if not.

        kept: the clock is known to be right, so what was held was good. Otherwise it is waited for so long at most, and
        while there is room for those `coming`; what is older than what was seen before the start is uncertain then,
        until the clock is set.
        """
        if kept:
            self._seen = 0
        waits = len(self._held) + coming <= self._max and now_ms - self._doubted_at < DOUBT_MS
        if not self.doubts or (waits and not kept):
            return None
        self._earliest = EARLIEST_MS
        if kept:
            released = list(self._held)
            self._held.clear()
            return released
        return self._release(now_ms, EARLIEST_MS)

    def judge(self, readings: Sequence[Reading], now_ms: int) -> Judged:
        """What may be stored, those released by the passing of time first; and what may be judged."""
        stored = self._release(now_ms, self._earliest) if self._held else []
        judged = list(stored)
        at, found = now_ms, verdict(now_ms, now_ms, self._earliest)
        for reading in readings:
            if reading.taken_at != at:  # those of one poll have one time
                at = reading.taken_at
                found = verdict(at, now_ms, self._earliest)
            if found is ClockVerdict.BELIEVABLE:
                stored.append(_doubtful(reading) if at < self._seen else reading)
            else:
                self._hold(reading)
            if found is not ClockVerdict.TOO_FAR_AHEAD:
                judged.append(reading)
        return Judged(stored, judged)

    def date(self, events: Sequence[AlarmEvent]) -> list[AlarmEvent]:
        """Those whose time can be right; the others wait for the clock to be set."""
        dated = [event for event in events if event.at >= self._earliest]
        if len(dated) < len(events):
            self._undated.extend(event for event in events if event.at < self._earliest)
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
        """The clock was set by `step_ms`, or is believed: the alarm events that waited for it, moved with it."""
        moved = [dataclasses.replace(event, at=event.at + step_ms) for event in self._undated]
        self._undated.clear()
        return self.date(moved)

    def stepped(self, step_ms: int, now_ms: int) -> list[Reading]:
        """The clock was set by `step_ms`: what was held moves with it, and what is believable now is released."""
        self._held = deque(
            replace(reading, taken_at=reading.taken_at + step_ms) if reading.taken_at < self._earliest else reading
            for reading in self._held
        )
        self._earliest, self._seen = EARLIEST_MS, 0
        return self._release(now_ms, EARLIEST_MS)

    def close(self, now_ms: int) -> list[Reading]:
        """At the program's end: what was only doubted, as uncertain. The rest is lost, and counted.

        Alarm events stay undated: rules that know of them are not to be saved, so what stands is raised anew.
        """
        released = self._release(now_ms, EARLIEST_MS)
        if lost := len(self._held) + len(self._undated):
            self._drop(lost)
        return released

    def _hold(self, reading: Reading) -> None:
        if len(self._held) >= self._max:
            self._held.popleft()
            self._drop(1)
        self._held.append(reading)

    def _release(self, now_ms: int, earliest: int) -> list[Reading]:
        kept: deque[Reading] = deque()
        released = []
        for reading in self._held:
            if verdict(reading.taken_at, now_ms, earliest) is ClockVerdict.BELIEVABLE:
                released.append(_doubtful(reading))
            else:
                kept.append(reading)
        self._held = kept
        return released


def _doubtful(reading: Reading) -> Reading:
    quality = Quality.UNCERTAIN if reading.quality is Quality.GOOD else reading.quality
    return replace(reading, quality=quality, reason=reading.reason or QualityReason.CLOCK)

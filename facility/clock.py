"""The one clock. Nothing else in the product asks the operating system what time it is.

Wall time is *anchored* to the monotonic clock: between two steps of the system clock it never goes back and never
jumps, so durations computed from it are right. `resync` looks at the system clock and takes a step only when it
differs by more than `STEP_MS`; the caller decides when to look and records the step as an event.
"""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

# A difference below this is NTP slewing and scheduling noise, not a step (chrony's default makestep threshold is 1 s).
STEP_MS = 1000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_ms(at: datetime) -> int:
    """Integer milliseconds since the epoch of an aware datetime; raises ValueError for a naive one."""
    if at.tzinfo is None:
        raise ValueError(f"naive time {at!r}: times are aware, UTC")
    return (at - EPOCH) // timedelta(milliseconds=1)


def from_ms(ms: int) -> datetime:
    """The aware UTC datetime of integer milliseconds since the epoch."""
    return EPOCH + timedelta(milliseconds=ms)


class Clock(Protocol):
    """What long-lived objects are handed. `now` is aware UTC, `monotonic` is seconds, `sleep` waits seconds."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


def now_ms(clock: Clock) -> int:
    """The clock's wall time in integer milliseconds UTC."""
    return to_ms(clock.now())


class SystemClock:
    """The machine's clock. `sleep` is handed in (`asyncio.sleep`), so this leaf imports no event loop.

    With `monotonic` set to a virtual-time loop's `time`, `now` follows virtual time from the anchor on. kept: whether
    somebody is known to keep the machine's clock right.
    """

    def __init__(
        self,
        sleep: Callable[[float], Awaitable[None]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        kept: Callable[[], bool] = lambda: False,
    ) -> None:
        self.kept = kept
        self._sleep = sleep
        self._monotonic = monotonic
        self._wall = wall
        self._anchor_wall = wall()
        self._anchor_monotonic = monotonic()

    def now(self) -> datetime:
        return self._anchor_wall + timedelta(seconds=self._monotonic() - self._anchor_monotonic)

    def monotonic(self) -> float:
        return self._monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._sleep(seconds)

    def resync(self) -> int:
        """Compare with the system clock; take a step larger than `STEP_MS` and return it in ms, else return 0."""
        system = self._wall()
        step = to_ms(system) - to_ms(self.now())
        if abs(step) <= STEP_MS:
            return 0
        self._anchor_wall = system
        self._anchor_monotonic = self._monotonic()
        return step


def is_kept(clock: Clock) -> bool:
    """Whether somebody is known to keep this clock right."""
    return isinstance(clock, SystemClock) and clock.kept()


class ManualClock:
    """A clock that moves only when told to; `sleep` moves it. For rule tests, backtests and unit tests."""

    def __init__(self, now: datetime) -> None:
        to_ms(now)  # refuses a naive start
        self._now = now
        self._elapsed = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move wall and monotonic time forward together; raises ValueError when asked to go back."""
        if seconds < 0:
            raise ValueError("a clock is advanced forwards; use `step` for a wall clock that jumps")
        self._now += timedelta(seconds=seconds)
        self._elapsed += seconds

    def step(self, seconds: float) -> None:
        """Jump the wall clock alone, forwards or back, as an NTP step or a dead CMOS battery does."""
        self._now += timedelta(seconds=seconds)

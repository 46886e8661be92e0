"""How fast devices may be asked: a budget of requests a second for each address that is polled, and for strangers less.

Of strangers: requests to one address are at least 1/per_address seconds apart, all of them at least 1/total; nothing is
saved up, so there is never a burst. An address that waits for its own next turn holds up no other.
"""

import asyncio
from dataclasses import dataclass, field

from collectors.cancelling import heed_cancelling
from facility.clock import Clock

# Requests a second to one address that is polled, and as many at once after a quiet second. A management card answers
# some tens a second; a strip of 192 outlets takes some 200 requests for all its tables, which is half its deadline.
POLL_RATE = 50.0
# Less is no wait but the rounding of a sum.
MIN_WAIT_S = 0.0005


class Budget:
    """What one address may be asked while it is polled. held: requests that had to wait. Times are monotonic."""

    def __init__(self, rate: float) -> None:
        if rate <= 0:
            raise ValueError(f"{rate} requests a second: it is over 0")
        self.held = 0
        self._gap_s = 1 / rate
        self._free_at = 0.0

    def reserve(self, now: float) -> float:
        """Takes the next place; seconds until it is there, 0 while less than a second's worth was asked at once."""
        self._free_at = max(self._free_at, now) + self._gap_s
        wait = self._free_at - 1.0 - now
        if wait < MIN_WAIT_S:
            return 0.0
        self.held += 1
        return wait

    def give_back(self) -> None:
        """A place that was taken and will not be used: whoever comes next is served so much earlier."""
        self._free_at -= self._gap_s


class Budgets:
    """The budgets of a process, one for each address; all devices behind an address share its budget."""

    def __init__(self, rate: float = POLL_RATE) -> None:
        self._rate = rate
        self._budgets: dict[str, Budget] = {}

    @property
    def held(self) -> int:
        """Requests that had to wait."""
        return sum(budget.held for budget in self._budgets.values())

    def of(self, address: str) -> Budget:
        return self._budgets.setdefault(address, Budget(self._rate))


@dataclass(slots=True)
class _Address:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    free_at: float = 0.0


class Pacer:
    """Gives turns, first come first served. forget: an address that is done with costs no memory."""

    def __init__(self, *, per_address: float, total: float, clock: Clock) -> None:
        if not 0 < per_address <= total:
            raise ValueError(f"{per_address} a second to one address, {total} in all: both over 0, the first no larger")
        self._gap_s = 1 / per_address
        self._total_gap_s = 1 / total
        self._clock = clock
        self._addresses: dict[str, _Address] = {}
        self._all_free_at = 0.0

    async def turn(self, address: str) -> None:
        """Returns when the address may be sent one request; a search that was broken off sends none."""
        heed_cancelling()
        here = self._addresses.setdefault(address, _Address())
        async with here.lock:
            await self._until(here.free_at)
            at = max(self._clock.monotonic(), self._all_free_at)
            self._all_free_at = at + self._total_gap_s
            await self._until(at)
            here.free_at = self._clock.monotonic() + self._gap_s

    async def _until(self, at: float) -> None:
        wait = at - self._clock.monotonic()
        if wait > 0:
            await self._clock.sleep(wait)

    def forget(self, address: str) -> None:
        self._addresses.pop(address, None)

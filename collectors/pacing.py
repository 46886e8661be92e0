"""How fast strangers may be asked: so many requests a second to one address, so many in all.

Requests to one address are at least 1/per_address seconds apart, all of them at least 1/total; nothing is saved up, so
there is never a burst. An address that waits for its own next turn holds up no other.
"""

import asyncio
from dataclasses import dataclass, field

from facility.clock import Clock


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
        """Returns when the address may be sent one request."""
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

"""The queue of one host or gateway.

A Modbus gateway hears one request at a time, so its devices take turns: those that answered last time before the
suspects, also when they fell due later. An SNMP host's devices go out together, one request in flight each.
A device that is due again while it still waits or is being asked has missed that slot: counted, never queued.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from collectors.exchange import PollOutcome

# Turns a suspect gives away before it is asked: on a bus with more work than time it would else never come back.
PATIENCE = 32

OnOutcome = Callable[[PollOutcome], None]


class Poller(Protocol):
    """What a bus asks of a device."""

    @property
    def healthy(self) -> bool: ...

    async def poll(self) -> PollOutcome: ...


class Bus:
    """The devices behind one key ("snmp:HOST" or "modbus:HOST:PORT"). `missed` counts skipped slots by device id.

    `run` may be called again while an earlier call still works: both share the turns.
    """

    def __init__(self, key: str, pollers: Mapping[str, Poller]) -> None:
        self.key = key
        self.missed: Counter[str] = Counter()
        self._pollers = dict(pollers)
        self._serial = key.startswith("modbus:")
        self._turn = asyncio.Lock()
        self._waiting: dict[str, OnOutcome] = {}
        self._asked: set[str] = set()
        self._passed_over = 0

    async def run(self, due_ids: Iterable[str], on_outcome: OnOutcome) -> None:
        """Poll the devices that are due and hand each outcome on as it comes; returns when the last of them is done.

        KeyError for an id that is not of this bus.
        """
        mine = []
        for device in due_ids:
            if device not in self._pollers:
                raise KeyError(f"{device} is not on {self.key}")
            if device in self._waiting or device in self._asked:
                self.missed[device] += 1
            elif self._serial:
                self._waiting[device] = on_outcome
                mine.append(device)
            else:
                self._asked.add(device)
                mine.append(device)
        if self._serial:
            await self._take_turns(mine)
        else:
            await self._together(mine, on_outcome)

    async def _together(self, mine: Sequence[str], on_outcome: OnOutcome) -> None:
        async def one(device: str) -> None:
            try:
                on_outcome(await self._pollers[device].poll())
            finally:
                self._asked.discard(device)

        async with asyncio.TaskGroup() as group:
            for device in mine:
                group.create_task(one(device), name=f"poll {device}")

    async def _take_turns(self, mine: Sequence[str]) -> None:
        """Serve whoever is first in line until all of `mine` are served, perhaps by another call's turn."""
        try:
            while any(device in self._waiting or device in self._asked for device in mine):
                async with self._turn:
                    device = self._next()
                    if device is None:
                        continue
                    on_outcome = self._waiting.pop(device)
                    self._asked.add(device)
                    try:
                        on_outcome(await self._pollers[device].poll())
                    finally:
                        self._asked.discard(device)
        finally:
            for device in mine:
                self._waiting.pop(device, None)

    def _next(self) -> str | None:
        """The first in line that answered last time, else the first in line; a suspect is not passed over for ever."""
        first = next(iter(self._waiting), None)
        if self._passed_over < PATIENCE:
            for device in self._waiting:
                if self._pollers[device].healthy:
                    self._passed_over += device != first
                    return device
        self._passed_over = 0
        return first

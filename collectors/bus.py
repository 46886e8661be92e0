"""The queue of one host or gateway.

A Modbus gateway hears one request at a time, so its devices take turns: those that answered last time before the
suspects, also when they fell due later; one that takes long lets the others in between its requests. An SNMP host's
devices go out together, one request in flight each.
A device that is due again while it still waits or is being asked has missed that slot: counted, never queued.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from collectors.exchange import PollOutcome

# Turns a suspect gives away before it is asked: on a bus with more work than time it would else never come back.
PATIENCE = 32

OnOutcome = Callable[[PollOutcome], None]
# What a poll that takes long may await between two requests: whoever else waits for the line and answers is served.
GiveWay = Callable[[], Awaitable[None]]


class Poller(Protocol):
    """What a bus asks of a device."""

    @property
    def healthy(self) -> bool: ...

    async def poll(self, give_way: GiveWay | None = None) -> PollOutcome: ...


@dataclass(frozen=True, slots=True)
class _Turn:
    """A device that waits: who is told, and where a fault of ours goes."""

    on_outcome: OnOutcome
    faults: list[Exception]


class Bus:
    """The devices behind one key ("snmp:HOST" or "modbus:LINE"). `missed` counts skipped slots by device id.

    `run` may be called again while an earlier call still works: both share the turns.
    """

    def __init__(self, key: str, pollers: Mapping[str, Poller]) -> None:
        self.key = key
        self.missed: Counter[str] = Counter()
        self._pollers = dict(pollers)
        self._serial = key.startswith("modbus:")
        self._turn = asyncio.Lock()
        self._waiting: dict[str, _Turn] = {}
        self._asked: dict[str, asyncio.Event] = {}
        self._passed_over = 0
        self._told: Counter[str] = Counter()

    def newly_missed(self) -> Counter[str]:
        """Slots missed since this was last asked, by device."""
        before, self._told = self._told, self.missed.copy()
        return self._told - before

    async def run(self, due_ids: Iterable[str], on_outcome: OnOutcome) -> None:
        """Poll the devices that are due and hand each outcome on as it comes; returns when the last of them is done.

        KeyError for an id that is not of this bus. What a poll or `on_outcome` raises is a fault of ours: it stops no
        other device, and comes out in one ExceptionGroup at the end.
        """
        mine: list[str] = []
        faults: list[Exception] = []
        turn = _Turn(on_outcome, faults)
        due = list(due_ids)
        for device in due:
            if device not in self._pollers:
                raise KeyError(f"{device} is not on {self.key}")
        for device in due:
            if device in self._waiting or device in self._asked:
                self.missed[device] += 1
            else:
                self._waiting[device] = turn
                mine.append(device)
        try:
            if self._serial:
                await self._take_turns(mine)
            elif len(mine) == 1:  # most hosts are one device: it needs no task of its own
                await self._serve(mine[0])
            else:
                async with asyncio.TaskGroup() as group:
                    for device in mine:
                        group.create_task(self._serve(device), name=f"poll {device}")
        finally:
            for device in mine:
                # A device may wait again already, for a later call: that turn is not ours to take away.
                if self._waiting.get(device) is turn:
                    del self._waiting[device]
        if faults:
            raise ExceptionGroup(f"polling {self.key}", faults)

    async def ask(self, device: str, on_outcome: OnOutcome) -> None:
        """Poll one device because there is news of it; otherwise as `run`.

        A poll under way may have read before the news: it is waited for, and the device polled once more. One that only
        waits for its turn will do.
        """
        while (ended := self._asked.get(device)) is not None:
            await ended.wait()
        if device not in self._waiting:
            await self.run([device], on_outcome)

    async def _take_turns(self, mine: Sequence[str]) -> None:
        """Serve whoever is first in line until all of `mine` are served, perhaps by another call's turn."""
        while any(device in self._waiting or device in self._asked for device in mine):
            async with self._turn:
                device = self._next()
                if device is not None:
                    await self._serve(device)

    async def _serve(self, device: str) -> None:
        turn = self._waiting.pop(device)
        ended = self._asked[device] = asyncio.Event()
        try:
            turn.on_outcome(await self._pollers[device].poll(self._give_way if self._serial else None))
        except Exception as exc:  # noqa: BLE001 - handed to the caller that wanted this device, whoever serves it
            turn.faults.append(exc)
        finally:
            del self._asked[device]
            ended.set()

    async def _give_way(self) -> None:
        """Serve those that wait now and answered last time; who comes meanwhile has its turn at the next request."""
        for device in [device for device in self._waiting if self._pollers[device].healthy]:
            if device in self._waiting:
                await self._serve(device)

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

"""When devices are asked: in ticks of a second, every device that is due goes out with its bus.

A bus (a serial line, a Modbus gateway, an SNMP host) is one queue of its own, so a dead device delays nobody behind
another bus. A slot whose successor has come before it could be kept is skipped and counted, never queued.
"""

import asyncio
import heapq
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from agent.figures import Figures
from collectors.bus import Bus, GiveWay
from collectors.exchange import PollOutcome
from collectors.schedule import TICK_MS, missed_slots, next_slot
from facility.clock import Clock, now_ms

log = logging.getLogger(__name__)

TakeOutcome = Callable[[PollOutcome], None]


class BusPoller(Protocol):
    """What the poller asks of a device."""

    @property
    def bus(self) -> str: ...

    @property
    def healthy(self) -> bool: ...

    async def poll(self, give_way: GiveWay | None = None) -> PollOutcome: ...


class Poller:
    """Runs the buses. `configure` may be called while `run` runs: what is being asked is finished first."""

    def __init__(self, *, clock: Clock, take: TakeOutcome, figures: Figures) -> None:
        self._clock = clock
        self._take = take
        self._figures = figures
        self._buses: dict[str, Bus] = {}
        self._members: dict[str, dict[str, int]] = {}
        self._changed = asyncio.Event()
        # Tick of its next slot, bus and name of each device, the soonest first.
        self._agenda: list[tuple[int, str, str]] = []

    def configure(self, pollers: Mapping[str, BusPoller], intervals_ms: Mapping[str, int]) -> None:
        """The devices to be polled, by id, with their intervals."""
        self._figures.configure(intervals_ms)
        grouped: dict[str, dict[str, BusPoller]] = {}
        for device, poller in pollers.items():
            grouped.setdefault(poller.bus, {})[device] = poller
        self._buses = {key: Bus(key, members) for key, members in grouped.items()}
        self._members = {key: {device: intervals_ms[device] for device in members} for key, members in grouped.items()}
        self._changed.set()

    def _plan(self, after: int) -> None:
        self._changed.clear()
        self._agenda = [
            (next_slot(device, interval, after=after), key, device)
            for key, members in self._members.items()
            for device, interval in members.items()
        ]
        heapq.heapify(self._agenda)

    async def run(self) -> None:
        """Poll until cancelled. A fault in the handling of one bus is logged and counted; the others go on."""
        # Ticks are counted by the monotonic clock from the wall time of the start: a stepped clock moves no device.
        first, began = now_ms(self._clock) // TICK_MS, self._clock.monotonic()
        self._plan(after=first - 1)
        async with asyncio.TaskGroup() as group:
            while True:
                tick = first + int((self._clock.monotonic() - began) * 1000) // TICK_MS
                self._start_due(group, tick)
                if self._changed.is_set():
                    self._plan(after=tick)
                until = None
                if self._agenda:
                    until = max(began + (self._agenda[0][0] - first) * TICK_MS / 1000 - self._clock.monotonic(), 0.001)
                await self._pause(until)

    async def _pause(self, seconds: float | None) -> None:
        """So long, or until there are other devices to poll."""
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._changed.wait())]
        if seconds is not None:
            waits.append(asyncio.ensure_future(self._clock.sleep(seconds)))
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        finally:
            for each in waits:
                each.cancel()

    def _start_due(self, group: asyncio.TaskGroup, tick: int) -> None:
        """Start what fell due since the last tick, each device once: an agent held up for a moment is late, no more."""
        asked: dict[str, list[str]] = {}
        while self._agenda and self._agenda[0][0] <= tick:
            slot, key, device = self._agenda[0]
            interval = self._members.get(key, {}).get(device)
            if interval is None:  # gone by now
                heapq.heappop(self._agenda)
                continue
            self._figures.missed(device, missed_slots(device, interval, after=slot, until=tick + 1))
            asked.setdefault(key, []).append(device)
            heapq.heapreplace(self._agenda, (next_slot(device, interval, after=tick), key, device))
        for key, devices in asked.items():
            group.create_task(self._run_bus(self._buses[key], devices), name=f"bus {key}")

    async def ask(self, device: str) -> None:
        """Poll a device now, out of turn; the outcome goes the way of every other. Nothing for one that is not here."""
        for key, members in self._members.items():
            if device in members:
                await self._run_bus(self._buses[key], [device], out_of_turn=True)
                return

    async def _run_bus(self, bus: Bus, asked: list[str], *, out_of_turn: bool = False) -> None:
        try:
            if out_of_turn:
                await bus.ask(asked[0], self._take)
            else:
                await bus.run(asked, self._take)
        except Exception:
            self._figures.bus_faults += 1
            log.exception("polling a bus failed", extra={"bus": bus.key})
        for device, slots in bus.newly_missed().items():
            self._figures.missed(device, slots)

"""When devices are asked: one tick a second, every device that is due goes out with its bus.

A bus (a serial line, a Modbus gateway, an SNMP host) is one queue of its own, so a dead device delays nobody behind
another bus. A slot whose successor has come before it could be kept is skipped and counted, never queued.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from agent.figures import Figures
from collectors.bus import Bus, GiveWay
from collectors.exchange import PollOutcome
from collectors.schedule import TICK_MS, due, missed_slots
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

    def configure(self, pollers: Mapping[str, BusPoller], intervals_ms: Mapping[str, int]) -> None:
        """The devices to be polled, by id, with their intervals."""
        self._figures.configure(intervals_ms)
        grouped: dict[str, dict[str, BusPoller]] = {}
        for device, poller in pollers.items():
            grouped.setdefault(poller.bus, {})[device] = poller
        self._buses = {key: Bus(key, members) for key, members in grouped.items()}
        self._members = {key: {device: intervals_ms[device] for device in members} for key, members in grouped.items()}

    async def run(self) -> None:
        """Tick until cancelled. A fault in the handling of one bus is logged and counted; the others go on."""
        # Ticks are counted by the monotonic clock from the wall time of the start: a stepped clock moves no device.
        first, began = now_ms(self._clock) // TICK_MS, self._clock.monotonic()
        last = first - 1
        async with asyncio.TaskGroup() as group:
            while True:
                tick = first + int((self._clock.monotonic() - began) * 1000) // TICK_MS
                if tick > last:
                    self._start_due(group, last, tick)
                    last = tick
                upcoming = began + (last + 1 - first) * TICK_MS / 1000
                await self._clock.sleep(max(upcoming - self._clock.monotonic(), 0.001))

    def _start_due(self, group: asyncio.TaskGroup, last: int, tick: int) -> None:
        """Start what fell due since the last tick, each device once: an agent held up for a moment is late, no more."""
        for key, bus in self._buses.items():
            asked = []
            for device, interval in self._members[key].items():
                slots = missed_slots(device, interval, after=last, until=tick) + due(device, interval, tick)
                if slots:
                    asked.append(device)
                    self._figures.missed(device, slots - 1)
            if asked:
                group.create_task(self._run_bus(bus, asked), name=f"bus {key}")

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

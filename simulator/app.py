"""The room as a program: physics, devices, uplink relay and control API under one roof."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from simulator import faults
from simulator.control import control_api
from simulator.faults import Active, FaultName
from simulator.inventory import Device
from simulator.plant import Plant
from simulator.relay import Relay
from simulator.room import Room
from simulator.serving import serve

TICK_S = 1.0
# A stalled process (a debugger, a suspended laptop) must not make the room jump by hours.
MAX_TICK_S = 30.0
SITE_DARK_AFTER_S = 5.0


def _wall_clock() -> str:
    # The simulator shares no module with the product, its clock included: this is its only look at the wall.
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")  # noqa: TID251


class RoomServer:
    """A simulated machine room on loopback; use it as an async context manager.

    `speed` multiplies the physics (1 = real time). `uplink_target` is the broker's (host, port): then
    `uplink_address` is where the agent should connect, so that the link can be cut. `site_dark_after` is how many
    real seconds the site holds out after `site-dark` before everything falls silent. `trap_sink` is the (host, port)
    the UPS send their SNMP traps to.
    """

    def __init__(
        self,
        *,
        http_port: int = 0,
        seed: int = 0,
        speed: float = 1.0,
        uplink_target: tuple[str, int] | None = None,
        site_dark_after: float = SITE_DARK_AFTER_S,
        trap_sink: tuple[str, int] | None = None,
    ) -> None:
        if not 0.0 < speed <= 1000.0:
            raise ValueError(f"speed {speed} is not between 0 and 1000")
        self.room = Room(seed=seed)
        self.devices: list[Device] = []
        self.url = ""
        self._http_port = http_port
        self._speed = speed
        self._site_dark_after = site_dark_after
        self._trap_sink = trap_sink
        self._plant = Plant(self.room, silent=self._is_silent)
        self._active: dict[tuple[FaultName, str | None], Active] = {}
        self._effects = faults.effects([])
        self._dark = False
        self._dark_timer: asyncio.TimerHandle | None = None
        self._relay = Relay(uplink_target) if uplink_target else None
        self._link_lock = asyncio.Lock()
        self._link_task: asyncio.Task[None] | None = None
        self._advanced_at = 0.0
        self._open = AsyncExitStack()

    @property
    def uplink_address(self) -> tuple[str, int] | None:
        """Where the agent reaches the centre through the relay; None without `uplink_target`."""
        return self._relay.address if self._relay else None

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def _start(self) -> None:
        self.devices = await self._plant.open()
        self._open.push_async_callback(self._plant.close)
        if self._relay:
            await self._relay.open()
            self._open.push_async_callback(self._relay.cut)
        self._open.push_async_callback(self._settle_link)
        self._open.callback(self._cancel_dark_timer)
        self._advanced_at = asyncio.get_running_loop().time()
        physics = asyncio.create_task(self._physics(), name="room-physics")
        self._open.push_async_callback(_stop, physics)
        await self._serve_http()

    async def _serve_http(self) -> None:
        serving = serve(control_api(self), port=self._http_port, name="the room's control API")
        self.url = await self._open.enter_async_context(serving)

    async def _physics(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._catch_up()

    def _catch_up(self) -> None:
        now = asyncio.get_running_loop().time()
        passed, self._advanced_at = now - self._advanced_at, now
        self.room.advance(min(passed, MAX_TICK_S) * self._speed)
        self._plant.speak(self._trap_sink)

    def _is_silent(self, device: str) -> bool:
        return self._dark or device in self._effects.silent

    def state(self) -> dict[str, object]:
        """The physical truth, the faults in force and who is silent."""
        return {
            **self.room.truth(),
            "speed": self._speed,
            "silent": sorted(device.id for device in self.devices if self._is_silent(device.id)),
            "link": None if self._relay is None else "up" if self._relay.up else "cut",
            "faults": [{"name": fault.name.value, "device": fault.device} for fault in self._active.values()],
        }

    def active_faults(self) -> list[Active]:
        """Faults in force, oldest first."""
        return list(self._active.values())

    async def strike(self, name: str, device: str | None = None) -> Active | None:
        """Break something by its drill name, or repair everything with "clear".

        A fault already in force keeps its `since`. Raises `UnknownFault` or `WrongDevice`. None for "clear".
        """
        fault = faults.find(name)
        if fault.name is FaultName.CLEAR:
            await self.clear()
            return None
        struck = faults.choose_device(fault, device, [known.id for known in self.devices])
        active = self._active.setdefault((fault.name, struck), Active(fault.name, struck, _wall_clock()))
        await self._apply()
        return active

    async def clear(self) -> None:
        """End every fault; the room then recovers at its own pace."""
        self._active.clear()
        await self._apply()

    async def _apply(self) -> None:
        self._catch_up()
        self._effects = faults.effects(self._active.values())
        self.room.conditions = self._effects.conditions
        # A short step, so that instant facts (on battery, contact open) are in the registers at once.
        self.room.advance(0.05)
        self._plant.speak(self._trap_sink)
        if not self._effects.site_dark:
            self._cancel_dark_timer()
            self._dark = False
        elif not self._dark and self._dark_timer is None:
            self._dark_timer = asyncio.get_running_loop().call_later(self._site_dark_after, self._go_dark)
        await self._set_link()

    def _go_dark(self) -> None:
        self._dark_timer = None
        self._dark = True
        self._link_task = asyncio.create_task(self._set_link(), name="room-link")

    async def _set_link(self) -> None:
        if self._relay is None:
            return
        async with self._link_lock:
            if self._effects.link_cut or self._dark:
                await self._relay.cut()
            else:
                await self._relay.open()

    def _cancel_dark_timer(self) -> None:
        if self._dark_timer is not None:
            self._dark_timer.cancel()
            self._dark_timer = None

    async def _settle_link(self) -> None:
        if self._link_task is not None:
            await self._link_task


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

"""The devices of the room as servers: from the inventory to open ports."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AsyncExitStack

from simulator.devices.crac import atlas_crac, liebert_crac, sca_crac
from simulator.devices.environment import poseidon
from simulator.devices.sensors import comet_t7511, hd402, rle_leak, xy_md02
from simulator.devices.ups import apc_ups, rfc1628_ups
from simulator.inventory import Device, inventory
from simulator.modbus_bus import ModbusBus, Unit
from simulator.oid_table import OidTable
from simulator.room import Room
from simulator.snmp_agent import SnmpAgent
from simulator.ups_traps import UpsVoice

_SNMP: dict[str, Callable[[Room], OidTable]] = {
    "APC PowerNet UPS": apc_ups,
    "RFC 1628 UPS": rfc1628_ups,
    "Liebert GlobalProducts": liebert_crac,
    "HWg Poseidon": poseidon,
}
_MODBUS: dict[str, Callable[[Room, Device], Unit]] = {
    "SCA precision AC V1.4": lambda room, _: sca_crac(room),
    "Liebert Atlas/LECS": lambda room, _: atlas_crac(room),
    "XY-MD02": lambda room, device: xy_md02(room, unit=device.unit or 0, zone=device.zone),
    "Comet T7511": lambda room, _: comet_t7511(room),
    "Delta OHM HD402": lambda room, _: hd402(room),
    "RLE LD": lambda room, _: rle_leak(room),
}


class Plant:
    """Opens every device on 127.0.0.1. `silent(device_id)` is asked per request or answer."""

    def __init__(self, room: Room, *, silent: Callable[[str], bool]) -> None:
        self._room = room
        self._silent = silent
        self._open = AsyncExitStack()
        self._voices: list[tuple[SnmpAgent, UpsVoice]] = []

    async def open(self) -> list[Device]:
        """The inventory with the ports the devices answer on."""
        devices = inventory()
        ports: dict[str, int] = {}
        try:
            for bus in dict.fromkeys(device.bus for device in devices):
                members = [device for device in devices if device.bus == bus]
                if members[0].protocol == "snmp":
                    ports[bus] = await self._open_snmp(members[0])
                else:
                    ports[bus] = await self._open_modbus(members)
        except BaseException:
            await self.close()
            raise
        return [dataclasses.replace(device, port=ports[device.bus]) for device in devices]

    def speak(self, sink: tuple[str, int] | None) -> None:
        """Let the devices say by themselves what changed; without a sink nobody hears it."""
        for agent, voice in self._voices:
            for spoken in voice.listen():
                if sink is not None:
                    agent.say(spoken, sink)

    async def close(self) -> None:
        """Close every port, last opened first."""
        await self._open.aclose()

    async def _open_snmp(self, device: Device) -> int:
        agent = SnmpAgent(
            _SNMP[device.family](self._room),
            version=device.snmp_version or "v2c",
            credentials=device.credentials,
            alive=lambda: not self._silent(device.id),
        )
        await agent.open()
        if device.kind == "ups":
            self._voices.append((agent, UpsVoice(self._room, device.id)))
        self._open.push_async_callback(agent.close)
        return agent.port

    async def _open_modbus(self, members: list[Device]) -> int:
        names = {device.unit: device.id for device in members}
        bus = ModbusBus(
            {device.unit or 0: _MODBUS[device.family](self._room, device) for device in members},
            alive=lambda unit: not self._silent(names[unit]),
        )
        await bus.open()
        self._open.push_async_callback(bus.close)
        return bus.port

"""A Modbus TCP device, or a gateway with several units behind one port, with values computed when asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

Register = Callable[[], int]
_MBAP_UNIT = 6  # offset of the unit id in a Modbus TCP frame
_CATCH_ALL = 0  # pymodbus routes unknown unit ids to device 0; the frame filter then drops the answer
_READS = {3: "holding", 4: "input"}


@dataclass(slots=True)
class Unit:
    """The register map of one unit. Addresses are those on the wire (zero-based); gaps answer exception 02."""

    holding: dict[int, Register] = field(default_factory=dict)
    input: dict[int, Register] = field(default_factory=dict)


def signed(value: float) -> int:
    """A rounded number as the 16 bits of a two's complement register, clamped to its range."""
    return max(-32768, min(32767, round(value))) & 0xFFFF


def unsigned(value: float) -> int:
    """A rounded number as an unsigned 16-bit register, clamped to its range."""
    return max(0, min(65535, round(value)))


def _blocks(registers: Mapping[int, Register]) -> list[SimData]:
    if not registers:
        return [SimData(0, datatype=DataType.INVALID)]
    return [SimData(address, values=0, datatype=DataType.REGISTERS) for address in sorted(registers)]


def _device(unit_id: int, unit: Unit) -> SimDevice:
    async def answer(
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        _written: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        # Nothing in the room takes orders, and only the two register tables exist.
        if function not in _READS:
            return ExcCodes.ILLEGAL_FUNCTION
        live = unit.holding if _READS[function] == "holding" else unit.input
        for wanted in range(address, address + count):
            registers[wanted - start] = live[wanted]()
        return None

    no_bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    return SimDevice(
        unit_id,
        (no_bits, [*no_bits], _blocks(unit.holding), _blocks(unit.input)),
        action=answer,
    )


class ModbusBus:
    """Serves units on one TCP port of 127.0.0.1. `alive(unit)` is asked per answer: a dead unit stays silent."""

    def __init__(self, units: Mapping[int, Unit], *, alive: Callable[[int], bool]) -> None:
        self._units = dict(units)
        self._alive = alive
        self._server: ModbusTcpServer | None = None
        self.port = 0

    async def open(self, port: int = 0) -> None:
        """Bind 127.0.0.1 and start answering. OSError when the port is taken."""
        devices = [_device(unit_id, unit) for unit_id, unit in self._units.items()]
        devices.append(_device(_CATCH_ALL, Unit()))
        server = ModbusTcpServer(devices, address=("127.0.0.1", port), trace_packet=self._filter)
        try:
            await server.serve_forever(background=True)
        except RuntimeError as error:
            raise OSError(f"Modbus port {port} on 127.0.0.1 cannot be opened: {error}") from error
        self._server = server
        # pymodbus keeps the asyncio server it listens with under the name of a transport.
        self.port = cast(asyncio.Server, server.transport).sockets[0].getsockname()[1]

    def _filter(self, sending: bool, frame: bytes) -> bytes:
        if sending and len(frame) > _MBAP_UNIT:
            unit_id = frame[_MBAP_UNIT]
            if unit_id not in self._units or not self._alive(unit_id):
                return b""
        return frame

    async def close(self) -> None:
        """Stop answering, drop the clients and free the port. Closing twice is harmless."""
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]
            self._server = None

"""Modbus TCP peers: pymodbus's server for units that behave, a small byte-level one for frames that do not."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

REGISTERS = 200


@dataclass(slots=True)
class Unit:
    """A unit whose register value is its address plus `base`, so a value from a wrong place shows."""

    base: int = 0
    slow_s: float = 0.0
    refuses: Callable[[int, int], ExcCodes | None] = lambda address, count: None
    asked: list[tuple[int, int, int]] = field(default_factory=list)

    async def action(
        self, function: int, start: int, address: int, count: int, registers: list[int], written: object
    ) -> ExcCodes | None:
        self.asked.append((function, address, count))
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        return self.refuses(address, count)


@asynccontextmanager
async def gateway(units: Mapping[int, Unit]) -> AsyncIterator[int]:
    """A gateway on a free port; a unit that is not among `units` never answers. Yields the port."""
    devices = [
        SimDevice(
            number,
            simdata=[
                SimData(0, values=[unit.base + at for at in range(REGISTERS)], datatype=DataType.REGISTERS),
            ],
            action=unit.action,
        )
        for number, unit in units.items()
    ]

    def trace(sending: bool, data: bytes) -> bytes:
        # The server answers for a unit it does not have with exception 04; a dead unit says nothing (byte 6: unit).
        return b"" if sending and len(data) > 6 and data[6] not in units else data

    server = ModbusTcpServer(devices, address=("127.0.0.1", 0), trace_packet=trace)
    await server.serve_forever(background=True)
    try:
        listening: Any = server.transport
        yield listening.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Frame:
    """One request as it came over the wire."""

    transaction: int
    unit: int
    function: int
    address: int
    count: int

    def answer(
        self,
        *,
        transaction: int | None = None,
        unit: int | None = None,
        function: int | None = None,
        values: list[int] | None = None,
    ) -> bytes:
        """Registers whose value is their address, or what is given instead."""
        words = values if values is not None else list(range(self.address, self.address + self.count))
        body = struct.pack(f">BB{len(words)}H", function or self.function, 2 * len(words), *words)
        return self._framed(body, transaction, unit)

    def exception(self, code: int) -> bytes:
        return self._framed(bytes([self.function | 0x80, code]), None, None)

    def _framed(self, body: bytes, transaction: int | None, unit: int | None) -> bytes:
        return (
            struct.pack(
                ">HHHB",
                self.transaction if transaction is None else transaction,
                0,
                len(body) + 1,
                self.unit if unit is None else unit,
            )
            + body
        )


Say = Callable[[bytes], Awaitable[None]]
Reply = Callable[[Frame, Say], Awaitable[None]]


@asynccontextmanager
async def odd_gateway(reply: Reply) -> AsyncIterator[tuple[int, list[Frame]]]:
    """A TCP server that answers with whatever bytes `reply` says. Yields its port and the requests it heard."""
    heard: list[Frame] = []
    open_ends: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ends[writer] = asyncio.current_task()

        async def say(data: bytes) -> None:
            if not data:
                writer.close()
                return
            writer.write(data)
            await writer.drain()

        try:
            while True:
                header = await reader.readexactly(7)
                transaction, _, length, unit = struct.unpack(">HHHB", header)
                body = await reader.readexactly(length - 1)
                frame = Frame(transaction, unit, *struct.unpack(">BHH", body[:5]))
                heard.append(frame)
                await reply(frame, say)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()
        for writer in open_ends:
            writer.close()
        await asyncio.gather(*(task for task in open_ends.values() if task is not None))

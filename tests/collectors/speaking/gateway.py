"""Modbus peers: pymodbus's servers for units that behave, small byte-level ones for frames that do not.

Both come over TCP, over TCP with RTU frames, and on a serial line (a pseudo-terminal, which has no baud rate).
"""

import asyncio
import os
import socket
import struct
import tty
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from pymodbus import FramerType
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
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


def _devices(units: Mapping[int, Unit]) -> list[SimDevice]:
    return [
        SimDevice(
            number,
            simdata=[
                SimData(0, values=[unit.base + at for at in range(REGISTERS)], datatype=DataType.REGISTERS),
            ],
            action=unit.action,
        )
        for number, unit in units.items()
    ]


def _only(units: Mapping[int, Unit], at: int) -> Callable[[bool, bytes], bytes]:
    """The server answers for a unit it does not have with exception 04; a dead unit says nothing."""

    def trace(sending: bool, data: bytes) -> bytes:
        return b"" if sending and len(data) > at and data[at] not in units else data

    return trace


@asynccontextmanager
async def gateway(units: Mapping[int, Unit], *, rtu: bool = False) -> AsyncIterator[int]:
    """A gateway on a free port; a unit that is not among `units` never answers. Yields the port."""
    server = ModbusTcpServer(
        _devices(units),
        framer=FramerType.RTU if rtu else FramerType.SOCKET,
        address=("127.0.0.1", 0),
        trace_packet=_only(units, 0 if rtu else 6),
    )
    await server.serve_forever(background=True)
    try:
        listening: Any = server.transport
        yield listening.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]


@contextmanager
def _terminal() -> Iterator[tuple[int, str]]:
    """A pseudo-terminal in raw mode: its master end, and the path of the other, which stays there when closed."""
    master, slave = os.openpty()
    try:
        tty.setraw(slave)
        os.set_blocking(master, False)
        yield master, os.ttyname(slave)
    finally:
        os.close(master)
        os.close(slave)


@asynccontextmanager
async def serial_units(units: Mapping[int, Unit]) -> AsyncIterator[str]:
    """pymodbus's serial server at the far end of a line. Yields the path of the near end."""
    loop = asyncio.get_running_loop()

    def pass_on(source: int, sink: int) -> None:
        os.write(sink, os.read(source, 4096))

    with _terminal() as (near, path), _terminal() as (far, server_path):
        loop.add_reader(near, pass_on, near, far)
        loop.add_reader(far, pass_on, far, near)
        server = ModbusSerialServer(
            _devices(units), framer=FramerType.RTU, port=server_path, trace_packet=_only(units, 0)
        )
        await server.serve_forever(background=True)
        try:
            yield path
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]
            loop.remove_reader(near)
            loop.remove_reader(far)


def crc16(data: bytes) -> bytes:
    """CRC-16/MODBUS as it stands on the wire, bit by bit: the tests' own."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


@dataclass(frozen=True, slots=True)
class Frame:
    """One request as it came over the wire; its answers come in the same framing."""

    transaction: int
    unit: int
    function: int
    address: int
    count: int
    rtu: bool = False

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
        return self.framed(body, transaction, unit)

    def exception(self, code: int, *, function: int | None = None) -> bytes:
        return self.framed(bytes([(function or self.function) | 0x80, code]))

    def framed(self, body: bytes, transaction: int | None = None, unit: int | None = None) -> bytes:
        """Function and data of an answer, wrapped."""
        head = bytes([self.unit if unit is None else unit])
        if self.rtu:
            return head + body + crc16(head + body)
        number = self.transaction if transaction is None else transaction
        return struct.pack(">HHH", number, 0, len(body) + 1) + head + body

    def at(self, address: int) -> "Frame":
        """The same request for another address."""
        return replace(self, address=address)


# Said instead of bytes: the peer breaks the connection off.
RESET = b"<reset>"

Say = Callable[[bytes], Awaitable[None]]
Reply = Callable[[Frame, Say], Awaitable[None]]


@asynccontextmanager
async def odd_gateway(reply: Reply, *, rtu: bool = False) -> AsyncIterator[tuple[int, list[Frame]]]:
    """A TCP server that answers with whatever bytes `reply` says; none of them close the connection, RESET breaks it.

    Yields its port and the requests it heard.
    """
    heard: list[Frame] = []
    open_ends: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ends[writer] = asyncio.current_task()

        async def say(data: bytes) -> None:
            if not data:
                writer.close()
                return
            if data is RESET:
                # Lingering for no time at all makes the kernel send RST in place of FIN.
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.close()
                return
            writer.write(data)
            await writer.drain()

        try:
            while True:
                frame = await (_rtu_request(reader) if rtu else _tcp_request(reader))
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


async def _tcp_request(reader: asyncio.StreamReader) -> Frame:
    header = await reader.readexactly(7)
    transaction, _, length, unit = struct.unpack(">HHHB", header)
    body = await reader.readexactly(length - 1)
    return Frame(transaction, unit, *struct.unpack(">BHH", body[:5]))


async def _rtu_request(reader: asyncio.StreamReader) -> Frame:
    request = await reader.readexactly(8)
    assert crc16(request[:-2]) == request[-2:]
    unit, function, address, count = struct.unpack(">BBHH", request[:-2])
    return Frame(0, unit, function, address, count, rtu=True)


@asynccontextmanager
async def odd_line(reply: Reply) -> AsyncIterator[tuple[str, list[Frame]]]:
    """A serial line at whose far end `reply` says what comes back. Yields the path and the requests it heard."""
    heard: list[Frame] = []
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()

    with _terminal() as (master, path):

        async def say(data: bytes) -> None:
            os.write(master, data)

        async def serve() -> None:
            while True:
                frame = await _rtu_request(reader)
                heard.append(frame)
                await reply(frame, say)

        loop.add_reader(master, lambda: reader.feed_data(os.read(master, 4096)))
        task = asyncio.create_task(serve())
        try:
            yield path, heard
            if task.done():
                task.result()
        finally:
            loop.remove_reader(master)
            task.cancel()
            await asyncio.wait([task])

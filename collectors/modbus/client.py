"""One connection to a Modbus TCP server or gateway, shared by its units: the only place that knows pymodbus.

- One request at a time, a pause between two, reading functions 1 to 4 only: nothing here can write.
- Silence of one unit is that unit's: the connection stays for the others. (The library would close it after some
  timeouts, so it is never told of one: our own clock ends the wait, its timeout is out of reach.)
- Answers count by transaction id, unit, function and length; anything odd closes the connection, so that stray bytes
  never reach the next answer.
- The library does not come back by itself after a failed `connect`, and must not: when to try again is decided here.
"""

import asyncio
import logging

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU

from collectors.errors import BadReply, CollectError, DeviceBusy, DeviceUnreachable, PointMissing
from collectors.exchange import PollProblem, Table
from collectors.modbus.target import ModbusTarget
from collectors.plan import Block
from facility.clock import Clock

# The library logs every late answer and refused connection as an error of its own; who is told what is decided above.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

# Out of reach of every timeout that can be configured here.
LIBRARY_TIMEOUT_S = 3600.0
# A gateway that refuses is asked again after 1 s, 2 s, 4 s ... at most this long, whoever of its units is due.
RECONNECT_S = 1.0
RECONNECT_CAP_S = 30.0
# Silences in a row, of whatever units, after which the connection itself is doubted (a gateway that was switched off
# and on leaves it half open). Between two requests a new one costs nobody anything.
DOUBT_AFTER = 3

# Modbus Application Protocol 1.1b3 section 7
_MISSING = {1: "function", 2: "address", 3: "quantity"}
_BUSY = {4: "device failure", 5: "acknowledged, still working", 6: "busy", 7: "refused", 8: "memory parity error"}
_GATEWAY = {10: PollProblem.UNREACHABLE, 11: PollProblem.TIMEOUT}


class ModbusLink:
    """One gateway. `sent` counts requests for as long as the link lives; `users` its units that are polled."""

    def __init__(self, host: str, port: int, *, clock: Clock) -> None:
        self.host = host
        self.port = port
        self.sent = 0
        self.connects = 0
        self.users = 0
        self._clock = clock
        self._lock = asyncio.Lock()
        self._client: AsyncModbusTcpClient | None = None
        self._waiting: asyncio.Timeout | None = None
        self._silences = 0
        self._refusals = 0
        self._connect_at = 0.0
        self._why = DeviceUnreachable("never tried")
        self._free_at = 0.0

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.connected

    async def read(self, block: Block, target: ModbusTarget, *, deadline: float, pause_s: float = 0.0) -> list[int]:
        """The block's words or bits; raises nothing but CollectError. `deadline` is monotonic seconds of the clock."""
        async with self._lock:
            client = await self._connected(target, deadline)
            now = self._clock.monotonic()
            wait = min(self._free_at + pause_s, deadline) - now
            if wait > 0:
                await self._clock.sleep(wait)
            left = deadline - self._clock.monotonic()
            if left <= 0:
                raise DeviceUnreachable(f"{target}: deadline reached before {block}")
            try:
                return await self._request(client, block, target, min(left, target.timeout_s))
            finally:
                self._free_at = self._clock.monotonic()

    async def close(self) -> None:
        async with self._lock:
            self._drop()

    async def _request(
        self, client: AsyncModbusTcpClient, block: Block, target: ModbusTarget, within: float
    ) -> list[int]:
        self.sent += 1
        try:
            async with asyncio.timeout(within) as self._waiting:
                answer = await _read(client, block, target.unit)
        except TimeoutError as exc:
            raise self._silence(client, block, target) from exc
        except ModbusException as exc:
            self._drop()
            raise BadReply(f"{target}: {block}: {exc}") from exc
        finally:
            self._waiting = None
        self._silences = 0
        if answer.transaction_id != client.ctx.request_transaction_id:
            # The library lets 0 pass for any request; whose answer that is cannot be known.
            self._drop()
            raise BadReply(f"{target}: {block}: answered with transaction id {answer.transaction_id}, not its own")
        if answer.isError():
            raise _refusal(answer.exception_code, block, target)
        cells = [int(bit) for bit in answer.bits] if block.table in (Table.COIL, Table.DISCRETE) else answer.registers
        spare = len(cells) - block.count
        # Bits come in whole bytes; registers come as many as were asked for, or it is another request's answer.
        if answer.function_code != block.table.function or not 0 <= spare < (8 if answer.bits else 1):
            self._drop()
            raise BadReply(f"{target}: {block}: answered with function {answer.function_code}, {len(cells)} values")
        return list(cells[: block.count])

    def _silence(self, client: AsyncModbusTcpClient, block: Block, target: ModbusTarget) -> CollectError:
        if not client.connected:
            self._drop()
            return DeviceUnreachable(
                f"{target}: the connection was closed instead of an answer to {block}", problem=PollProblem.UNREACHABLE
            )
        if client.ctx.recv_buffer:
            self._drop()
            return BadReply(f"{target}: {block}: bytes that are no answer")
        self._silences += 1
        if self._silences >= DOUBT_AFTER:
            self._drop()
        return DeviceUnreachable(f"{target}: no answer to {block}")

    async def _connected(self, target: ModbusTarget, deadline: float) -> AsyncModbusTcpClient:
        if self._client is not None and self._client.connected:
            return self._client
        self._drop()
        now = self._clock.monotonic()
        if now < self._connect_at:
            raise DeviceUnreachable(str(self._why), problem=self._why.problem)
        client = AsyncModbusTcpClient(
            self.host,
            port=self.port,
            timeout=LIBRARY_TIMEOUT_S,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._on_connect,
        )
        self.connects += 1
        try:
            async with asyncio.timeout(max(0.0, min(deadline - now, target.timeout_s))):
                problem = None if await client.connect() else PollProblem.REFUSED
        except TimeoutError:
            problem = PollProblem.TIMEOUT
        if problem is None:
            self._client = client
            self._refusals = self._silences = 0
            self._free_at = self._clock.monotonic()
            return client
        client.close()
        self._connect_at = self._clock.monotonic() + min(RECONNECT_S * 2**self._refusals, RECONNECT_CAP_S)
        self._refusals = min(self._refusals + 1, 16)
        how = "refuses connections" if problem is PollProblem.REFUSED else "does not answer a connection"
        self._why = DeviceUnreachable(f"{self.host}:{self.port} {how}", problem=problem)
        raise DeviceUnreachable(str(self._why), problem=problem)

    def _on_connect(self, up: bool) -> None:
        # The library lets a request wait on when its connection is lost; there is nothing left to wait for.
        if not up and self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time())

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


class ModbusLinks:
    """The links of a process, one for each host and port."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._links: dict[tuple[str, int], ModbusLink] = {}

    def link(self, host: str, port: int) -> ModbusLink:
        """The link to this gateway; the same object for all its units."""
        if (host, port) not in self._links:
            self._links[host, port] = ModbusLink(host, port, clock=self._clock)
        return self._links[host, port]

    async def release(self, link: ModbusLink) -> None:
        """One of the link's users is gone; with the last one the connection is closed."""
        link.users -= 1
        if link.users <= 0:
            self._links.pop((link.host, link.port), None)
            await link.close()

    async def close(self) -> None:
        for link in self._links.values():
            await link.close()
        self._links.clear()


async def _read(client: AsyncModbusTcpClient, block: Block, unit: int) -> ModbusPDU:
    match block.table:
        case Table.COIL:
            return await client.read_coils(block.address, count=block.count, device_id=unit)
        case Table.DISCRETE:
            return await client.read_discrete_inputs(block.address, count=block.count, device_id=unit)
        case Table.HOLDING:
            return await client.read_holding_registers(block.address, count=block.count, device_id=unit)
        case Table.INPUT:
            return await client.read_input_registers(block.address, count=block.count, device_id=unit)


def _refusal(code: int, block: Block, target: ModbusTarget) -> CollectError:
    what = f"{target}: {block}: exception {code:02}"
    if code in _MISSING:
        return PointMissing(f"{what}, illegal {_MISSING[code]}")
    if code in _BUSY:
        return DeviceBusy(f"{what}, {_BUSY[code]}")
    if code in _GATEWAY:
        return DeviceUnreachable(f"{what}, the gateway cannot reach the unit", problem=_GATEWAY[code])
    return BadReply(what)

"""One line: a connection to a Modbus TCP server, to a gateway, or a serial port; the only place that knows pymodbus.

- One request at a time, a pause between two, reading functions 1 to 4 only: nothing here can write.
- Silence of one unit is that unit's: the connection stays for the others. (The library would close it after some
  timeouts, so it is never told of one: our own clock ends the wait, its timeout is out of reach.)
- What comes in goes through `collectors.modbus.frames` first: the library sees whole right answers only. Anything odd
  closes a Modbus TCP connection; an RTU line is listened to until it is quiet. So stray bytes never reach the next
  answer.
- The library does not come back by itself after a failed `connect`, and must not: when to try again is decided here.
"""

import asyncio
import logging
import termios
from collections import Counter

from pymodbus import FramerType, ModbusException
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU

from collectors.errors import BadReply, CollectError, DeviceUnreachable, HeldBack
from collectors.exchange import PollProblem, Table
from collectors.modbus.frames import Discard, Ear, TcpEar, data_bytes
from collectors.modbus.refusals import refused
from collectors.modbus.target import Framing, ModbusTarget
from collectors.pacing import Budget, Budgets
from collectors.plan import Block
from facility.clock import Clock

log = logging.getLogger(__name__)

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
# An RTU line on which nothing came for this long is quiet (the pieces of a frame behind a gateway come closer), and a
# line that babbles on is not listened to for longer than the cap.
QUIET_S = 0.05
QUIET_CAP_S = 1.0
# Characters of a request on the line: unit, function, address, count, checksum; and of an answer without its data.
_REQUEST_CHARACTERS = 8
_ANSWER_CHARACTERS = 5

# Discarded frames of a kind between two lines in the log; all of them are counted.
TOLD_EVERY = 100

# What may go out, whatever the library is asked for: read coils, discrete inputs, holding and input registers.
READING = frozenset(table.function for table in Table)

_Client = AsyncModbusTcpClient | AsyncModbusSerialClient
# Seconds between two requests, and between connecting and the first.
_Pauses = tuple[float, float]


class ModbusLink:
    """One line, as the target it is made for says. `sent` counts requests for as long as the link lives; `users` its
    units that are polled."""

    def __init__(self, target: ModbusTarget, *, clock: Clock, budget: Budget | None = None) -> None:
        self.line = target.line
        self.sent = 0
        self.connects = 0
        self.users = 0
        self.speaks = target.speaks
        self._serial = target.serial
        self._budget = budget
        self._clock = clock
        self._lock = asyncio.Lock()
        self._client: _Client | None = None
        self._waiting: asyncio.Timeout | None = None
        self._ear: Ear | TcpEar = Ear() if target.rtu else TcpEar()
        self._heard_at = 0.0
        self._silences = 0
        self._refusals = 0
        self._connect_at = 0.0
        self._connected_at = 0.0
        self._why = DeviceUnreachable("never tried")
        self._free_at = 0.0

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.connected

    @property
    def discarded(self) -> dict[str, int]:
        """Frames and runs of bytes that were nobody's answer, by reason."""
        return {why.value: count for why, count in self._ear.discarded.items()}

    async def read(
        self,
        block: Block,
        target: ModbusTarget,
        *,
        deadline: float,
        pause_s: float = 0.0,
        connect_pause_s: float = 0.0,
    ) -> list[int]:
        """The block's words or bits; raises nothing but CollectError. `deadline` is monotonic seconds of the clock.

        pause_s: between the end of the last request on this line and this one; connect_pause_s: between connecting
        and this request.
        """
        async with self._lock:
            client = await self._connected(target, deadline)
            paused = (pause_s, connect_pause_s)
            if isinstance(self._ear, Ear) and self._ear.owed.doubtful(target.unit, block, self._clock.monotonic()):
                await self._settle(self._ear, client, block, target, deadline, paused)
            return await self._paced(client, block, target, deadline, paused)

    async def close(self) -> None:
        async with self._lock:
            self._drop()

    async def _settle(
        self, ear: Ear, client: _Client, block: Block, target: ModbusTarget, deadline: float, paused: _Pauses
    ) -> None:
        """Ask what can be told from the answers that are owed, so that none of them is taken for the block's."""
        for question in ear.owed.settling(target.unit, block):
            try:
                await self._paced(client, question, target, deadline, paused)
            except CollectError as exc:
                # Refused as another function is an answer too; so are the late ones that came meanwhile.
                if not ear.owed.doubtful(target.unit, block, self._clock.monotonic()):
                    return
                if isinstance(exc, DeviceUnreachable | BadReply):
                    raise
            else:
                ear.owed.settled(target.unit)
                return
        raise DeviceUnreachable(f"{target}: {block} not asked: answers to earlier questions may still come")

    async def _paced(
        self, client: _Client, block: Block, target: ModbusTarget, deadline: float, paused: _Pauses
    ) -> list[int]:
        pause_s, connect_pause_s = paused
        if self._serial is not None:
            pause_s = max(pause_s, self._serial.frame_gap_s)
        now = self._clock.monotonic()
        wait = max(self._free_at + pause_s, self._connected_at + connect_pause_s) - now
        turn = 0.0 if self._budget is None else self._budget.reserve(now)
        try:
            if max(wait, turn) > 0:
                await self._clock.sleep(min(max(wait, turn), max(0.0, deadline - self._clock.monotonic())))
            left = deadline - self._clock.monotonic()
            if left <= 0:
                late = HeldBack if turn > max(wait, 0.0) else DeviceUnreachable
                raise late(f"{target}: deadline reached before {block}")
        except (DeviceUnreachable, asyncio.CancelledError):
            if self._budget is not None:
                self._budget.give_back()
            raise
        try:
            return await self._request(client, block, target, min(left, target.timeout_s + self._on_the_line_s(block)))
        finally:
            self._free_at = self._clock.monotonic()

    def _on_the_line_s(self, block: Block) -> float:
        if self._serial is None:
            return 0.0
        return (_REQUEST_CHARACTERS + _ANSWER_CHARACTERS + data_bytes(block)) * self._serial.character_s

    async def _request(self, client: _Client, block: Block, target: ModbusTarget, within: float) -> list[int]:
        self.sent += 1
        self._ear.ask(target.unit, block)
        try:
            async with asyncio.timeout(within) as self._waiting:
                answer = await _read(client, block, target.unit)
        except TimeoutError as exc:
            raise await self._silence(client, block, target) from exc
        except ModbusException as exc:
            self._drop()
            raise BadReply(f"{target}: {block}: {exc}") from exc
        finally:
            self._waiting = None
        self._silences = 0
        if isinstance(self._ear, Ear):
            self._ear.owed.answered(target.unit, block.table.function)
        if answer.isError():
            raise refused(answer.exception_code, f"{target}: {block}")
        # Bits come in whole bytes: some more than were asked for.
        cells = [int(bit) for bit in answer.bits] if _is_bits(block) else answer.registers
        return list(cells[: block.count])

    async def _silence(self, client: _Client, block: Block, target: ModbusTarget) -> CollectError:
        if isinstance(self._ear, Ear):
            self._ear.owed.silent(target.unit, block, self._clock.monotonic())
        odd = self._ear.odd
        if odd is None and not client.connected:
            self._drop()
            return DeviceUnreachable(
                f"{target}: the connection was closed instead of an answer to {block}", problem=PollProblem.UNREACHABLE
            )
        if odd is None:
            self._ear.hush()
            self._silences += 1
            if self._silences >= DOUBT_AFTER:
                self._drop()
            return DeviceUnreachable(f"{target}: no answer to {block}")
        if isinstance(self._ear, Ear) and client.connected:
            await self._quiet(self._ear)
        else:
            self._drop()
        return BadReply(f"{target}: {block}: what came is no answer to it ({odd})")

    async def _quiet(self, ear: Ear) -> None:
        """Let pass what is still on its way, so that it does not stand before the next answer."""
        ear.hush()
        until = self._clock.monotonic() + QUIET_CAP_S
        while (now := self._clock.monotonic()) < until and now - self._heard_at < QUIET_S:
            await self._clock.sleep(self._heard_at + QUIET_S - now)

    async def _connected(self, target: ModbusTarget, deadline: float) -> _Client:
        if self._client is not None and self._client.connected:
            return self._client
        self._drop()
        now = self._clock.monotonic()
        if now < self._connect_at:
            raise DeviceUnreachable(str(self._why), problem=self._why.problem)
        client = self._make(target)
        self.connects += 1
        unsupported = False
        try:
            async with asyncio.timeout(max(0.0, min(deadline - now, target.timeout_s))):
                problem = None if await client.connect() else PollProblem.REFUSED
        except TimeoutError:
            problem = PollProblem.TIMEOUT
        except (termios.error, ValueError):
            # Not for the library's net: what the driver of a serial port says to settings it does not know.
            problem, unsupported = PollProblem.REFUSED, True
        if problem is None:
            self._client = client
            if isinstance(self._ear, TcpEar):
                self._ear = self._ear.anew()
            self._refusals = self._silences = 0
            self._free_at = self._connected_at = self._clock.monotonic()
            return client
        client.close()
        self._connect_at = self._clock.monotonic() + min(RECONNECT_S * 2**self._refusals, RECONNECT_CAP_S)
        self._refusals = min(self._refusals + 1, 16)
        if unsupported:
            how = f"does not take the settings {self._serial}"
        elif self._serial is not None:
            how = "cannot be opened: not there, not allowed, or in use"
        else:
            how = "refuses connections" if problem is PollProblem.REFUSED else "does not answer a connection"
        self._why = DeviceUnreachable(f"{self.line} {how}", problem=problem)
        raise DeviceUnreachable(str(self._why), problem=problem)

    def _make(self, target: ModbusTarget) -> _Client:
        if target.serial is not None:
            return AsyncModbusSerialClient(
                target.host,
                framer=FramerType.RTU,
                baudrate=target.serial.baudrate,
                parity=target.serial.parity,
                stopbits=target.serial.stopbits,
                timeout=LIBRARY_TIMEOUT_S,
                retries=0,
                reconnect_delay=0,
                trace_connect=self._on_connect,
                trace_packet=self._on_bytes,
            )
        return AsyncModbusTcpClient(
            target.host,
            port=target.port,
            framer=FramerType.RTU if target.framing is Framing.RTU else FramerType.SOCKET,
            timeout=LIBRARY_TIMEOUT_S,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._on_connect,
            trace_packet=self._on_bytes,
        )

    def _on_bytes(self, sending: bool, data: bytes) -> bytes:
        """The library's window on the wire: of what comes in it sees whole right answers only."""
        if sending:
            if data[1 if isinstance(self._ear, Ear) else 7] not in READING:
                raise ValueError(f"not sent: {data.hex(' ')} is no reading function")
            if isinstance(self._ear, TcpEar):
                self._ear.sent(data)
            return data
        self._heard_at = self._clock.monotonic()
        if self._client is not None:
            self._client.ctx.recv_buffer = b""  # else the same bytes would come again with the next ones
        before = self._ear.discarded.copy()
        answer = self._ear.hear(data)
        if self._ear.discarded != before:
            self._tell(before)
        if isinstance(self._ear, TcpEar) and self._ear.broken is not None:
            self._stop_waiting()
        return answer

    def _tell(self, before: Counter[Discard]) -> None:
        """Say the first of a kind that was discarded, and then every so many: a bad line has some each minute."""
        for why, count in self._ear.discarded.items():
            for told in range(before[why] + 1, count + 1):
                if told == 1 or told % TOLD_EVERY == 0:
                    log.warning("Modbus bytes discarded", extra={"line": self.line, "reason": why, "count": told})

    def _on_connect(self, up: bool) -> None:
        # The library lets a request wait on when its connection is lost; there is nothing left to wait for.
        if not up:
            self._stop_waiting()

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time())

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


class ModbusLinks:
    """The links of a process, one for each line. budgets: how fast each address may be asked; None: no bound."""

    def __init__(self, *, clock: Clock, budgets: Budgets | None = None) -> None:
        self.budgets = budgets
        self._clock = clock
        self._links: dict[tuple[str, str], ModbusLink] = {}
        self._discarded: Counter[str] = Counter()  # by links that are gone

    @property
    def discarded(self) -> Counter[str]:
        """What all links threw away since the start, by reason; it only grows, whatever links come and go."""
        return sum((Counter(link.discarded) for link in self._links.values()), Counter(self._discarded))

    def link(self, target: ModbusTarget) -> ModbusLink:
        """The link to the target's line; the same object for all its units."""
        key = target.line, target.speaks
        if key not in self._links:
            budget = None if self.budgets is None else self.budgets.of(target.line)
            self._links[key] = ModbusLink(target, clock=self._clock, budget=budget)
        return self._links[key]

    async def release(self, link: ModbusLink) -> None:
        """One of the link's users is gone; with the last one the connection is closed."""
        link.users -= 1
        if link.users <= 0:
            if self._links.pop((link.line, link.speaks), None) is not None:
                self._discarded.update(link.discarded)
            await link.close()

    async def close(self) -> None:
        for link in self._links.values():
            self._discarded.update(link.discarded)
            await link.close()
        self._links.clear()


def _is_bits(block: Block) -> bool:
    return block.table in (Table.COIL, Table.DISCRETE)


async def _read(client: _Client, block: Block, unit: int) -> ModbusPDU:
    match block.table:
        case Table.COIL:
            return await client.read_coils(block.address, count=block.count, device_id=unit)
        case Table.DISCRETE:
            return await client.read_discrete_inputs(block.address, count=block.count, device_id=unit)
        case Table.HOLDING:
            return await client.read_holding_registers(block.address, count=block.count, device_id=unit)
        case Table.INPUT:
            return await client.read_input_registers(block.address, count=block.count, device_id=unit)

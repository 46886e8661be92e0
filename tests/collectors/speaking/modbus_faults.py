"""Every way a Modbus peer was seen to misbehave, played by a byte-level peer over each kind of transport.

`bench/fault_matrix_modbus.py` prints the table, `test_modbus_faults.py` holds it to: no wrong value, no crash, and
right values again once the peer behaves.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from collectors.device import ModbusLinks, ModbusTarget
from collectors.exchange import PollOutcome
from collectors.modbus.target import Framing, SerialLine
from tests.collectors.speaking.gateway import RESET, Frame, Reply, Say, odd_gateway, odd_line
from tests.collectors.speaking.profiles import poller, probes, system_clock

# Blocks of one length at one unit and function, so that only their order tells their answers apart.
ADDRESSES = [5, 50, 100]
# What a spoilt answer holds: no register has it, so taking it shows.
WRONG = 999
TIMEOUT_S = 0.08
FAULTY_POLLS = 4
# A peer that behaves again must be read right within this time: a connection that failed is not made anew at once.
RECOVERY_S = 10.0


class Transport(StrEnum):
    """How the peer is reached."""

    TCP = "tcp"
    RTU_OVER_TCP = "rtu over tcp"
    SERIAL = "serial"


ALL = tuple(Transport)
SOCKETS = (Transport.TCP, Transport.RTU_OVER_TCP)
RTU = (Transport.RTU_OVER_TCP, Transport.SERIAL)

Answer = Callable[[Frame, Say], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One misbehaviour: `make` gives the peer's conduct, anew for each run; late: timeouts each answer is held back."""

    name: str
    make: Callable[[], Answer]
    transports: tuple[Transport, ...] = ALL
    late: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one fault over one transport.

    wrong: values that were not the register's; right, bad: values and refusals while the peer misbehaved; reasons: why
    those were refused; recovered: polls until all was right again, None for never; crash: what escaped.
    """

    fault: str
    transport: Transport
    wrong: int = 0
    right: int = 0
    bad: int = 0
    reasons: tuple[str, ...] = ()
    recovered: int | None = None
    crash: str = ""

    @property
    def passed(self) -> bool:
        return self.wrong == 0 and not self.crash and self.recovered is not None


def _says(*pieces: Callable[[Frame], bytes]) -> Callable[[], Answer]:
    async def reply(frame: Frame, say: Say) -> None:
        for piece in pieces:
            await say(piece(frame))

    return lambda: reply


def _wrong(frame: Frame) -> bytes:
    return frame.answer(values=[WRONG] * frame.count)


def _lagging(answers: int) -> Callable[[], Answer]:
    """Each answer comes when some more requests have come."""

    def make() -> Answer:
        queue: list[bytes] = []

        async def reply(frame: Frame, say: Say) -> None:
            queue.append(frame.answer())
            if len(queue) > answers:
                await say(queue.pop(0))

        return reply

    return make


def _now_and_then(every: int, odd: Callable[[Frame], bytes]) -> Callable[[], Answer]:
    """Right answers, but for each n-th."""

    def make() -> Answer:
        heard = 0

        async def reply(frame: Frame, say: Say) -> None:
            nonlocal heard
            heard += 1
            data = odd(frame) if heard % every == 0 else frame.answer()
            if data:
                await say(data)

        return reply

    return make


def _in_pieces(pause_s: float) -> Callable[[], Answer]:
    async def reply(frame: Frame, say: Say) -> None:
        for byte in frame.answer():
            await say(bytes([byte]))
            await asyncio.sleep(pause_s)

    return lambda: reply


async def _silent(frame: Frame, say: Say) -> None:
    del frame, say


def _lying_count(frame: Frame) -> bytes:
    """The byte count says more than there is."""
    return frame.framed(bytes([frame.function, 2 * frame.count + 2]) + WRONG.to_bytes(2, "big") * frame.count)


def _odd_count(frame: Frame) -> bytes:
    return frame.framed(bytes([frame.function, 3, 3, 231, 3]))


def _other_protocol(frame: Frame) -> bytes:
    good = _wrong(frame)
    return good[:2] + b"\x00\x07" + good[4:]


def _flipped(frame: Frame) -> bytes:
    """The value spoilt on the way: only the checksum tells."""
    good = frame.answer()
    return good[:3] + bytes([good[3] ^ 0x40]) + good[4:]


def _swapped_checksum(frame: Frame) -> bytes:
    good = _wrong(frame)
    return good[:-2] + good[-1:] + good[-2:-1]


def _echo(frame: Frame) -> bytes:
    request = frame.framed(bytes([frame.function]) + frame.address.to_bytes(2, "big") + frame.count.to_bytes(2, "big"))
    return request + frame.answer()


FAULTS = (
    *(Fault(f"exception {code:02}", _says(lambda frame, code=code: frame.exception(code))) for code in range(1, 12)),  # type: ignore[misc]
    Fault("exception 00", _says(lambda frame: frame.exception(0))),
    Fault("exception FF", _says(lambda frame: frame.exception(255))),
    Fault("exception of another function", _says(lambda frame: frame.exception(2, function=4))),
    Fault("exceptions of another unit", _says(lambda frame: frame.framed(bytes([0x83, 2]), unit=9))),
    Fault("exception now and then", _now_and_then(2, lambda frame: frame.exception(6))),
    Fault("silence", lambda: _silent),
    Fault("answers lost now and then", _now_and_then(3, lambda frame: b"")),
    Fault("wrong unit", _says(lambda frame: frame.answer(unit=9, values=[WRONG] * frame.count))),
    Fault("wrong unit, then right", _says(lambda f: f.answer(unit=9, values=[WRONG] * f.count), Frame.answer)),
    Fault("wrong function", _says(lambda frame: frame.answer(function=4, values=[WRONG] * frame.count))),
    Fault("function of a write", _says(lambda frame: frame.answer(function=16, values=[WRONG] * frame.count))),
    Fault("unknown function", _says(lambda frame: frame.framed(b"\x6e\x01\x02\x03\x04"))),
    Fault("wrong transaction id", _says(lambda f: f.answer(transaction=f.transaction + 1)), (Transport.TCP,)),
    Fault("last transaction id", _says(lambda f: f.answer(transaction=f.transaction - 1)), (Transport.TCP,)),
    Fault("transaction id 0", _says(lambda f: f.answer(transaction=0, values=[WRONG])), (Transport.TCP,)),
    Fault("wrong protocol id", _says(_other_protocol), (Transport.TCP,)),
    Fault("length 0", _says(lambda f: f.answer()[:4] + b"\x00\x00" + f.answer()[6:]), (Transport.TCP,)),
    Fault("length FFFF", _says(lambda f: f.answer()[:4] + b"\xff\xff" + f.answer()[6:]), (Transport.TCP,)),
    Fault("split frames", _in_pieces(0)),
    Fault("split frames, slowly", _in_pieces(TIMEOUT_S / 40)),
    Fault("split frames, too slowly", _in_pieces(TIMEOUT_S / 5)),
    Fault("stray bytes before", _says(lambda frame: b"\x00\xff\x01\x03" + _wrong(frame)[:5])),
    Fault("stray bytes after", _says(lambda frame: frame.answer() + b"\x01\x03\x02\x03")),
    Fault("noise around answers", _says(lambda frame: b"\x00\xff" + frame.answer() + b"\x00"), RTU),
    Fault("echo of the request", _says(_echo), RTU),
    Fault("answered twice", _says(Frame.answer, Frame.answer)),
    Fault("answer of 3 registers too", _says(Frame.answer, lambda f: f.answer(values=[WRONG] * 3))),
    Fault("too short", _says(lambda frame: frame.answer(values=[]))),
    Fault("too long", _says(lambda frame: frame.answer(values=[WRONG] * (frame.count + 1)))),
    Fault("125 registers", _says(lambda frame: frame.answer(values=[WRONG] * 125))),
    Fault("byte count too big", _says(_lying_count)),
    Fault("odd byte count", _says(_odd_count)),
    Fault("truncated", _says(lambda frame: _wrong(frame)[:-1])),
    Fault("truncated to its head", _says(lambda frame: _wrong(frame)[:3])),
    Fault("truncated now and then", _now_and_then(2, lambda frame: _wrong(frame)[:-2])),
    Fault("bad checksum", _says(_flipped), RTU),
    Fault("bad checksum now and then", _now_and_then(2, _flipped), RTU),
    Fault("checksum swapped", _says(_swapped_checksum), RTU),
    Fault("garbage", _says(lambda frame: bytes(range(0, 200, 7)))),
    Fault("flood", _says(lambda frame: b"\xff" * 4000)),
    Fault("flood of answers of others", _says(lambda frame: frame.answer(unit=9, values=[WRONG]) * 200)),
    Fault("not Modbus at all", _says(lambda frame: b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    Fault("late by one answer", _lagging(1)),
    Fault("late by two answers", _lagging(2)),
    Fault("late by five answers", _lagging(5)),
    Fault("late by 1.5 timeouts", _says(Frame.answer), late=1.5),
    Fault("late by 3 timeouts", _says(Frame.answer), late=3),
    Fault("late by 5 timeouts", _says(Frame.answer), late=5),
    Fault("closed instead of an answer", _says(lambda frame: b""), SOCKETS),
    Fault("closed mid frame", _says(lambda frame: _wrong(frame)[:-2], lambda frame: b""), SOCKETS),
    Fault("reset instead of an answer", _says(lambda frame: RESET), SOCKETS),
    Fault("reset mid frame", _says(lambda frame: _wrong(frame)[:-2], lambda frame: RESET), SOCKETS),
    Fault("closed after an answer", _says(Frame.answer, lambda frame: b""), SOCKETS),
)


class _InOrder:
    """What a unit or a gateway is: however late, it answers in the order in which it was asked."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[float, Say, bytes]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def say(self, say: Say, data: bytes, late_s: float) -> None:
        self._queue.put_nowait((asyncio.get_running_loop().time() + late_s, say, data))
        self._task = self._task or asyncio.create_task(self._work())

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            at, say, data = await self._queue.get()
            await asyncio.sleep(at - loop.time())
            with suppress(ConnectionError):
                await say(data)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


async def judge(fault: Fault, transport: Transport) -> Verdict:
    """Play one fault: some polls while the peer misbehaves, then polls until all is right again."""
    odd, behaves = fault.make(), False
    line = _InOrder()

    async def reply(frame: Frame, say: Say) -> None:
        if behaves:
            # A healthy unit refuses what it has not, in words; that is how what is still owed gets settled.
            await line.say(say, frame.answer() if frame.function == 3 else frame.exception(1), 0)
        elif fault.late:
            await line.say(say, frame.answer(), fault.late * TIMEOUT_S)
        else:
            await odd(frame, say)

    counts = {"right": 0, "bad": 0, "wrong": 0}
    reasons: dict[str, None] = {}

    def look(outcome: PollOutcome) -> bool:
        """Whether all of it was right."""
        good = 0
        for reading in outcome.readings:
            if reading.metric != "room.temperature":
                continue
            if reading.value is None:
                counts["bad"] += 1
                reasons[str(reading.reason)] = None
            elif reading.value == int(reading.subject.rpartition("/")[2]) / 10:
                counts["right"] += 1
                good += 1
            else:
                counts["wrong"] += 1
        return good == len(ADDRESSES)

    async def play(target: ModbusTarget) -> Verdict:
        nonlocal behaves
        links = ModbusLinks(clock=system_clock())
        unit = poller(target, probes(ADDRESSES, gap=0), links=links, interval_s=0.001, deadline_s=1.0)
        try:
            for _ in range(FAULTY_POLLS):
                look(await unit.poll())
            faulty = dict(counts)
            behaves, recovered, done = True, 0, False
            # What a day would make forgotten is forgotten at once: another poller, on the same line.
            again = poller(target, probes(ADDRESSES, gap=0), links=links, interval_s=0.001, deadline_s=1.0)
            with suppress(TimeoutError):
                async with asyncio.timeout(RECOVERY_S):
                    recovered = 1
                    while not look(await again.poll()):
                        recovered += 1
                        await asyncio.sleep(TIMEOUT_S)
                    done = True
        except Exception as exc:  # noqa: BLE001 - that nothing escapes is what is measured
            return Verdict(fault.name, transport, crash=f"{type(exc).__name__}: {exc}")
        finally:
            await links.close()
            await line.close()
        return Verdict(
            fault.name,
            transport,
            counts["wrong"],
            faulty["right"],
            faulty["bad"],
            tuple(reasons),
            recovered if done else None,
        )

    return await _on(transport, reply, play)


async def _on(transport: Transport, reply: Reply, play: Callable[[ModbusTarget], Awaitable[Verdict]]) -> Verdict:
    if transport is Transport.SERIAL:
        async with odd_line(reply) as (path, _):
            return await play(ModbusTarget(path, timeout_s=TIMEOUT_S, serial=SerialLine(115200)))
    rtu = transport is Transport.RTU_OVER_TCP
    async with odd_gateway(reply, rtu=rtu) as (port, _):
        framing = Framing.RTU if rtu else Framing.TCP
        return await play(ModbusTarget("127.0.0.1", port=port, timeout_s=TIMEOUT_S, framing=framing))


async def matrix(transport: Transport) -> list[Verdict]:
    """Every fault this transport can have; a few at a time, so that the machine's load is not what is measured."""
    at_once = asyncio.Semaphore(8)

    async def one(fault: Fault) -> Verdict:
        async with at_once:
            return await judge(fault, transport)

    return await asyncio.gather(*(one(fault) for fault in FAULTS if transport in fault.transports))

"""Which bytes of a line are the answer to what was asked: pure. The library sees whole right answers and nothing else.

Modbus TCP frames carry a transaction id and a length: another id is late, anything else that is odd breaks the
connection, for nothing says where the next frame begins.

RTU frames carry neither. What tells answers apart is unit, function, length and checksum; two answers of one unit to
one function with the same length look alike. So what was asked and not answered stays owed, and before another block of
that unit and function is asked, a question of another length or function settles it: units answer in the order in which
they are asked, so its answer proves that nothing older is still to come.
"""

from collections import Counter
from enum import StrEnum

from collectors.exchange import Table
from collectors.plan import ADDRESSES, MAX_BITS, Block, limit

# Longest frame of a serial line (Modbus over Serial Line 1.02 section 2.5.1): more is a flood, the newest bytes count.
MAX_FRAME = 256
# Unit, function, exception code, checksum.
EXCEPTION_FRAME = 5
# An answer is not feared for ever; slow gateways hold requests back for some seconds.
OWED_S = 30.0
# Cells by which a question may be longer than what is owed, in search of a length of its own: two bytes of coils.
SETTLING_REACH = 17


# Modbus Messaging on TCP/IP 1.0b section 3.1.3: transaction id, protocol id 0, length of what follows, unit.
TCP_HEADER = 7
# Unit, function and the 252 bytes of data a function can have (Modbus Application Protocol 1.1b3 section 4.1).
MAX_TCP_LENGTH = 254


class Discard(StrEnum):
    """Why bytes were thrown away."""

    FOREIGN_UNIT = "foreign_unit"
    FOREIGN_FUNCTION = "foreign_function"
    WRONG_LENGTH = "wrong_length"
    LATE = "late"  # a whole frame that nobody waits for any more
    NOISE = "noise"  # no frame: stray bytes, a wrong checksum, a part of one


def crc(data: bytes) -> int:
    """CRC-16/MODBUS of the bytes (Modbus over Serial Line 1.02 section 6.2.2); sent low byte first."""
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _CRC[(value ^ byte) & 0xFF]
    return value


def _crc_of_byte(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value


_CRC = tuple(_crc_of_byte(byte) for byte in range(256))


def data_bytes(block: Block) -> int:
    """How many bytes of data the answer to this block has."""
    return (block.count + 7) // 8 if block.table in (Table.COIL, Table.DISCRETE) else 2 * block.count


class TcpEar:
    """Listens to one Modbus TCP connection. `discarded` counts frames thrown away, by reason."""

    def __init__(self) -> None:
        self.discarded: Counter[Discard] = Counter()
        self.broken: Discard | None = None
        self._question: tuple[int, int, int] | None = None
        self._transaction = b""
        self._heard = b""

    def anew(self) -> "TcpEar":
        """For the next connection: what was counted stays, what was heard does not."""
        fresh = TcpEar()
        fresh.discarded = self.discarded
        return fresh

    @property
    def odd(self) -> Discard | None:
        """What was heard since the question, if it was not its answer."""
        return self.broken or (Discard.NOISE if self._heard else None)

    def ask(self, unit: int, block: Block) -> None:
        """From now on only the answer to this counts. Stray bytes after the last one are thrown away."""
        if self._heard:
            self.discarded[Discard.NOISE] += 1
            self._heard = b""
        self._question = unit, block.table.function, data_bytes(block)

    def hush(self) -> None:
        """Nothing is asked any more: an answer that still comes is late."""
        self._question = None

    def sent(self, frame: bytes) -> None:
        """The request as it goes out: its transaction id is what its answer is known by."""
        self._transaction = frame[:2]

    def hear(self, data: bytes) -> bytes:
        """Take bytes as they come; the whole frame of the answer once it is there, else nothing."""
        if self.broken is not None:
            return b""  # the connection is on its way to be closed; a flood meanwhile is not kept
        self._heard += data
        while len(self._heard) >= TCP_HEADER:
            length = int.from_bytes(self._heard[4:6], "big")
            if self._heard[2:4] != b"\x00\x00" or not 3 <= length <= MAX_TCP_LENGTH:
                return self._break(Discard.NOISE)
            if len(self._heard) < 6 + length:
                return b""
            frame, self._heard = self._heard[: 6 + length], self._heard[6 + length :]
            if self._question is None or frame[:2] != self._transaction:
                self.discarded[Discard.LATE] += 1
                continue
            unit, function, size = self._question
            self._question = None
            if frame[6] != unit:
                return self._break(Discard.FOREIGN_UNIT)
            if frame[7] & 0x7F != function:
                return self._break(Discard.FOREIGN_FUNCTION)
            if length != 3 if frame[7] & 0x80 else (frame[8], length) != (size, 3 + size):
                return self._break(Discard.WRONG_LENGTH)
            return frame
        return b""

    def _break(self, why: Discard) -> bytes:
        self.discarded[why] += 1
        self.broken = why
        self._heard = b""
        return b""


class Ear:
    """Listens to one RTU line. `discarded` counts frames and runs of noise thrown away, by reason."""

    def __init__(self) -> None:
        self.discarded: Counter[Discard] = Counter()
        self.owed = Owed()
        self._unit = 0
        self._function = 0
        self._size = -1
        self._heard = b""
        self._odd: Discard | None = None

    @property
    def odd(self) -> Discard | None:
        """What was heard since the question, if it was not its answer."""
        return self._odd or (Discard.NOISE if self._heard else None)

    def ask(self, unit: int, block: Block) -> None:
        """From now on only the answer to this counts. Whatever came before it is thrown away."""
        self.hush()
        self._unit, self._function, self._size = unit, block.table.function, data_bytes(block)

    def hush(self) -> None:
        """Nothing is asked: whatever comes is late."""
        if self._heard:
            self._drop(Discard.NOISE)
        self._unit, self._function, self._size = 0, 0, -1
        self._heard, self._odd = b"", None

    def hear(self, data: bytes) -> bytes:
        """Take bytes as they come; the whole frame of the answer once it is there, else nothing."""
        self._heard = (self._heard + data)[-2 * MAX_FRAME :]
        self._skip_foreign()
        for at in range(len(self._heard)):
            found = self._answer_at(at)
            if found:
                if at:
                    self._drop(Discard.NOISE)
                self._heard = self._heard[at + len(found) :]
                self._unit, self._function, self._size = 0, 0, -1
                self._skip_foreign()
                return found
        return b""

    def _answer_at(self, at: int) -> bytes:
        """The answer, if it stands whole at this place: line noise before it is no reason to lose it."""
        head = self._heard[at : at + 3]
        if self._size < 0 or len(head) < 3 or head[0] != self._unit:
            return b""
        if head[1] == self._function and head[2] == self._size:
            return _whole(self._heard[at : at + 5 + self._size], 5 + self._size)
        if head[1] == self._function | 0x80:
            return _whole(self._heard[at : at + EXCEPTION_FRAME], EXCEPTION_FRAME)
        return b""

    def _skip_foreign(self) -> None:
        while True:
            frame = _frame(self._heard)
            if not frame or self._answer_at(0):
                return
            unit, function = frame[0], frame[1] & 0x7F
            self._heard = self._heard[len(frame) :]
            self.owed.came(unit, function)
            if self._size < 0:
                self._drop(Discard.LATE)
            elif unit != self._unit:
                self._drop(Discard.FOREIGN_UNIT)
            elif function != self._function:
                self._drop(Discard.FOREIGN_FUNCTION)
            else:
                self._drop(Discard.WRONG_LENGTH)

    def _drop(self, why: Discard) -> None:
        self.discarded[why] += 1
        self._odd = why


def _whole(data: bytes, length: int) -> bytes:
    good = len(data) == length and crc(data[:-2]) == int.from_bytes(data[-2:], "little")
    return data if good else b""


def _frame(data: bytes) -> bytes:
    """The whole answer to a reading function, of whatever unit, that stands at the beginning; else nothing."""
    if len(data) < EXCEPTION_FRAME or not 1 <= data[1] & 0x7F <= 4:
        return b""
    length = EXCEPTION_FRAME if data[1] & 0x80 else 5 + data[2]
    return _whole(data[:length], length)


class Owed:
    """Which answers may still come late, by unit. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._asked: dict[int, dict[Block, list[float]]] = {}

    def silent(self, unit: int, block: Block, now: float) -> None:
        """The unit did not answer this in time."""
        times = self._asked.setdefault(unit, {}).setdefault(block, [])
        # More copies of one question are no other danger than a few: their answers are all right ones.
        times[:] = [*times[-7:], now]

    def answered(self, unit: int, function: int) -> None:
        """The unit answered this function: what it was asked of the others before is over."""
        blocks = self._asked.get(unit, {})
        self._keep(unit, {block: times for block, times in blocks.items() if block.table.function == function})

    def settled(self, unit: int) -> None:
        """The unit answered a question of `settling` with data: all that it was asked before is over."""
        self._asked.pop(unit, None)

    def came(self, unit: int, function: int) -> None:
        """A frame of this unit came that nobody waited for: one debt less."""
        blocks = self._asked.get(unit, {})
        for block, times in blocks.items():
            if block.table.function == function:
                times.pop(0)
                self._keep(unit, {each: other for each, other in blocks.items() if other})
                return

    def doubtful(self, unit: int, block: Block, now: float) -> bool:
        """An answer to this could be the late one to another block of the same function."""
        self._forget(unit, now)
        return any(other != block and other.table is block.table for other in self._asked.get(unit, {}))

    def settling(self, unit: int, block: Block) -> list[Block]:
        """Questions that settle what is owed before this block is asked; one after the other, until one has done it.

        First what is owed in another length: data of that length can be no other answer; a refusal could be. Then
        something of another function, if one is free: that is told from all else also when it is refused.
        """
        blocks = self._asked.get(unit, {})
        taken = {data_bytes(other) for other in (*blocks, block)}
        questions = []
        for owed in [other for other in blocks if other.table is block.table][:1]:
            counts = (*range(owed.count - 1, 0, -1), *range(owed.count + 1, owed.count + SETTLING_REACH))
            others = (Block(owed.table, owed.address, count) for count in counts)
            fits = (other for other in others if other.end <= ADDRESSES and other.count <= limit(other.table, MAX_BITS))
            questions += [other for other in fits if data_bytes(other) not in taken][:1]
        free = [
            table
            for table in (Table.INPUT, Table.HOLDING, Table.DISCRETE, Table.COIL)
            if not any(other.table is table for other in blocks)
        ]
        return questions + [Block(table, block.address, 1) for table in free[:1]]

    def _forget(self, unit: int, now: float) -> None:
        blocks = self._asked.get(unit, {})
        self._keep(unit, {block: times for block, times in blocks.items() if now - times[-1] < OWED_S})

    def _keep(self, unit: int, blocks: dict[Block, list[float]]) -> None:
        if blocks:
            self._asked[unit] = blocks
        else:
            self._asked.pop(unit, None)

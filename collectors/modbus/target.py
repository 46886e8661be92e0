"""Where a Modbus device is: a unit behind a TCP server, a gateway that passes RTU frames on, or a serial line."""

from dataclasses import dataclass
from enum import StrEnum

# Modbus over Serial Line 1.02 section 2.5.1.1: frames are 3.5 characters apart, and never closer than 1.75 ms.
FRAME_GAP_CHARACTERS = 3.5
FRAME_GAP_MIN_S = 0.00175
# section 2.2: a line has units 1 to 247; 0 is everybody at once, whom no one answers.
LINE_UNITS = range(1, 248)


class Framing(StrEnum):
    """How a request is wrapped: Modbus TCP with its transaction ids, or RTU with its checksum."""

    TCP = "tcp"
    RTU = "rtu"


@dataclass(frozen=True, slots=True)
class SerialLine:
    """How the units of one serial line talk; 8 data bits always, as RTU knows no other."""

    baudrate: int = 9600
    parity: str = "N"
    stopbits: int = 1

    def __post_init__(self) -> None:
        if not 300 <= self.baudrate <= 1_000_000:
            raise ValueError(f"baudrate {self.baudrate} is outside 300..1000000")
        if self.parity not in ("N", "E", "O"):
            raise ValueError(f"parity is N, E or O, not {self.parity!r}")
        if self.stopbits not in (1, 2):
            raise ValueError(f"stopbits is 1 or 2, not {self.stopbits}")

    @property
    def character_s(self) -> float:
        """Seconds one character takes: a start bit, eight bits, the parity bit, the stop bits."""
        return (9 + (self.parity != "N") + self.stopbits) / self.baudrate

    @property
    def frame_gap_s(self) -> float:
        return max(FRAME_GAP_CHARACTERS * self.character_s, FRAME_GAP_MIN_S)

    def __str__(self) -> str:
        return f"{self.baudrate} 8{self.parity}{self.stopbits}"


@dataclass(frozen=True, slots=True)
class ModbusTarget:
    """One unit.

    host, port: of the server or gateway; where `serial` is given, host is the path of the line and port means nothing.
    framing: what a gateway passes on as it is speaks RTU; a serial line always does.
    timeout_s: seconds one answer of this unit may take, without the time it is on a serial line; address_offset is
    added to every address of the profile, for installations whose manual and wire differ by one.
    """

    host: str
    port: int = 502
    unit: int = 1
    timeout_s: float = 2.0
    address_offset: int = 0
    framing: Framing = Framing.TCP
    serial: SerialLine | None = None

    def __post_init__(self) -> None:
        if self.rtu and self.unit not in LINE_UNITS:
            raise ValueError(f"unit {self.unit} is outside 1..247, the units of an RTU line")
        if not 0 <= self.unit <= 255:
            raise ValueError(f"unit {self.unit} is outside 0..255")
        if self.timeout_s <= 0:
            raise ValueError("timeout_s is more than 0")

    @property
    def rtu(self) -> bool:
        """Frames carry no transaction id: an answer is known by its unit, function, length and checksum."""
        return self.serial is not None or self.framing is Framing.RTU

    @property
    def line(self) -> str:
        """What its units share: one connection or one serial line."""
        return self.host if self.serial is not None else f"{self.host}:{self.port}"

    @property
    def speaks(self) -> str:
        """How the line is spoken to, in words; the same for all its units."""
        if self.serial is not None:
            return f"RTU {self.serial}"
        return "RTU over TCP" if self.framing is Framing.RTU else "Modbus TCP"

    @property
    def bus(self) -> str:
        """The key of its queue."""
        return f"modbus:{self.line}"

    def __str__(self) -> str:
        return f"modbus {self.line} unit {self.unit}"

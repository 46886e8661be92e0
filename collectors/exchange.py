"""What the pure half asks of a device and what the speaking half brings back.

A need is plain data made from a profile; an answer is plain data made from the wire, partial where the device failed
in part. One failed object never voids the rest of an answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from facility.reading import QualityReason, Reading

# OCTET STRING arrives as bytes, OBJECT IDENTIFIER as dotted text without a leading dot, every number as int or float.
SnmpValue = int | float | str | bytes


@dataclass(frozen=True, slots=True)
class SnmpNeeds:
    """Exact instances to GET and table columns to walk; dotted numeric OIDs without a leading dot."""

    gets: tuple[str, ...] = ()
    walks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SnmpAnswer:
    """Values by instance OID; `failed` holds GET instances and walk roots that brought none, each with its reason."""

    values: Mapping[str, SnmpValue] = field(default_factory=dict)
    failed: Mapping[str, QualityReason] = field(default_factory=dict)


class Table(StrEnum):
    """The four Modbus tables; reading functions 1, 2, 3 and 4, the only ones this product speaks."""

    COIL = "coil"
    DISCRETE = "discrete"
    HOLDING = "holding"
    INPUT = "input"

    @property
    def function(self) -> int:
        return _FUNCTIONS[self]


_FUNCTIONS = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}

# (table, zero-based address as it goes on the wire)
Cell = tuple[Table, int]


@dataclass(frozen=True, slots=True)
class Span:
    """`count` consecutive cells of a table from `address` on (zero-based, as on the wire)."""

    table: Table
    address: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class ModbusNeeds:
    """The spans points are read from, and the device's limits on how they may be merged.

    gap: unneeded cells a merged block may bridge; max_block: cells a block may hold (never over 125 registers or
    2000 bits, Modbus Application Protocol 1.1b3 section 6). pause_ms: between two requests on the device's line;
    connect_pause_ms: between connecting and the first request.
    """

    spans: tuple[Span, ...] = ()
    gap: int = 0
    max_block: int = 125
    pause_ms: int = 0
    connect_pause_ms: int = 0


@dataclass(frozen=True, slots=True)
class ModbusAnswer:
    """Register words (0..65535) or bits (0/1) by cell; cells that brought none, each with its reason."""

    values: Mapping[Cell, int] = field(default_factory=dict)
    failed: Mapping[Cell, QualityReason] = field(default_factory=dict)


class PollProblem(StrEnum):
    """Why a device brought nothing this time: a state of the device, never a stack trace."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    BAD_CREDENTIALS = "bad_credentials"
    BAD_REPLY = "bad_reply"
    PROFILE_MISMATCH = "profile_mismatch"
    BACKING_OFF = "backing_off"  # not asked: its circuit is open until the next probe
    HELD_BACK = "held_back"  # not asked: until its deadline others had spent what its address may be asked


@dataclass(frozen=True, slots=True)
class Restart:
    """The device began anew since its last poll. uptime_s: how long ago by its own word; before_s: its uptime then."""

    uptime_s: float
    before_s: float


@dataclass(frozen=True, slots=True)
class PollOutcome:
    """One poll of one device.

    readings: what it brought, bad ones included with their reason; problem: None when the device answered at all.
    restart: it was found to have restarted, told once. left_out: points it has beyond what is read of one device.
    started_ms: milliseconds UTC; seconds: how long it took; requests: how many went out.
    """

    device: str
    started_ms: int
    seconds: float
    requests: int
    readings: tuple[Reading, ...]
    problem: PollProblem | None = None
    detail: str = ""
    restart: Restart | None = None
    left_out: int = 0

"""The outermost fields of an SNMP message, read without decoding the rest.

Enough to drop what is no trap, or of nobody we know, before the costly decoder sees it, and for two things the decoder
does not hand out: the request id of an SNMPv2c inform, and the engine that signed an SNMPv3 message. Bounded: it reads
headers only.
"""

from dataclasses import dataclass, field

from collectors.traps.notification import SnmpWord

_INTEGER, _OCTETS, _SEQUENCE = 0x02, 0x04, 0x30
TRAP_V1, INFORM, TRAP_V2 = 0xA4, 0xA6, 0xA7
_VERSIONS = {0: SnmpWord.V1, 1: SnmpWord.V2C, 3: SnmpWord.V3}


class NotSnmp(ValueError):
    """The bytes are no SNMP message."""


@dataclass(frozen=True, slots=True)
class Head:
    """community: of v1 and v2c; engine, user: of v3; pdu: the tag of the PDU, 0 for v3, where it may be encrypted."""

    version: SnmpWord
    community: bytes = field(default=b"", repr=False)
    pdu: int = 0
    request_id: int | None = None
    engine: bytes = b""
    user: bytes = b""

    @property
    def is_trap(self) -> bool:
        """It can be a trap or inform; of v3 that shows only after decryption."""
        allowed = {SnmpWord.V1: (TRAP_V1,), SnmpWord.V2C: (INFORM, TRAP_V2), SnmpWord.V3: (0,)}
        return self.pdu in allowed[self.version]


def peek(message: bytes) -> Head:
    """The head of a message; NotSnmp for anything else."""
    body = _Reader(message).enter(_SEQUENCE)
    version = _VERSIONS.get(_integer(body.take(_INTEGER)))
    if version is None:
        raise NotSnmp("no SNMP version that exists")
    if version is SnmpWord.V3:
        body.take(_SEQUENCE)  # msgGlobalData
        usm = _Reader(body.take(_OCTETS)).enter(_SEQUENCE)
        engine = usm.take(_OCTETS)
        usm.take(_INTEGER), usm.take(_INTEGER)  # boots, time
        return Head(version, engine=engine, user=usm.take(_OCTETS))
    community = body.take(_OCTETS)
    tag, content = body.any()
    request_id = _integer(_Reader(content).take(_INTEGER)) if tag in (INFORM, TRAP_V2) else None
    return Head(version, community, tag, request_id)


def _integer(content: bytes) -> int:
    if not 1 <= len(content) <= 5:
        raise NotSnmp("an integer of a strange size")
    return int.from_bytes(content, "big", signed=True)


class _Reader:
    """A row of BER elements with definite lengths, as SNMP sends them."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def any(self) -> tuple[int, bytes]:
        """The next element: its tag and content."""
        data, at = self._data, self._position
        if at + 2 > len(data):
            raise NotSnmp("it ends early")
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            if not 1 <= size <= 4 or at + size > len(data):
                raise NotSnmp("a length that cannot be")
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if at + length > len(data):
            raise NotSnmp("it ends early")
        self._position = at + length
        return tag, data[at : at + length]

    def take(self, tag: int) -> bytes:
        """The next element's content, if it is of that tag."""
        found, content = self.any()
        if found != tag:
            raise NotSnmp(f"tag {found:#x} where {tag:#x} belongs")
        return content

    def enter(self, tag: int) -> "_Reader":
        return _Reader(self.take(tag))

"""A trap or inform as plain values, and what became of each datagram."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

SYS_UPTIME = "1.3.6.1.2.1.1.3.0"
SNMP_TRAP_OID = "1.3.6.1.6.3.1.1.4.1.0"
# What a translated SNMPv1 trap, or a forwarder, adds (RFC 3584 section 3.1).
TRAP_ADDRESS = "1.3.6.1.6.3.18.1.3.0"
TRAP_COMMUNITY = "1.3.6.1.6.3.18.1.4.0"
TRAP_ENTERPRISE = "1.3.6.1.6.3.1.1.4.3.0"


class TrapResult(StrEnum):
    """What became of a datagram; a metric label, and a word of the event where there is one."""

    UNDERSTOOD = "understood"
    UNKNOWN_TRAP = "unknown_trap"  # of a configured device, and no profile knows it
    UNKNOWN_SENDER = "unknown_sender"  # no device of the site has this address
    AMBIGUOUS_SENDER = "ambiguous_sender"  # several devices share the address, and more than one could have sent it
    REPEATED = "repeated"  # the same inform again, or a packet the network doubled: no second event
    RATE_LIMITED = "rate_limited"  # beyond what one sender may say
    QUEUE_FULL = "queue_full"  # the journal is slower than the traps
    REFUSED = "refused"  # wrong community, user or password
    MALFORMED = "malformed"  # no SNMP message
    NOT_A_TRAP = "not_a_trap"  # SNMP, but a request or an answer


class SnmpWord(StrEnum):
    """The version a trap was sent in."""

    V1 = "v1"
    V2C = "v2c"
    V3 = "v3"


@dataclass(frozen=True, slots=True)
class VarBind:
    """One value of a trap: numeric name, and the value as text (binary octets as 0x...)."""

    oid: str
    value: str


@dataclass(frozen=True, slots=True)
class Notification:
    """One trap or inform. oid: snmpTrapOID, of an SNMPv1 trap as RFC 3584 makes it.

    source: the address it came from, port its UDP port; agent_address: whom it names as its origin, "" for nobody.
    request_id: None for SNMPv1, which has none. varbinds: without the ones that only carry the trap, and without the
    community. uptime: hundredths of a second the sender says it has been up.
    """

    source: str
    port: int
    version: SnmpWord
    inform: bool
    oid: str
    request_id: int | None = None
    uptime: int | None = None
    enterprise: str = ""
    agent_address: str = ""
    varbinds: tuple[VarBind, ...] = ()


# Confirms an inform to its sender, once what it said is kept.
Answer = Callable[[], None]

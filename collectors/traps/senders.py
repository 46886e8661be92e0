"""Which device a trap is of: pure.

The origin a trap names (agent-addr of SNMPv1, snmpTrapAddress) goes before the address the packet came from, because a
forwarder keeps the first and replaces the second; where it names no device of ours (a card behind address translation
names its inner one), the packet's own address decides. Devices behind one address are told apart by which profile knows
the trap, then by the UDP port it came from.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from collectors.traps.notification import Notification
from collectors.traps.table import TrapTable

# More devices than this behind one address are not all asked because of one trap.
MAX_CANDIDATES = 8


@dataclass(frozen=True, slots=True)
class Sender:
    """An SNMP device. addresses: IP addresses in their plain spelling, a host name resolved."""

    device: str
    addresses: tuple[str, ...]
    port: int
    table: TrapTable


class Senders:
    """The devices of a site by address."""

    def __init__(self, senders: Iterable[Sender]) -> None:
        by_address: dict[str, list[Sender]] = {}
        for sender in senders:
            for address in sender.addresses:
                by_address.setdefault(address, []).append(sender)
        self._by_address: Mapping[str, Sequence[Sender]] = by_address

    @property
    def addresses(self) -> frozenset[str]:
        return frozenset(self._by_address)

    def at(self, address: str) -> list[str]:
        """The devices behind an address."""
        return [each.device for each in self._by_address.get(address, ())[:MAX_CANDIDATES]]

    def match(self, notification: Notification) -> tuple[Sender, ...]:
        """Nobody, the one device, or those among which the trap does not tell."""
        found = self._by_address.get(notification.agent_address) or self._by_address.get(notification.source) or ()
        if len(found) > 1:
            found = [each for each in found if each.table.knows(notification.oid)] or found
        if len(found) > 1:
            found = [each for each in found if each.port == notification.port] or found
        return tuple(found[:MAX_CANDIDATES])

"""The system group every SNMP agent has (RFC 3418)."""

from __future__ import annotations

from simulator.oid_table import OidTable, Syntax, parse_oid
from simulator.room import Room


def add_system(table: OidTable, room: Room, *, description: str, object_id: str, name: str, location: str) -> None:
    """Add sysDescr to sysServices. sysUpTime follows the room's own time."""
    base = "1.3.6.1.2.1.1."
    table.add(base + "1.0", Syntax.TEXT, description)
    table.add(base + "2.0", Syntax.OID, parse_oid(object_id))
    table.add(base + "3.0", Syntax.TICKS, lambda: round(room.elapsed * 100) % 2**32)
    table.add(base + "4.0", Syntax.TEXT, "noc@example.org")
    table.add(base + "5.0", Syntax.TEXT, name)
    table.add(base + "6.0", Syntax.TEXT, location)
    table.add(base + "7.0", Syntax.INTEGER, 72)

"""`env-1`: HWg Poseidon (21796.3.3) with a door contact, a smoke contact and one temperature probe."""

from __future__ import annotations

from simulator.devices.system import add_system
from simulator.oid_table import OidTable, Syntax
from simulator.room import Room

DOOR, SMOKE = 1, 2
PROBE_ID = 2350


def poseidon(room: Room) -> OidTable:
    """Inputs: value 0 off, 1 on; both contacts close (1) on trouble. Probe: value in tenths, text with its unit."""
    table = OidTable()
    base = "1.3.6.1.4.1.21796.3.3."
    add_system(
        table,
        room,
        description="Poseidon 4002 SNMP Supervisor v2.0.15 (simulated)",
        object_id=base.rstrip("."),
        name="env-1",
        location="Main room, door",
    )

    def probe() -> float:
        return room.zone_temperature("cold-b") + 0.06 * room.noise("env/t")

    def door() -> int:
        return 1 if room.conditions.door_open else 0

    def smoke() -> int:
        return 0

    for index, name, value in ((DOOR, "Door", door), (SMOKE, "Smoke", smoke)):
        table.add(f"{base}1.1.2.{index}", Syntax.INTEGER, value)
        table.add(f"{base}1.1.3.{index}", Syntax.TEXT, name)
        table.add(f"{base}1.1.4.{index}", Syntax.INTEGER, 2)  # alarm when on
        table.add(f"{base}1.1.5.{index}", Syntax.INTEGER, value)
    table.add(f"{base}3.1.2.1", Syntax.TEXT, "T.Door")
    table.add(f"{base}3.1.4.1", Syntax.INTEGER, 1)
    table.add(f"{base}3.1.5.1", Syntax.TEXT, lambda: f"{probe():.1f} C")
    table.add(f"{base}3.1.6.1", Syntax.INTEGER, lambda: round(10 * probe()))
    table.add(f"{base}3.1.7.1", Syntax.INTEGER, lambda: round(10 * probe()))
    table.add(f"{base}3.1.8.1", Syntax.INTEGER, PROBE_ID)
    table.add(f"{base}3.1.9.1", Syntax.INTEGER, 0)  # celsius
    table.add(f"{base}3.1.10.1", Syntax.TEXT, "C")
    table.add(f"{base}50.1.0", Syntax.GAUGE, door)
    return table

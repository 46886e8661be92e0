"""The three precision air conditioners: Liebert GlobalProducts (SNMP), SCA V1.4 and Liebert Atlas/LECS (Modbus)."""

from __future__ import annotations

from collections.abc import Callable

from simulator.devices.system import add_system
from simulator.modbus_bus import Unit, signed, unsigned
from simulator.oid_table import Getter, Oid, OidTable, Syntax, Value, parse_oid
from simulator.room import RH_SETPOINT, SUPPLY_SETPOINT_C, Crac, Room, relative_humidity

NOT_AVAILABLE = 2147483647  # what Liebert cards answer for a sensor that is not fitted
HIGH_RETURN_C = 40.0
LOW_RETURN_C = 15.0
HIGH_RETURN_RH = 70.0
LOW_RETURN_RH = 10.0
RUN_HOURS_BEFORE = 11200  # the units are not new

Put = Callable[[str, Syntax, Value | Getter], None]
Condition = tuple[str, int, Callable[[], bool]]  # OID suffix, severity, whether it stands


def _return_humidity(room: Room, crac: Crac) -> float:
    ratio = room.moisture + 0.3 * room.plume
    return relative_humidity(crac.returned, ratio, room.barometric())


def _hours(crac: Crac, share: float) -> int:
    return round(RUN_HOURS_BEFORE * share + crac.run_seconds * share / 3600.0)


def liebert_crac(room: Room) -> OidTable:
    """`crac-1`: Liebert PEX behind an IntelliSlot card (476.1.42: agent, system, environmental, conditions)."""
    table = OidTable()
    crac = room.cracs["crac-1"]
    base = "1.3.6.1.4.1.476.1.42."
    add_system(
        table,
        room,
        description="Liebert IntelliSlot Web Card (simulated)",
        object_id=base.rstrip("."),
        name="crac-1",
        location="Main room, aisle A",
    )

    def put(suffix: str, syntax: Syntax, value: Value | Getter) -> None:
        table.add(base + suffix, syntax, value)

    def temperature(name: str, value: float) -> float:
        return value + 0.05 * room.noise(f"crac-1/{name}")

    def any_alarm() -> bool:
        return any(active() for _, _, active in conditions)

    conditions: tuple[Condition, ...] = (
        ("3.2.1.11", 9, lambda: not crac.running),  # main fan overload, critical
        ("3.2.1.5", 9, lambda: not crac.running),  # loss of air flow, critical
        ("3.2.1.15", 6, lambda: room.conditions.humidifier_stuck),  # humidifier problem, major
        ("3.2.1.1", 6, lambda: crac.returned > HIGH_RETURN_C),  # high temperature, major
    )
    put("2.1.1.0", Syntax.TEXT, "Liebert Corporation")
    put("2.1.2.0", Syntax.TEXT, "IntelliSlot Web Card")
    put("2.1.3.0", Syntax.TEXT, "3.210.0")
    put("2.1.4.0", Syntax.TEXT, "SIM416791G001")
    put("2.1.6.0", Syntax.GAUGE, 1)
    put("2.4.2.1.1.1", Syntax.INTEGER, 1)
    table.add(base + "2.4.2.1.2.1", Syntax.OID, parse_oid(base + "4.3.6"))  # PEX in the registration MIB
    put("2.4.2.1.3.1", Syntax.TEXT, "Liebert Corporation")
    put("2.4.2.1.4.1", Syntax.TEXT, "Liebert PEX")
    put("2.4.2.1.5.1", Syntax.TEXT, "PAL 1.04.026.STD")
    put("2.4.2.1.6.1", Syntax.INTEGER, 1)
    put("3.2.2.0", Syntax.GAUGE, lambda: sum(1 for _, _, active in conditions if active()))
    _liebert_conditions(table, base, conditions, room)
    _liebert_temperatures(put, table, base, crac, temperature)
    _liebert_humidity(put, table, base, room, crac)
    put("3.4.3.1.0", Syntax.INTEGER, lambda: 1 if crac.running else 2)
    put("3.4.3.2.0", Syntax.INTEGER, lambda: 1 if crac.running and crac.cooling > 0.02 else 2)
    put("3.4.3.3.0", Syntax.INTEGER, 2)
    put("3.4.3.4.0", Syntax.INTEGER, lambda: 1 if room.conditions.humidifier_stuck else 2)
    put("3.4.3.5.0", Syntax.INTEGER, 2)
    put("3.4.3.7.0", Syntax.INTEGER, lambda: 1 if crac.running else 2)
    put("3.4.3.8.0", Syntax.INTEGER, lambda: 1 if any_alarm() else 2)
    put("3.4.3.9.0", Syntax.GAUGE, lambda: round(100 * crac.cooling) if crac.running else 0)
    put("3.4.3.10.0", Syntax.GAUGE, 0)
    put("3.4.3.11.0", Syntax.INTEGER, lambda: 1 if any_alarm() else 2)
    put("3.4.3.14.0", Syntax.INTEGER, lambda: 1 if crac.running else 3)  # none, alarm
    put("3.4.3.15.0", Syntax.INTEGER, 1)
    put("3.4.3.16.0", Syntax.GAUGE, lambda: round(100 * crac.fan) if crac.running else 0)
    put("3.4.3.17.0", Syntax.GAUGE, 0)
    put("3.4.3.18.0", Syntax.GAUGE, 0)
    put("3.4.3.19.0", Syntax.GAUGE, lambda: 100 if room.conditions.humidifier_stuck else 0)
    put("3.4.3.20.0", Syntax.INTEGER, 4)  # free cooling unavailable
    put("3.4.6.1.0", Syntax.GAUGE, lambda: _hours(crac, 0.6))
    put("3.4.6.2.0", Syntax.GAUGE, lambda: _hours(crac, 0.5))
    put("3.4.6.3.0", Syntax.GAUGE, lambda: _hours(crac, 1.0))
    put("3.4.6.4.0", Syntax.GAUGE, lambda: _hours(crac, 0.1))
    put("3.7.1.1.0", Syntax.GAUGE, lambda: _hours(crac, 1.0))
    put("3.7.2.2.0", Syntax.INTEGER, lambda: 4 if any_alarm() else 1)  # normalWithAlarm, normalOperation
    put("3.7.6.1.0", Syntax.GAUGE, 62)
    put("3.7.6.2.0", Syntax.GAUGE, 2027)
    put("3.7.6.3.0", Syntax.GAUGE, 3)
    return table


def _liebert_conditions(table: OidTable, base: str, conditions: tuple[Condition, ...], room: Room) -> None:
    """One row per well-known condition (476.1.42.3.2.1.N), there only while the condition stands."""
    began: dict[int, float] = {}
    for row, (suffix, severity, active) in enumerate(conditions, start=1):
        _liebert_condition_row(table, base, row, parse_oid(base + suffix), severity, active, began, room)


def _liebert_condition_row(
    table: OidTable,
    base: str,
    row: int,
    descr: Oid,
    severity: int,
    active: Callable[[], bool],
    began: dict[int, float],
    room: Room,
) -> None:
    def cell(column: int, syntax: Syntax, value: Value) -> None:
        table.add(f"{base}3.2.3.1.{column}.{row}", syntax, lambda: value if active() else None)

    def since() -> int | None:
        if not active():
            began.pop(row, None)
            return None
        return round(100 * began.setdefault(row, room.elapsed)) % 2**32

    cell(1, Syntax.GAUGE, row)
    cell(2, Syntax.OID, descr)
    table.add(f"{base}3.2.3.1.3.{row}", Syntax.TICKS, since)
    cell(10, Syntax.INTEGER, 6)  # alarm
    cell(12, Syntax.INTEGER, 1)  # active
    cell(14, Syntax.INTEGER, severity)
    cell(18, Syntax.INTEGER, 1)  # not acknowledged


def _liebert_temperatures(
    put: Put, table: OidTable, base: str, crac: Crac, measured: Callable[[str, float], float]
) -> None:
    """The sparse table of temperatures: column 2 says what a row is, the row number does not."""
    kinds = {1: "1", 2: "3", 3: "2", 4: "11.1", 5: "4"}  # control, supply, return, scroll compressor, ambient
    for row, kind in kinds.items():
        put(f"3.4.1.3.3.1.1.{row}", Syntax.GAUGE, row)
        table.add(f"{base}3.4.1.3.3.1.2.{row}", Syntax.OID, parse_oid(f"{base}3.4.1.1.{kind}"))

    def supply() -> float:
        return measured("supply", crac.supply)

    def returned() -> float:
        return measured("return", crac.returned)

    def row_of(row: int, value: Callable[[], float]) -> None:
        put(f"3.4.1.3.3.1.3.{row}", Syntax.INTEGER, lambda: round(value()))
        put(f"3.4.1.3.3.1.50.{row}", Syntax.INTEGER, lambda: round(10 * value()))

    row_of(1, supply)
    row_of(2, supply)
    row_of(3, returned)
    put("3.4.1.3.3.1.3.4", Syntax.INTEGER, lambda: round(38.0 + 20.0 * crac.cooling))
    # No ambient sensor is fitted: the row stands, the card says "not available" as a number.
    put("3.4.1.3.3.1.3.5", Syntax.INTEGER, NOT_AVAILABLE)
    put("3.4.1.3.3.1.50.5", Syntax.INTEGER, NOT_AVAILABLE)
    put("3.4.1.3.3.1.4.3", Syntax.INTEGER, round(HIGH_RETURN_C))
    put("3.4.1.3.3.1.5.3", Syntax.INTEGER, round(LOW_RETURN_C))
    for row in (1, 2):
        put(f"3.4.1.3.3.1.6.{row}", Syntax.INTEGER, round(SUPPLY_SETPOINT_C))
        put(f"3.4.1.3.3.1.53.{row}", Syntax.INTEGER, round(10 * SUPPLY_SETPOINT_C))


def _liebert_humidity(put: Put, table: OidTable, base: str, room: Room, crac: Crac) -> None:
    def humidity() -> float:
        return _return_humidity(room, crac) + 0.2 * room.noise("crac-1/humidity")

    put("3.4.2.2.3.1.1.1", Syntax.GAUGE, 1)
    table.add(f"{base}3.4.2.2.3.1.2.1", Syntax.OID, parse_oid(f"{base}3.4.2.1.2"))  # return humidity
    put("3.4.2.2.3.1.3.1", Syntax.INTEGER, lambda: round(humidity()))
    put("3.4.2.2.3.1.4.1", Syntax.INTEGER, round(HIGH_RETURN_RH))
    put("3.4.2.2.3.1.5.1", Syntax.INTEGER, round(LOW_RETURN_RH))
    put("3.4.2.2.3.1.6.1", Syntax.INTEGER, round(RH_SETPOINT))
    put("3.4.2.2.3.1.50.1", Syntax.INTEGER, lambda: round(10 * humidity()))


def sca_crac(room: Room) -> Unit:
    """`crac-2`: the Chinese OEM "SCA" family V1.4, holding registers; two islands at PDU 3-11 and 31-34."""
    crac = room.cracs["crac-2"]

    def returned() -> float:
        return crac.returned + 0.05 * room.noise("crac-2/return")

    def work_bits() -> int:
        # 40004: b0 on, b1 fan, b2 heating, b3 cooling
        if not crac.running:
            return 0
        return 0b0011 | (0b1000 if crac.cooling > 0.02 else 0)

    def return_bits() -> int:
        # 40007: b0 high return temperature, b1 low
        return (1 if returned() > HIGH_RETURN_C else 0) | (2 if returned() < LOW_RETURN_C else 0)

    def fault_bits() -> int:
        # 40010: b11 loss of air flow
        return 0 if crac.running else 1 << 11

    def phase(number: int) -> Callable[[], int]:
        return lambda: unsigned(224.0 + 0.8 * room.noise(f"crac-2/volts/{number}"))

    return Unit(
        holding={
            3: work_bits,
            4: lambda: signed(10 * returned()),
            5: lambda: unsigned(10 * _return_humidity(room, crac)),
            6: return_bits,
            7: lambda: 0,  # 40008: compressor pressure trips
            8: lambda: 0,
            9: fault_bits,
            10: lambda: 0 if crac.running else 1,  # 40011: b0 group fault
            11: lambda: 0,
            31: phase(1),
            32: phase(2),
            33: phase(3),
            34: lambda: 50,
        }
    )


def atlas_crac(room: Room) -> Unit:
    """`crac-3`: Liebert Atlas/LECS; holding registers in tenths, with holes between the documented ones."""
    crac = room.cracs["crac-3"]
    return Unit(
        holding={
            5: lambda: 1 if crac.running else 0,  # on/off
            15: lambda: signed(10 * (crac.returned + 0.05 * room.noise("crac-3/return"))),
            16: lambda: unsigned(10 * _return_humidity(room, crac)),
            17: lambda: signed(10 * (crac.supply + 0.05 * room.noise("crac-3/supply"))),
            21: lambda: 0 if crac.running else 1,  # general alarm
            22: lambda: 0 if crac.running else 1,  # audible alarm
            24: lambda: signed(10 * HIGH_RETURN_C),
            25: lambda: signed(10 * LOW_RETURN_C),
            26: lambda: unsigned(10 * HIGH_RETURN_RH),
            27: lambda: unsigned(10 * LOW_RETURN_RH),
            28: lambda: 30,  # restart delay, s
            348: lambda: signed(10 * SUPPLY_SETPOINT_C),
            349: lambda: unsigned(10 * RH_SETPOINT),
            350: lambda: signed(10 * SUPPLY_SETPOINT_C),
        }
    )

"""The two UPS: an APC card (PowerNet MIB, enterprise 318) and one that speaks the standard UPS-MIB (RFC 1628).

Scales per family: PowerNet `upsAdv*` whole units, `upsHighPrec*` tenths, times in TimeTicks (1/100 s);
RFC 1628 tenths for hertz, amperes and battery volts, whole volts and watts, minutes for what remains.
"""

from __future__ import annotations

from collections.abc import Callable

from simulator.devices.system import add_system
from simulator.oid_table import Getter, Oid, OidTable, Syntax, Value, parse_oid
from simulator.room import Room, Ups

PHASES = (1, 2, 3)
PHASE_VOLTS = 220.0  # Chinese mains, line to neutral
NOMINAL_BATTERY_VOLTS = 240.0
LOW_BATTERY_MINUTES = 5.0
POWER_FACTOR = 0.9

Put = Callable[[str, Syntax, Value | Getter], None]


class _Meter:
    """Electrical values of one UPS, shared by both cards."""

    def __init__(self, room: Room, name: str) -> None:
        self._room = room
        self._name = name

    @property
    def ups(self) -> Ups:
        return self._room.upses[self._name]

    def input_volts(self, phase: int) -> float:
        if not self._room.conditions.mains:
            return 0.0
        return PHASE_VOLTS + 4.0 + 0.8 * self._room.noise(f"{self._name}/in/{phase}")

    def output_volts(self, phase: int) -> float:
        if self.ups.exhausted:
            return 0.0
        return PHASE_VOLTS + 0.4 * self._room.noise(f"{self._name}/out/{phase}")

    def input_hertz(self) -> float:
        return 50.0 + 0.02 * self._room.noise(f"{self._name}/hz") if self._room.conditions.mains else 0.0

    def output_hertz(self) -> float:
        return 0.0 if self.ups.exhausted else 50.0

    def phase_watts(self, phase: int) -> float:
        # Phases are never quite even: 2 % more on the first, 2 % less on the third.
        return self.ups.load_kw * 1000.0 / 3.0 * (1.04 - 0.02 * phase)

    def phase_percent(self, phase: int) -> float:
        return 100.0 * self.phase_watts(phase) / (self.ups.rated_kw * 1000.0 / 3.0)

    def output_amps(self, phase: int) -> float:
        return self.phase_watts(phase) / POWER_FACTOR / PHASE_VOLTS

    def input_amps(self, phase: int) -> float:
        volts = self.input_volts(phase)
        return self.phase_watts(phase) * 1.05 / volts if volts else 0.0  # 5 % losses

    def battery_volts(self) -> float:
        # Float voltage on mains, a falling discharge curve on battery (2.27 and 2.1 to 1.75 V a cell, 120 cells).
        if self._room.conditions.mains:
            return 272.4
        return 210.0 + 42.0 * self.ups.charge

    def battery_amps(self) -> float:
        if not self._room.conditions.mains:
            return self.ups.load_kw * 1000.0 / self.battery_volts()
        return 0.0 if self.ups.charge >= 0.999 else -8.0  # charging counts negative

    def battery_celsius(self) -> float:
        return self._room.battery_room + 1.5 + 0.1 * self._room.noise(f"{self._name}/battery")

    @property
    def low(self) -> bool:
        ups = self.ups
        return ups.on_battery and ups.runtime_minutes <= LOW_BATTERY_MINUTES


def apc_ups(room: Room) -> OidTable:
    """`ups-1`: APC Smart-UPS family with a network card, three phases (PowerNet MIB 318.1.1.1)."""
    table = OidTable()
    meter = _Meter(room, "ups-1")
    add_system(
        table,
        room,
        description="APC Web/SNMP Management Card (simulated, MN:AP9631 HR:08)",
        object_id="1.3.6.1.4.1.318.1.3.27",
        name="ups-1",
        location="UPS room, feed A",
    )
    base = "1.3.6.1.4.1.318.1.1.1."

    def put(suffix: str, syntax: Syntax, value: Value | Getter) -> None:
        table.add(base + suffix, syntax, value)

    put("1.1.1.0", Syntax.TEXT, "Smart-UPS VT 40kVA")
    put("1.1.2.0", Syntax.TEXT, "ups-1")
    put("1.1.3.0", Syntax.TEXT, "Smart-UPS VT")
    put("1.2.1.0", Syntax.TEXT, "UPS 09.9 (ID20)")
    put("1.2.2.0", Syntax.TEXT, "03/14/2022")
    put("1.2.3.0", Syntax.TEXT, "SIM2211A00001")
    put("2.1.1.0", Syntax.INTEGER, lambda: 3 if meter.low or meter.ups.exhausted else 2)
    put("2.1.2.0", Syntax.TICKS, lambda: round(meter.ups.seconds_on_battery * 100))
    put("2.1.3.0", Syntax.TEXT, "03/14/2022")
    put("2.2.1.0", Syntax.GAUGE, lambda: round(100 * meter.ups.charge))
    put("2.2.2.0", Syntax.GAUGE, lambda: round(meter.battery_celsius()))
    put("2.2.3.0", Syntax.TICKS, lambda: round(meter.ups.runtime_minutes * 6000))
    put("2.2.4.0", Syntax.INTEGER, 1)
    put("2.2.5.0", Syntax.INTEGER, 4)
    put("2.2.6.0", Syntax.INTEGER, 0)
    put("2.2.7.0", Syntax.INTEGER, round(NOMINAL_BATTERY_VOLTS))
    put("2.2.8.0", Syntax.INTEGER, lambda: round(meter.battery_volts()))
    put("2.2.9.0", Syntax.INTEGER, lambda: round(meter.battery_amps()))
    put("2.2.21.0", Syntax.TEXT, "03/14/2027")
    put("2.3.1.0", Syntax.GAUGE, lambda: round(1000 * meter.ups.charge))
    put("2.3.2.0", Syntax.GAUGE, lambda: round(10 * meter.battery_celsius()))
    put("2.3.3.0", Syntax.INTEGER, round(10 * NOMINAL_BATTERY_VOLTS))
    put("2.3.4.0", Syntax.INTEGER, lambda: round(10 * meter.battery_volts()))
    put("2.3.5.0", Syntax.INTEGER, lambda: round(10 * meter.battery_amps()))
    put("3.1.1.0", Syntax.INTEGER, 3)
    put("3.2.1.0", Syntax.GAUGE, lambda: round(meter.input_volts(1)))
    put("3.2.4.0", Syntax.GAUGE, lambda: round(meter.input_hertz()))
    put("3.2.5.0", Syntax.INTEGER, lambda: 1 if room.conditions.mains else 4)  # noTransfer, blackout
    put("3.3.1.0", Syntax.GAUGE, lambda: round(10 * meter.input_volts(1)))
    put("3.3.4.0", Syntax.GAUGE, lambda: round(10 * meter.input_hertz()))
    put("4.1.1.0", Syntax.INTEGER, lambda: _apc_output_status(meter))
    put("4.1.2.0", Syntax.INTEGER, 3)
    put("4.1.3.0", Syntax.INTEGER, lambda: _apc_output_status(meter))
    put("4.2.1.0", Syntax.GAUGE, lambda: round(meter.output_volts(1)))
    put("4.2.2.0", Syntax.GAUGE, lambda: round(meter.output_hertz()))
    put("4.2.3.0", Syntax.GAUGE, lambda: round(meter.ups.load_percent))
    put("4.2.4.0", Syntax.GAUGE, lambda: round(meter.output_amps(1)))
    put("4.2.8.0", Syntax.GAUGE, lambda: round(1000 * meter.ups.load_kw))
    put("4.2.9.0", Syntax.GAUGE, lambda: round(1000 * meter.ups.load_kw / POWER_FACTOR))
    put("4.3.1.0", Syntax.GAUGE, lambda: round(10 * meter.output_volts(1)))
    put("4.3.2.0", Syntax.GAUGE, lambda: round(10 * meter.output_hertz()))
    put("4.3.3.0", Syntax.GAUGE, lambda: round(10 * meter.ups.load_percent))
    put("4.3.4.0", Syntax.GAUGE, lambda: round(10 * meter.output_amps(1)))
    put("7.2.3.0", Syntax.INTEGER, 1)
    put("7.2.4.0", Syntax.TEXT, "11/01/2026")
    put("8.1.0", Syntax.INTEGER, 1)
    _apc_phases(put, meter)
    put("11.1.1.0", Syntax.TEXT, lambda: _apc_state_flags(meter))
    put("11.1.2.0", Syntax.INTEGER, lambda: 4 if meter.low else 3 if meter.ups.on_battery else 1)
    return table


def _apc_phases(put: Put, meter: _Meter) -> None:
    put("9.2.1.0", Syntax.INTEGER, 1)
    put("9.2.2.1.3.1", Syntax.INTEGER, 4)  # threePhasePhaseToNeutral
    put("9.2.2.1.4.1", Syntax.INTEGER, lambda: round(10 * meter.input_hertz()))
    put("9.2.2.1.5.1", Syntax.INTEGER, 2)  # main
    put("9.2.2.1.6.1", Syntax.TEXT, "Main")
    put("9.3.1.0", Syntax.INTEGER, 1)
    put("9.3.2.1.3.1", Syntax.INTEGER, 4)
    put("9.3.2.1.4.1", Syntax.INTEGER, lambda: round(10 * meter.output_hertz()))
    for phase in PHASES:
        _apc_phase(put, meter, phase)


def _apc_phase(put: Put, meter: _Meter, phase: int) -> None:
    row = f"1.{phase}"  # table index 1 (the main input, the only output), then the phase
    put(f"9.2.3.1.3.{row}", Syntax.INTEGER, lambda: round(meter.input_volts(phase)))
    put(f"9.2.3.1.6.{row}", Syntax.INTEGER, lambda: round(10 * meter.input_amps(phase)))
    put(f"9.2.3.1.9.{row}", Syntax.INTEGER, -1)  # unsupported by this card, as -1 says in this family
    put(f"9.3.3.1.3.{row}", Syntax.INTEGER, lambda: round(meter.output_volts(phase)))
    put(f"9.3.3.1.4.{row}", Syntax.INTEGER, lambda: round(10 * meter.output_amps(phase)))
    put(f"9.3.3.1.7.{row}", Syntax.INTEGER, lambda: round(meter.phase_watts(phase) / POWER_FACTOR))
    put(f"9.3.3.1.10.{row}", Syntax.INTEGER, lambda: round(meter.phase_percent(phase)))
    put(f"9.3.3.1.13.{row}", Syntax.INTEGER, lambda: round(meter.phase_watts(phase)))


def _apc_output_status(meter: _Meter) -> int:
    if meter.ups.exhausted:
        return 7  # off
    return 3 if meter.ups.on_battery else 2  # onBattery, onLine


def _apc_state_flags(meter: _Meter) -> str:
    # 64 characters, flag 1 is the first: 1 abnormal, 2 on battery, 3 low battery, 4 on line, 6 card talks, 19 on.
    raised = {6}
    if meter.ups.exhausted:
        raised |= {1, 2, 3, 11, 58}
    elif meter.ups.on_battery:
        raised |= {1, 2, 19} | ({3, 30} if meter.low else set())
    else:
        raised |= {4, 19}
    return "".join("1" if flag in raised else "0" for flag in range(1, 65))


def rfc1628_ups(room: Room) -> OidTable:
    """`ups-2`: a three-phase UPS of the standard UPS-MIB (1.3.6.1.2.1.33)."""
    table = OidTable()
    meter = _Meter(room, "ups-2")
    add_system(
        table,
        room,
        description="Network UPS card (simulated, RFC 1628)",
        object_id="1.3.6.1.2.1.33",
        name="ups-2",
        location="UPS room, feed B",
    )
    base = "1.3.6.1.2.1.33.1."

    def put(suffix: str, syntax: Syntax, value: Value | Getter) -> None:
        table.add(base + suffix, syntax, value)

    put("1.1.0", Syntax.TEXT, "Simulated Power")
    put("1.2.0", Syntax.TEXT, "SP-60K three-phase")
    put("1.3.0", Syntax.TEXT, "4.12")
    put("1.4.0", Syntax.TEXT, "2.0.7")
    put("1.5.0", Syntax.TEXT, "ups-2")
    put("1.6.0", Syntax.TEXT, "feed B")
    put("2.1.0", Syntax.INTEGER, lambda: 4 if meter.ups.exhausted else 3 if meter.low else 2)
    put("2.2.0", Syntax.INTEGER, lambda: round(meter.ups.seconds_on_battery))
    put("2.3.0", Syntax.INTEGER, lambda: round(meter.ups.runtime_minutes))
    put("2.4.0", Syntax.INTEGER, lambda: round(100 * meter.ups.charge))
    put("2.5.0", Syntax.INTEGER, lambda: round(10 * meter.battery_volts()))
    put("2.6.0", Syntax.INTEGER, lambda: round(10 * meter.battery_amps()))
    put("2.7.0", Syntax.INTEGER, lambda: round(meter.battery_celsius()))
    put("3.1.0", Syntax.COUNTER, lambda: 0 if room.conditions.mains else 1)
    put("3.2.0", Syntax.INTEGER, len(PHASES))
    put("4.1.0", Syntax.INTEGER, lambda: 2 if meter.ups.exhausted else 5 if meter.ups.on_battery else 3)
    put("4.2.0", Syntax.INTEGER, lambda: round(10 * meter.output_hertz()))
    put("4.3.0", Syntax.INTEGER, len(PHASES))
    put("5.1.0", Syntax.INTEGER, lambda: round(10 * meter.input_hertz()))
    put("5.2.0", Syntax.INTEGER, len(PHASES))
    for phase in PHASES:
        _rfc1628_phase(put, meter, phase)
    _rfc1628_alarms(table, base, room, meter)
    put("7.3.0", Syntax.INTEGER, 1)
    put("9.1.0", Syntax.INTEGER, round(PHASE_VOLTS))
    put("9.2.0", Syntax.INTEGER, 500)
    put("9.3.0", Syntax.INTEGER, round(PHASE_VOLTS))
    put("9.4.0", Syntax.INTEGER, 500)
    put("9.5.0", Syntax.INTEGER, round(1000 * meter.ups.rated_kw / POWER_FACTOR))
    put("9.6.0", Syntax.INTEGER, round(1000 * meter.ups.rated_kw))
    put("9.7.0", Syntax.INTEGER, round(LOW_BATTERY_MINUTES))
    put("9.8.0", Syntax.INTEGER, 2)
    return table


def _rfc1628_phase(put: Put, meter: _Meter, phase: int) -> None:
    # The index columns (3.3.1.1, 4.4.1.1, 5.3.1.1, 6.2.1.1) are not accessible in this MIB.
    put(f"3.3.1.2.{phase}", Syntax.INTEGER, lambda: round(10 * meter.input_hertz()))
    put(f"3.3.1.3.{phase}", Syntax.INTEGER, lambda: round(meter.input_volts(phase)))
    put(f"3.3.1.4.{phase}", Syntax.INTEGER, lambda: round(10 * meter.input_amps(phase)))
    put(f"3.3.1.5.{phase}", Syntax.INTEGER, lambda: round(meter.input_amps(phase) * meter.input_volts(phase)))
    put(f"4.4.1.2.{phase}", Syntax.INTEGER, lambda: round(meter.output_volts(phase)))
    put(f"4.4.1.3.{phase}", Syntax.INTEGER, lambda: round(10 * meter.output_amps(phase)))
    put(f"4.4.1.4.{phase}", Syntax.INTEGER, lambda: round(meter.phase_watts(phase)))
    put(f"4.4.1.5.{phase}", Syntax.INTEGER, lambda: round(meter.phase_percent(phase)))
    put(f"5.3.1.2.{phase}", Syntax.INTEGER, lambda: round(meter.input_volts(phase)))


def _rfc1628_alarms(table: OidTable, base: str, room: Room, meter: _Meter) -> None:
    """The alarm table: a row stands only while its well-known alarm (33.1.6.3.N) does."""
    alarms: tuple[tuple[int, Callable[[], bool]], ...] = (
        (2, lambda: meter.ups.on_battery and not meter.ups.exhausted),  # on battery
        (6, lambda: not room.conditions.mains),  # input bad
        (3, lambda: meter.low and not meter.ups.exhausted),  # low battery
        (4, lambda: meter.ups.exhausted),  # depleted battery
        (14, lambda: meter.ups.exhausted),  # output off
    )

    def since() -> int:
        # All of them follow from the loss of mains; the card stamps them with its own up-time then.
        return round(100 * (room.elapsed - meter.ups.seconds_on_battery)) % 2**32

    table.add(base + "6.1.0", Syntax.GAUGE, lambda: sum(1 for _, active in alarms if active()))
    for row, (number, active) in enumerate(alarms, start=101):
        _rfc1628_alarm_row(table, base, row, parse_oid(f"{base}6.3.{number}"), active, since)


def _rfc1628_alarm_row(
    table: OidTable, base: str, row: int, descr: Oid, active: Callable[[], bool], since: Callable[[], int]
) -> None:
    table.add(f"{base}6.2.1.2.{row}", Syntax.OID, lambda: descr if active() else None)
    table.add(f"{base}6.2.1.3.{row}", Syntax.TICKS, lambda: since() if active() else None)

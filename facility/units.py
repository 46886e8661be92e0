"""Units and exact conversion between those of one quantity.

Conversions are affine with rational factors, so a value converted there and back is the same float it was.
"""

from enum import StrEnum
from fractions import Fraction


class Unit(StrEnum):
    """UCUM-like symbols as stored in profiles; a register metric is always in its quantity's base unit."""

    NONE = "1"
    CELSIUS = "Cel"
    FAHRENHEIT = "[degF]"
    KELVIN = "K"
    KELVIN_DELTA = "K{delta}"
    PERCENT = "%"
    PASCAL = "Pa"
    DECAPASCAL = "daPa"
    HECTOPASCAL = "hPa"
    KILOPASCAL = "kPa"
    MEGAPASCAL = "MPa"
    BAR = "bar"
    MILLIBAR = "mbar"
    PSI = "[psi]"
    MMHG = "mm[Hg]"
    INHG = "[in_i'Hg]"
    INH2O = "[in_i'H2O]"
    VOLT = "V"
    MILLIVOLT = "mV"
    AMPERE = "A"
    MILLIAMPERE = "mA"
    WATT = "W"
    KILOWATT = "kW"
    VOLTAMPERE = "VA"
    KILOVOLTAMPERE = "kVA"
    VAR = "var"
    WATTHOUR = "Wh"
    KILOWATTHOUR = "kWh"
    HERTZ = "Hz"
    SECOND = "s"
    MINUTE = "min"
    HOUR = "h"
    DAY = "d"
    TIMETICKS = "cs"
    MILLISECOND = "ms"
    METRE = "m"
    FOOT = "[ft_i]"
    MILLIMETRE = "mm"
    METRE_PER_SECOND = "m/s"
    CUBIC_METRE_PER_HOUR = "m3/h"
    LITRE_PER_SECOND = "L/s"
    LITRE_PER_MINUTE = "L/min"
    CUBIC_FOOT_PER_MINUTE = "[cft_i]/min"
    GALLON_PER_MINUTE = "[gal_us]/min"
    RPM = "/min"
    AMPERE_HOUR = "A.h"
    OHM = "Ohm"
    MILLIOHM = "mOhm"
    GRAM_PER_CUBIC_METRE = "g/m3"
    PPM = "[ppm]"
    DECIBEL = "dB"
    BTU_PER_HOUR = "[Btu]/h"


class Quantity(StrEnum):
    """A physical quantity; each has one base unit in which history, rules and metrics speak."""

    STATE = "state"
    COUNT = "count"
    RATIO = "ratio"  # percent
    TEMPERATURE = "temperature"
    TEMPERATURE_DIFFERENCE = "temperature_difference"
    PRESSURE = "pressure"
    VOLTAGE = "voltage"
    CURRENT = "current"
    POWER = "power"
    APPARENT_POWER = "apparent_power"
    REACTIVE_POWER = "reactive_power"
    ENERGY = "energy"
    FREQUENCY = "frequency"
    DURATION = "duration"
    LENGTH = "length"
    SPEED = "speed"
    AIRFLOW = "airflow"
    ROTATION = "rotation"
    CHARGE = "charge"
    RESISTANCE = "resistance"
    ABSOLUTE_HUMIDITY = "absolute_humidity"
    CONCENTRATION = "concentration"
    SOUND = "sound"


class UnitError(ValueError):
    """Two units are not of one quantity."""


_F = Fraction
# unit -> (quantity, factor, offset): base = value * factor + offset. The first unit of a quantity is its base.
# Exact by definition: ft 0.3048 m, inch 25.4 mm, lbf 4.4482216152605 N, US gallon 3.785411784 L,
# Btu(IT) 1055.05585262 J, mmHg 133.322387415 Pa, inHg 25.4 mmHg, inH2O(4 Cel) 249.08891 Pa.
_UNITS: dict[Unit, tuple[Quantity, Fraction, Fraction]] = {
    Unit.NONE: (Quantity.COUNT, _F(1), _F(0)),
    Unit.PERCENT: (Quantity.RATIO, _F(1), _F(0)),
    Unit.CELSIUS: (Quantity.TEMPERATURE, _F(1), _F(0)),
    Unit.FAHRENHEIT: (Quantity.TEMPERATURE, _F(5, 9), _F(-160, 9)),
    Unit.KELVIN: (Quantity.TEMPERATURE, _F(1), _F("-273.15")),
    Unit.KELVIN_DELTA: (Quantity.TEMPERATURE_DIFFERENCE, _F(1), _F(0)),
    Unit.PASCAL: (Quantity.PRESSURE, _F(1), _F(0)),
    Unit.DECAPASCAL: (Quantity.PRESSURE, _F(10), _F(0)),
    Unit.HECTOPASCAL: (Quantity.PRESSURE, _F(100), _F(0)),
    Unit.KILOPASCAL: (Quantity.PRESSURE, _F(1000), _F(0)),
    Unit.MEGAPASCAL: (Quantity.PRESSURE, _F(1000000), _F(0)),
    Unit.BAR: (Quantity.PRESSURE, _F(100000), _F(0)),
    Unit.MILLIBAR: (Quantity.PRESSURE, _F(100), _F(0)),
    Unit.PSI: (Quantity.PRESSURE, _F("4.4482216152605") / (_F("0.0254") ** 2), _F(0)),
    Unit.MMHG: (Quantity.PRESSURE, _F("133.322387415"), _F(0)),
    Unit.INHG: (Quantity.PRESSURE, _F("133.322387415") * _F("25.4"), _F(0)),
    Unit.INH2O: (Quantity.PRESSURE, _F("249.08891"), _F(0)),
    Unit.VOLT: (Quantity.VOLTAGE, _F(1), _F(0)),
    Unit.MILLIVOLT: (Quantity.VOLTAGE, _F(1, 1000), _F(0)),
    Unit.AMPERE: (Quantity.CURRENT, _F(1), _F(0)),
    Unit.MILLIAMPERE: (Quantity.CURRENT, _F(1, 1000), _F(0)),
    Unit.WATT: (Quantity.POWER, _F(1), _F(0)),
    Unit.KILOWATT: (Quantity.POWER, _F(1000), _F(0)),
    Unit.BTU_PER_HOUR: (Quantity.POWER, _F("1055.05585262") / 3600, _F(0)),
    Unit.VOLTAMPERE: (Quantity.APPARENT_POWER, _F(1), _F(0)),
    Unit.KILOVOLTAMPERE: (Quantity.APPARENT_POWER, _F(1000), _F(0)),
    Unit.VAR: (Quantity.REACTIVE_POWER, _F(1), _F(0)),
    Unit.WATTHOUR: (Quantity.ENERGY, _F(1), _F(0)),
    Unit.KILOWATTHOUR: (Quantity.ENERGY, _F(1000), _F(0)),
    Unit.HERTZ: (Quantity.FREQUENCY, _F(1), _F(0)),
    Unit.SECOND: (Quantity.DURATION, _F(1), _F(0)),
    Unit.MILLISECOND: (Quantity.DURATION, _F(1, 1000), _F(0)),
    Unit.TIMETICKS: (Quantity.DURATION, _F(1, 100), _F(0)),
    Unit.MINUTE: (Quantity.DURATION, _F(60), _F(0)),
    Unit.HOUR: (Quantity.DURATION, _F(3600), _F(0)),
    Unit.DAY: (Quantity.DURATION, _F(86400), _F(0)),
    Unit.METRE: (Quantity.LENGTH, _F(1), _F(0)),
    Unit.MILLIMETRE: (Quantity.LENGTH, _F(1, 1000), _F(0)),
    Unit.FOOT: (Quantity.LENGTH, _F("0.3048"), _F(0)),
    Unit.METRE_PER_SECOND: (Quantity.SPEED, _F(1), _F(0)),
    Unit.CUBIC_METRE_PER_HOUR: (Quantity.AIRFLOW, _F(1), _F(0)),
    Unit.LITRE_PER_SECOND: (Quantity.AIRFLOW, _F("3.6"), _F(0)),
    Unit.LITRE_PER_MINUTE: (Quantity.AIRFLOW, _F("0.06"), _F(0)),
    Unit.CUBIC_FOOT_PER_MINUTE: (Quantity.AIRFLOW, _F("0.3048") ** 3 * 60, _F(0)),
    Unit.GALLON_PER_MINUTE: (Quantity.AIRFLOW, _F("0.003785411784") * 60, _F(0)),
    Unit.RPM: (Quantity.ROTATION, _F(1), _F(0)),
    Unit.AMPERE_HOUR: (Quantity.CHARGE, _F(1), _F(0)),
    Unit.OHM: (Quantity.RESISTANCE, _F(1), _F(0)),
    Unit.MILLIOHM: (Quantity.RESISTANCE, _F(1, 1000), _F(0)),
    Unit.GRAM_PER_CUBIC_METRE: (Quantity.ABSOLUTE_HUMIDITY, _F(1), _F(0)),
    Unit.PPM: (Quantity.CONCENTRATION, _F(1), _F(0)),
    Unit.DECIBEL: (Quantity.SOUND, _F(1), _F(0)),
}

BASE_UNIT: dict[Quantity, Unit] = {
    quantity: unit for unit, (quantity, factor, offset) in _UNITS.items() if factor == 1 and offset == 0
}
BASE_UNIT[Quantity.STATE] = Unit.NONE

# What people read on a screen. Symbols follow 9 of the glossary: 26.3 ℃, 58.4 %RH, 1013.2 hPa, 6.5 Pa.
SYMBOLS: dict[Unit, str] = {
    Unit.NONE: "",
    Unit.CELSIUS: "℃",
    Unit.FAHRENHEIT: "℉",
    Unit.KELVIN_DELTA: "K",
    Unit.PSI: "psi",
    Unit.MMHG: "mmHg",
    Unit.INHG: "inHg",
    Unit.INH2O: "inH₂O",
    Unit.TIMETICKS: "cs",
    Unit.FOOT: "ft",
    Unit.CUBIC_METRE_PER_HOUR: "m³/h",
    Unit.CUBIC_FOOT_PER_MINUTE: "cfm",
    Unit.GALLON_PER_MINUTE: "gpm",
    Unit.RPM: "rpm",
    Unit.AMPERE_HOUR: "Ah",
    Unit.OHM: "Ω",
    Unit.MILLIOHM: "mΩ",
    Unit.GRAM_PER_CUBIC_METRE: "g/m³",
    Unit.PPM: "ppm",
    Unit.BTU_PER_HOUR: "BTU/h",
}

# Prometheus base-unit suffixes, see https://prometheus.io/docs/practices/naming/#base-units
PROMETHEUS_SUFFIX: dict[Unit, str] = {
    Unit.NONE: "",
    Unit.PERCENT: "percent",
    Unit.CELSIUS: "celsius",
    Unit.KELVIN_DELTA: "kelvin",
    Unit.PASCAL: "pascals",
    Unit.VOLT: "volts",
    Unit.AMPERE: "amperes",
    Unit.WATT: "watts",
    Unit.VOLTAMPERE: "voltamperes",
    Unit.VAR: "vars",
    Unit.WATTHOUR: "watthours",
    Unit.HERTZ: "hertz",
    Unit.SECOND: "seconds",
    Unit.METRE: "meters",
    Unit.METRE_PER_SECOND: "meters_per_second",
    Unit.CUBIC_METRE_PER_HOUR: "cubic_meters_per_hour",
    Unit.RPM: "rpm",
    Unit.AMPERE_HOUR: "ampere_hours",
    Unit.OHM: "ohms",
    Unit.GRAM_PER_CUBIC_METRE: "grams_per_cubic_meter",
    Unit.PPM: "ppm",
    Unit.DECIBEL: "decibels",
}


def quantity_of(unit: Unit) -> Quantity:
    """The quantity a unit measures; a plain number (`1`) is a count."""
    return _UNITS[unit][0]


def conversion(source: Unit, target: Unit) -> tuple[Fraction, Fraction]:
    """Exact (factor, offset) with target = source * factor + offset; UnitError when the quantities differ."""
    source_quantity, source_factor, source_offset = _UNITS[source]
    target_quantity, target_factor, target_offset = _UNITS[target]
    if source_quantity is not target_quantity:
        raise UnitError(f"{source} is a {source_quantity}, {target} is a {target_quantity}: not convertible")
    return source_factor / target_factor, (source_offset - target_offset) / target_factor


def convert(value: float, source: Unit, target: Unit) -> float:
    """`value` in `source` expressed in `target`, rounded once, at the end."""
    if source is target:
        return value
    factor, offset = conversion(source, target)
    return float(Fraction(value) * factor + offset)


def symbol(unit: Unit) -> str:
    """How the unit is written for people."""
    return SYMBOLS.get(unit, unit.value)

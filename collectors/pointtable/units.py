"""The units of point tables, in the spellings makers use, as units of the register. Pure."""

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal

from collectors.pointtable.cells import CellError, blank
from facility.units import Unit

# Unit, how many of it one of the written unit is, spellings in upper case after NFKC (which makes ℃ into °C, ³ into 3).
_ROWS: tuple[tuple[Unit, str, str], ...] = (
    (Unit.CELSIUS, "1", "°C C 摄氏度 DEGC CEL 'C ºC OC"),
    (Unit.FAHRENHEIT, "1", "°F DEGF 华氏度"),
    (Unit.PERCENT, "1", "% %RH RH% RH %R.H. 百分比 PERCENT"),
    (Unit.PASCAL, "1", "PA 帕"),
    (Unit.HECTOPASCAL, "1", "HPA"),
    (Unit.KILOPASCAL, "1", "KPA 千帕"),
    (Unit.KILOPASCAL, "1000", "MPA 兆帕"),
    (Unit.BAR, "1", "BAR BARG"),
    (Unit.MILLIBAR, "1", "MBAR"),
    (Unit.PSI, "1", "PSI"),
    (Unit.VOLT, "1", "V 伏 伏特 VAC VDC VOLT"),
    (Unit.MILLIVOLT, "1", "MV 毫伏"),
    (Unit.AMPERE, "1", "A 安 安培 AMP ADC AAC"),
    (Unit.MILLIAMPERE, "1", "MA 毫安"),
    (Unit.WATT, "1", "W 瓦"),
    (Unit.KILOWATT, "1", "KW 千瓦"),
    (Unit.VOLTAMPERE, "1", "VA"),
    (Unit.KILOVOLTAMPERE, "1", "KVA"),
    (Unit.VAR, "1", "VAR"),
    (Unit.VAR, "1000", "KVAR"),
    (Unit.WATTHOUR, "1", "WH"),
    (Unit.KILOWATTHOUR, "1", "KWH KW.H KW·H 千瓦时"),
    (Unit.KILOWATTHOUR, "1000", "MWH"),
    (Unit.HERTZ, "1", "HZ 赫兹 赫"),
    (Unit.SECOND, "1", "S SEC 秒"),
    (Unit.MINUTE, "1", "MIN MINUTE MINUTES 分钟 分"),
    (Unit.HOUR, "1", "H HR HOUR HOURS 小时 时"),
    (Unit.DAY, "1", "D DAY DAYS 天 日"),
    (Unit.MILLIMETRE, "1", "MM 毫米"),
    (Unit.METRE, "1", "M 米"),
    (Unit.METRE_PER_SECOND, "1", "M/S 米/秒"),
    (Unit.CUBIC_METRE_PER_HOUR, "1", "M3/H M^3/H CMH 立方米/小时"),
    (Unit.LITRE_PER_SECOND, "1", "L/S"),
    (Unit.LITRE_PER_MINUTE, "1", "L/MIN LPM"),
    (Unit.RPM, "1", "RPM R/MIN 转/分 转/分钟 转"),
    (Unit.AMPERE_HOUR, "1", "AH 安时"),
    (Unit.OHM, "1", "OHM Ω 欧 欧姆"),
    (Unit.MILLIOHM, "1", "MOHM MΩ 毫欧"),
    (Unit.OHM, "0.000001", "UΩ ΜΩ 微欧"),
    (Unit.GRAM_PER_CUBIC_METRE, "1", "G/M3"),
    (Unit.PPM, "1", "PPM"),
    (Unit.DECIBEL, "1", "DB"),
    (Unit.NONE, "1", "次 个 台 组 节 COS COSΦ PF TIMES PCS"),
)
_BY_WORD = {word: (unit, Decimal(multiple)) for unit, multiple, words in _ROWS for word in words.split()}
# Where upper and lower case mean different units.
_CASED = {
    "MW": (Unit.KILOWATT, Decimal(1000)),
    "mW": (Unit.WATT, Decimal("0.001")),
    "K": (Unit.KELVIN, Decimal(1)),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """A unit; multiple: what one of the written unit is in it; written: the number before the unit (`0.1℃`)."""

    unit: Unit
    multiple: Decimal = Decimal(1)
    written: Decimal | None = None


def parse_unit(text: str) -> Measured | None:
    """`℃`, `%RH`, `0.1V`, `小时`; None for a cell that says nothing. CellError for a unit that is not known."""
    if blank(text):
        return None
    shown = re.sub(r"[\s()\[\]]", "", unicodedata.normalize("NFKC", text))
    found = re.match(r"([0-9]+(?:\.[0-9]+)?)\*?(?=\D)", shown)
    rest = shown[found.end() :] if found else shown
    known = _CASED.get(rest) or _BY_WORD.get(rest.upper())
    if known is None:
        raise CellError(f"{text!r} is no unit that is known here")
    written = Decimal(found[1]) if found else None
    return Measured(known[0], known[1], written if written and written > 0 else None)

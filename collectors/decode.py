"""The closed list of conversions, each compiled once from a profile's source into a plain function of the raw value.

A raw value is what stood there: int or float (SNMP integers, register numbers), bytes (OCTET STRING) or str (object
identifiers, addresses). Arithmetic is exact: the value is rounded once, to the nearest float of the true quotient.
"""

import math
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

from collectors.exchange import SnmpValue
from facility.metrics import Metric
from facility.reading import QualityReason
from facility.sources import NumberType, Source
from facility.states import UNKNOWN
from facility.units import Unit, conversion

# What the device said that makes no value, and why.
Refusal = QualityReason
Decoded = float | str | Refusal
Affine = tuple[int, int, int]  # value = (raw * a + b) / c

# More digits than any quantity has: text of thousands would be no number to Python either, and cost it time.
_NUMBER = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?", re.ASCII)
_WHOLE = re.compile(r"\d{1,18}", re.ASCII)
_FORMATS = {NumberType.F32: ">f", NumberType.F64: ">d"}


def text_of(raw: SnmpValue) -> str:
    """The raw value as text, for comparing with a profile and for showing; bytes that are no text as hex."""
    if isinstance(raw, bytes):
        try:
            return raw.rstrip(b"\0").decode("utf-8").strip()
        except UnicodeDecodeError:
            return raw.hex(" ")
    return str(raw)


def number_of(raw: SnmpValue, pattern: re.Pattern[str] | None = None) -> int | Fraction | float | None:
    """The raw value as a number; text of digits counts, as some agents send every number as OCTET STRING."""
    if isinstance(raw, int) and pattern is None:
        return raw
    if isinstance(raw, float):
        return raw if math.isfinite(raw) else None
    text = text_of(raw)
    if pattern is not None:
        found = pattern.search(text)
        text = found.group(1) if found else ""
    if not _NUMBER.fullmatch(text):
        return None
    return Fraction(text) if "." in text else int(text)


def whole_of(text: str) -> int | None:
    """A count that stands there as text."""
    return int(text) if _WHOLE.fullmatch(text) else None


def affine(source: Source, target: Unit, unit: Unit | None, factor: float | int | Fraction = 1) -> Affine:
    """The exact integer form of scale, offset and unit conversion of a source."""
    # str() keeps the decimal the author wrote: 0.1 means one tenth, not the nearest binary fraction.
    scale = Fraction(str(source.scale)) * Fraction(factor) / (1 << source.binary_scale)
    offset = Fraction(str(source.offset))
    by, plus = conversion(unit, target) if unit is not None else (Fraction(1), Fraction(0))
    scale, offset = scale * by, offset * by + plus
    common = math.lcm(scale.denominator, offset.denominator)
    return int(scale * common), int(offset * common), common


def apply(number: int | Fraction | float, form: Affine) -> float:
    """(number * a + b) / c, rounded once. OverflowError where no float is as large."""
    a, b, c = form
    if isinstance(number, int):
        return (number * a + b) / c
    return float((Fraction(number) * a + b) / c)


def affine_of(source: Source, entry: Metric) -> Affine | None:
    """What makes a plain integer of this source the register's number; None where more than itself has a say."""
    told = source.states or source.bits or source.flags or source.date or source.pattern
    beside = source.unit_from or source.scale_from or source.scale_by
    return None if told or beside else affine(source, entry.unit, source.unit)


def decode_words(words: list[int], source: Source) -> int | float | str:
    """The number in consecutive registers (high word first unless the source says otherwise).

    Text where the registers hold no decimal digits though they should: what stands there, in hexadecimal.
    """
    kind = source.type
    if kind is NumberType.FLAG:
        return words[0] & 1
    if source.byte_order == "little":
        words = [(word & 0xFF) << 8 | word >> 8 for word in words]
    if source.word_order == "little":
        words = words[::-1]
    value = 0
    for word in words:
        value = value << 16 | word
    if kind in _FORMATS:
        number: float = struct.unpack(_FORMATS[kind], value.to_bytes(kind.words * 2, "big"))[0]
        return number
    bits = 16 * kind.words
    if source.bit_range is not None:
        low, high = source.bit_range
        bits = high - low + 1
        value = value >> low & (1 << bits) - 1
    if source.bcd:
        digits = f"{value:x}"
        return int(digits) if digits.isdecimal() else f"0x{digits}"
    if kind.value[0] == "s" and value >> (bits - 1):
        value -= 1 << bits
    return value


@dataclass(frozen=True, slots=True)
class Extras:
    """What other objects of the device contribute to one value: unit and scale read from the device.

    step: the factor of `scale_by`, 1 where there is none.
    """

    unit: str | None = None
    scale: str | None = None
    step: float = 1.0


# Units and scales a device can say of one point; one that never stops saying new ones is not remembered for it.
MAX_FORMS = 64

Decode = Callable[[SnmpValue, Extras], Decoded]


def decoder(source: Source, entry: Metric) -> Decode:
    """The conversion of one source into the register entry's unit or state words."""
    if source.states:
        return _states(source.states)
    if source.bits:
        return _bits(source.bits, source.otherwise or UNKNOWN)
    if source.flags:
        return _flags(source.flags, source.otherwise or UNKNOWN)
    if source.date:
        return _date(source.date)
    return _number(source, entry)


def _states(states: Mapping[str, str]) -> Decode:
    table = dict(states)

    def decode(raw: SnmpValue, extras: Extras) -> Decoded:
        del extras
        return table.get(text_of(raw), UNKNOWN)

    return decode


def _bits(bits: Mapping[int, str], otherwise: str) -> Decode:
    masks = [(1 << bit, word) for bit, word in bits.items()]

    def decode(raw: SnmpValue, extras: Extras) -> Decoded:
        del extras
        number = number_of(raw)
        if not isinstance(number, int):
            return Refusal.BAD_TYPE
        return next((word for mask, word in masks if number & mask), otherwise)

    return decode


def _flags(flags: Mapping[int, str], otherwise: str) -> Decode:
    wanted = [(position - 1, word) for position, word in flags.items()]

    def decode(raw: SnmpValue, extras: Extras) -> Decoded:
        del extras
        text = text_of(raw)
        if not text or text.strip("01"):  # e.g. APC's "UNKNOWN" while the card has lost its UPS
            return UNKNOWN
        return next((word for at, word in wanted if text[at : at + 1] == "1"), otherwise)

    return decode


def _date(formats: tuple[str, ...]) -> Decode:
    def decode(raw: SnmpValue, extras: Extras) -> Decoded:
        del extras
        text = text_of(raw)
        for layout in formats:
            try:
                return datetime.strptime(text, layout).replace(tzinfo=UTC).timestamp()
            except ValueError:
                continue
        return Refusal.BAD_TYPE

    return decode


def _number(source: Source, entry: Metric) -> Decode:
    pattern = re.compile(source.pattern) if source.pattern else None
    forms: dict[tuple[str | None, str | None, float], Affine] = {}
    fixed = source.unit_from is None and source.scale_from is None and source.scale_by is None
    plain = affine(source, entry.unit, source.unit) if fixed else None

    def form_of(extras: Extras) -> Affine | None:
        key = (extras.unit, extras.scale, extras.step)
        form = forms.get(key)
        if form is None:
            unit, factor = source.unit, Fraction(str(extras.step))
            if source.unit_from is not None:
                unit = source.unit_from.map.get(extras.unit or "")
                if unit is None:
                    return None
            if source.scale_from is not None:
                found = _factor(source, extras.scale)
                if found is None:
                    return None
                factor *= found
            if len(forms) >= MAX_FORMS:
                forms.clear()
            form = forms[key] = affine(source, entry.unit, unit, factor)
        return form

    def decode(raw: SnmpValue, extras: Extras) -> Decoded:
        number = raw if type(raw) is int and pattern is None else number_of(raw, pattern)
        if number is None:
            return Refusal.BAD_TYPE
        form = plain or form_of(extras)
        if form is None:
            return Refusal.UNKNOWN_STATE
        try:
            return apply(number, form)
        except OverflowError:
            return Refusal.OUT_OF_RANGE

    return decode


def _factor(source: Source, raw: str | None) -> Fraction | None:
    if source.scale_from is None or raw is None:
        return None
    number = whole_of(raw)
    if source.scale_from.decimals:
        # More than 9 decimals of a 32-bit value would leave nothing of it: a wrong register, not a scale.
        return Fraction(1, 10**number) if number is not None and number <= 9 else None
    if source.scale_from.factor:
        return Fraction(number) if number else None
    found = source.scale_from.map.get(raw)
    return Fraction(str(found)) if found is not None else None

"""From what stood in objects and registers to numbers: exact, and only what can be."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from collectors.decode import Extras, affine, apply, decode_words, decoder
from facility.metrics import metric
from facility.reading import QualityReason
from facility.sources import Source
from facility.units import Unit, conversion


@given(st.integers(-(2**31), 2**31 - 1), st.sampled_from(["0.1", "0.01", "0.001", "10", "1"]))
def test_scaling_is_the_nearest_float_of_the_true_quotient(raw: int, scale: str) -> None:
    source = Source.model_validate({"oid": "1.3.6.1.4.1.99999.1.0", "scale": float(scale), "unit": "[degF]"})
    factor, offset = conversion(Unit.FAHRENHEIT, Unit.CELSIUS)
    assert apply(raw, affine(source, Unit.CELSIUS, Unit.FAHRENHEIT)) == float(raw * Fraction(scale) * factor + offset)


@given(st.integers(-(2**31), 2**31 - 1), st.sampled_from(["big", "little"]), st.sampled_from(["big", "little"]))
def test_words_and_bytes_in_any_order_make_the_same_number(value: int, words: str, octets: str) -> None:
    raw = (value & 0xFFFFFFFF).to_bytes(4, "big")
    pair = [int.from_bytes(raw[:2], "big"), int.from_bytes(raw[2:], "big")]
    if octets == "little":
        pair = [(word & 0xFF) << 8 | word >> 8 for word in pair]
    if words == "little":
        pair.reverse()
    source = Source.model_validate({"holding": 0, "type": "s32", "word_order": words, "byte_order": octets})
    assert decode_words(pair, source) == value


@pytest.mark.parametrize(
    ("shape", "words", "value"),
    [
        ({"bit_range": [8, 15]}, [0x1234], 0x12),
        ({"bit_range": [0, 7]}, [0x1234], 0x34),
        ({"bit_range": [6, 8]}, [0b1_0100_0001], 0b101),
        ({"type": "s16", "bit_range": [8, 15]}, [0xFE07], -2),
        ({"type": "u32", "bit_range": [12, 19]}, [0x000A, 0xB000], 0xAB),
        ({"bcd": True}, [0x2026], 2026),
        ({"bcd": True, "bit_range": [8, 15]}, [0x5907], 59),
        ({"type": "u32", "bcd": True, "word_order": "little"}, [0x3456, 0x0012], 123456),
        ({"bcd": True}, [0x20A6], "0x20a6"),
    ],
)
def test_parts_of_registers_and_decimal_digits(shape: dict[str, Any], words: list[int], value: int | str) -> None:
    assert decode_words(words, Source.model_validate({"holding": 0, **shape})) == value


def test_a_date_in_decimal_digits_is_seconds_and_no_date_is_bad() -> None:
    source = Source.model_validate({"holding": 0, "type": "u32", "bcd": True, "date": ["%Y%m%d"]})
    decode = decoder(source, metric("room.temperature"))
    assert decode(decode_words([0x2026, 0x1123], source), Extras()) == 1795392000.0
    for wrong in ([0x2026, 0x1323], [0x20A6, 0x1123]):
        assert decode(decode_words(wrong, source), Extras()) is QualityReason.BAD_TYPE


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ({"bcd": True, "type": "s16"}, "digits have no sign"),
        ({"bcd": True, "type": "f32"}, "integers in registers"),
        ({"bit_range": [0, 16]}, r"within 0\.\.15"),
        ({"bit_range": [9, 8]}, "lowest, highest"),
    ],
)
def test_digits_and_parts_that_cannot_be(shape: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Source.model_validate({"holding": 0, **shape})

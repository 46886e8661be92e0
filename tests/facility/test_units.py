"""Units convert exactly and only within their quantity."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facility.units import BASE_UNIT, PROMETHEUS_SUFFIX, Quantity, Unit, UnitError, conversion, convert, quantity_of


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (98.6, Unit.FAHRENHEIT, Unit.CELSIUS, 37.0),
        (-40.0, Unit.FAHRENHEIT, Unit.CELSIUS, -40.0),
        (0.0, Unit.CELSIUS, Unit.KELVIN, 273.15),
        (1013.25, Unit.HECTOPASCAL, Unit.PASCAL, 101325.0),
        (1.0, Unit.PSI, Unit.PASCAL, 6894.757293168362),
        (2.0, Unit.DECAPASCAL, Unit.PASCAL, 20.0),
        (1000.0, Unit.CUBIC_FOOT_PER_MINUTE, Unit.CUBIC_METRE_PER_HOUR, 1699.0107955200001),
        (1.0, Unit.GALLON_PER_MINUTE, Unit.LITRE_PER_MINUTE, 3.785411784),
        (90.0, Unit.MINUTE, Unit.HOUR, 1.5),
        (360000.0, Unit.TIMETICKS, Unit.SECOND, 3600.0),
        (3.0, Unit.KILOWATT, Unit.WATT, 3000.0),
        (100.0, Unit.FOOT, Unit.METRE, 30.48),
    ],
)
def test_known_conversions(value: float, source: Unit, target: Unit, expected: float) -> None:
    assert convert(value, source, target) == pytest.approx(expected, rel=1e-14)


def test_a_pressure_is_not_a_temperature() -> None:
    with pytest.raises(UnitError, match="Pa is a pressure, Cel is a temperature"):
        convert(1.0, Unit.PASCAL, Unit.CELSIUS)


@given(
    value=st.floats(min_value=-1e6, max_value=1e6),
    pair=st.sampled_from([(a, b) for a in Unit for b in Unit if quantity_of(a) is quantity_of(b)]),
)
def test_there_and_back_is_the_identity_exactly(value: float, pair: tuple[Unit, Unit]) -> None:
    there_factor, there_offset = conversion(*pair)
    back_factor, back_offset = conversion(pair[1], pair[0])
    assert there_factor * back_factor == 1
    assert there_offset * back_factor + back_offset == 0
    assert convert(convert(value, *pair), pair[1], pair[0]) == pytest.approx(value, rel=1e-9, abs=1e-9)


def test_every_quantity_has_a_base_unit_with_a_prometheus_suffix() -> None:
    assert set(BASE_UNIT) == set(Quantity)
    assert set(BASE_UNIT.values()) <= set(PROMETHEUS_SUFFIX)

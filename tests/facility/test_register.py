"""The metric register and the state sets are a contract: history, rules and dashboards are written against them."""

import re

import pytest

from facility.metrics import REGISTER, UnknownMetricError, metric
from facility.states import STATES, UNKNOWN
from facility.units import quantity_of

# Codes already in somebody's history. A line may be added here, never changed.
SHIPPED_CODES = {
    "output_source": {"normal": 1, "battery": 2, "bypass": 3, "none": 4},
    "leak": {"dry": 1, "leak": 2, "cable_break": 3},
    "door": {"closed": 1, "open": 2},
    "smoke": {"clear": 1, "smoke": 2},
    "battery": {"normal": 1, "low": 2, "depleted": 3},
    "health": {"normal": 1, "warning": 2, "alarm": 3, "critical": 4},
    "communication": {"ok": 1, "lost": 2},
}


def test_at_least_80_metrics_each_with_unit_and_two_labels() -> None:
    assert len(REGISTER) >= 80
    for entry in REGISTER.values():
        assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+", entry.name), entry.name
        assert entry.en
        assert re.search(r"[一-鿿]", entry.zh), f"{entry.name} has no Chinese label"
        if entry.states is None:
            assert quantity_of(entry.display) is quantity_of(entry.unit), entry.name
        if entry.minimum is not None and entry.maximum is not None:
            assert entry.minimum < entry.maximum


def test_every_number_has_a_lowest_and_a_highest_value() -> None:
    """Cards send the largest number of a type for "not available": nothing without limits would be judged as said."""
    open_ended = [
        entry.name
        for entry in REGISTER.values()
        if entry.states is None and (entry.minimum is None or entry.maximum is None)
    ]
    assert open_ended == []
    largest = 2**31 - 1
    # Seconds of 2038 and 2 GWh are possible; of everything else that is no value.
    believed = {
        entry.name
        for entry in REGISTER.values()
        if entry.states is None and entry.maximum is not None and entry.maximum >= largest
    }
    assert {REGISTER[name].unit.value for name in believed} <= {"s", "Wh"}


def test_names_the_rest_of_the_product_is_written_against() -> None:
    for name in (
        "room.temperature", "room.humidity", "room.dew_point", "room.pressure.differential", "air.pressure.barometric",
        "crac.supply_air.temperature", "crac.return_air.temperature", "crac.compressor.run_hours",
        "crac.filter.pressure_drop", "ups.battery.charge", "ups.battery.runtime", "ups.output.load",
        "ups.output.source", "leak.state", "door.state", "smoke.state",
    ):  # fmt: skip
        assert name in REGISTER


def test_prometheus_names_are_unique_and_in_base_units() -> None:
    names = [entry.prometheus_name for entry in REGISTER.values()]
    assert len(names) == len(set(names))
    assert metric("room.temperature").prometheus_name == "coldaisle_room_temperature_celsius"
    assert metric("air.pressure.barometric").prometheus_name == "coldaisle_air_pressure_barometric_pascals"
    assert metric("crac.fan.run_hours").prometheus_name == "coldaisle_crac_fan_run_hours_seconds_total"
    assert metric("leak.state").prometheus_name == "coldaisle_leak_state"
    assert all(re.fullmatch(r"[a-z_][a-z0-9_]*", name) for name in names)


def test_an_unknown_metric_says_which_are_near() -> None:
    with pytest.raises(UnknownMetricError, match=r"did you mean room\.temperature"):
        metric("room.temprature")


def test_unmapped_points_are_plain_numbers() -> None:
    assert metric("unmapped.acme.widget_count").decimals == 2
    with pytest.raises(UnknownMetricError):
        metric("unmapped.Acme")


@pytest.mark.parametrize("name", STATES)
def test_state_codes_are_unique_and_zero_is_unknown(name: str) -> None:
    states = STATES[name]
    assert states.states[0].word == UNKNOWN
    assert states.states[0].code == 0
    codes = [state.code for state in states.states]
    assert len(codes) == len(set(codes))
    assert len(states.words) == len(set(states.words))
    assert all(states.by_code(state.code) is state and states.by_word(state.word) is state for state in states.states)


def test_shipped_state_codes_never_change() -> None:
    for name, codes in SHIPPED_CODES.items():
        assert {word: STATES[name].by_word(word).code for word in codes} == codes


def test_a_code_of_the_future_reads_as_unknown() -> None:
    assert STATES["door"].by_code(99).word == UNKNOWN

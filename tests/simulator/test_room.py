"""The physics alone: in balance, deterministic, moved by faults, healed by repair."""

import pytest

from simulator.room import (
    CRACS,
    ZONES,
    Conditions,
    Room,
    dew_point,
    humidity_ratio,
    relative_humidity,
    saturation_hpa,
)

HOUR = 3600.0


def test_a_day_without_a_fault_stays_well_inside_the_limits() -> None:
    room = Room(seed=7)
    for _ in range(24 * 60):
        room.advance(60.0)
        for zone in ZONES:
            celsius, percent = room.zone_temperature(zone), room.zone_humidity(zone)
            assert 22.0 <= celsius <= 24.0
            assert 45.0 <= percent <= 55.0
            assert 5.5 <= dew_point(celsius, percent) <= 15.0
        assert 32.5 <= room.zone_temperature("hot") <= 35.0
        assert 11.0 <= room.over_pressure <= 13.0
        assert 1010.0 <= room.barometric() <= 1017.0
        assert all(ups.charge == 1.0 and 50.0 < ups.load_percent < 65.0 for ups in room.upses.values())
        assert all(crac.cooling < 0.75 for crac in room.cracs.values())


def test_the_same_seed_gives_the_same_room_and_another_seed_another() -> None:
    def walk(seed: int) -> list[float]:
        room = Room(seed=seed)
        values = []
        for step in range(50):
            if step == 20:
                room.conditions = Conditions(failed_cracs=frozenset({"crac-2"}))
            room.advance(7.0)
            values += [room.cold["cold-a"], room.noise("th/1/t"), room.noise("dp")]
        return values

    assert walk(1) == walk(1)
    assert walk(1) != walk(2)


def test_energy_is_conserved_in_balance() -> None:
    room = Room()
    room.advance(2 * HOUR)
    taken = sum(crac.cooling for crac in room.cracs.values()) * 27.0
    assert taken == pytest.approx(room.heat_kw, rel=0.04)  # the rest leaves through the walls


def test_one_failed_unit_heats_its_own_aisle_and_repair_brings_it_back() -> None:
    room = Room()
    room.conditions = Conditions(failed_cracs=frozenset({"crac-1"}))
    room.advance(1.0)
    assert not room.cracs["crac-1"].running
    room.advance(20 * 60.0)
    assert 27.0 < room.cold["cold-a"] < 32.0
    assert room.cold["cold-b"] < 24.0
    assert room.cracs["crac-2"].cooling > 0.85
    room.conditions = Conditions()
    room.advance(HOUR)
    assert room.cold["cold-a"] < 23.5


def test_two_failed_units_overrun_the_third_and_the_worst_case_is_bounded() -> None:
    room = Room()
    room.conditions = Conditions(failed_cracs=frozenset({"crac-1", "crac-2"}))
    room.advance(10 * 60.0)
    assert max(room.cold.values()) > 32.0
    room.conditions = Conditions(failed_cracs=frozenset(CRACS))
    room.advance(24 * HOUR)
    assert max(room.cold.values()) < 60.0  # servers throttle and walls leak: hot, but no runaway


def test_mains_failure_drains_the_battery_and_mains_recharges_it() -> None:
    room = Room()
    ups = room.upses["ups-1"]
    before = ups.runtime_minutes
    assert 15.0 < before < 20.0
    room.conditions = Conditions(mains=False)
    room.advance(60.0)
    assert ups.seconds_on_battery == pytest.approx(60.0)
    assert ups.runtime_minutes == pytest.approx(before - 1.0, abs=0.2)
    room.advance(HOUR)
    assert ups.charge == 0.0
    assert ups.load_kw == 0.0
    room.conditions = Conditions()
    room.advance(3 * HOUR)
    assert ups.seconds_on_battery == 0.0
    assert ups.charge == 1.0
    assert ups.load_kw > 15.0


@pytest.mark.parametrize(
    ("conditions", "seconds", "seen"),
    [
        (Conditions(hot_aisle=True), 3.0, lambda room: room.zone_temperature("hot") > 38.0),
        (Conditions(humidifier_stuck=True), 5.0, lambda room: room.zone_humidity("cold-a") > 60.0),
        (Conditions(pressure_lost=True), 3.0, lambda room: room.over_pressure < 5.0),
        (Conditions(door_open=True), 5.0, lambda room: room.over_pressure < 8.0),
    ],
    ids=["hot-aisle", "humidity-high", "pressure-loss", "door-open"],
)
def test_a_fault_is_seen_within_seconds_and_goes_with_its_repair(
    conditions: Conditions, seconds: float, seen: object
) -> None:
    assert callable(seen)
    room = Room()
    assert not seen(room)
    room.conditions = conditions
    room.advance(seconds)
    assert seen(room)
    room.conditions = Conditions()
    room.advance(2 * HOUR)
    assert not seen(room)


def test_a_stuck_humidifier_reaches_the_whole_room() -> None:
    room = Room()
    room.conditions = Conditions(humidifier_stuck=True)
    room.advance(600.0)
    assert room.zone_humidity("cold-b") > 60.0
    room.advance(6 * HOUR)
    assert room.zone_humidity("cold-b") <= 100.0


def test_moist_air_formulas_agree_with_the_steam_tables_and_each_other() -> None:
    assert saturation_hpa(25.0) == pytest.approx(31.69, abs=0.1)  # IAPWS: 31.70 hPa
    assert dew_point(22.0, 50.0) == pytest.approx(11.1, abs=0.1)
    assert relative_humidity(24.0, humidity_ratio(24.0, 47.0, 1013.0), 1013.0) == pytest.approx(47.0)


def test_a_room_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        Room().advance(-1.0)

"""The catalogue of faults and what they break."""

import pytest

from simulator.faults import (
    CATALOGUE,
    Active,
    FaultName,
    UnknownFault,
    WrongDevice,
    choose_device,
    effects,
    find,
)
from simulator.inventory import inventory

# The contract with scripts: these names, no others.
NAMES = {
    *("mains-failure", "crac-failure", "both-cracs", "hot-aisle", "humidity-high", "pressure-loss", "water-leak"),
    *("door-open", "sensor-lost", "device-dead", "link-cut", "site-dark", "clear"),
}
SINCE = "2026-11-23T09:00:00.000Z"


def test_the_names_are_the_contract_and_each_has_words_in_both_languages() -> None:
    assert {fault.name.value for fault in CATALOGUE} == NAMES
    for fault in CATALOGUE:
        assert fault.title_en.isascii()
        assert fault.expect_en.isascii()
        assert not fault.title_zh.isascii()
        assert not fault.expect_zh.isascii()


def test_struck_devices_exist() -> None:
    known = {device.id for device in inventory()}
    for fault in CATALOGUE:
        assert {name for name in (fault.device, *(fault.devices or ())) if name} <= known


@pytest.mark.parametrize(("typed", "meant"), [("crac-failur", "crac-failure"), ("mains", "mains-failure")])
def test_an_unknown_name_is_answered_with_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(UnknownFault, match=f"Did you mean '{meant}'"):
        find(typed)


def test_a_wrong_device_is_refused_with_the_choice() -> None:
    with pytest.raises(WrongDevice, match="It may strike: crac-1, crac-2, crac-3"):
        choose_device(find("crac-failure"), "ups-1", ["ups-1"])
    with pytest.raises(WrongDevice, match="takes no device"):
        choose_device(find("water-leak"), "leak-1", ["leak-1"])
    assert choose_device(find("device-dead"), "baro-1", ["baro-1"]) == "baro-1"
    assert choose_device(find("sensor-lost"), None, []) == "th-03"


def test_faults_add_up() -> None:
    broken = effects(
        [
            Active(FaultName.BOTH_CRACS, None, SINCE),
            Active(FaultName.CRAC_FAILURE, "crac-3", SINCE),
            Active(FaultName.SENSOR_LOST, "th-05", SINCE),
            Active(FaultName.DEVICE_DEAD, "ups-1", SINCE),
            Active(FaultName.LINK_CUT, None, SINCE),
        ]
    )
    assert broken.conditions.failed_cracs == {"crac-1", "crac-2", "crac-3"}
    assert broken.conditions.mains
    assert broken.silent == {"th-05", "ups-1"}
    assert broken.link_cut
    assert not broken.site_dark
    assert not effects([Active(FaultName.SITE_DARK, None, SINCE)]).conditions.mains

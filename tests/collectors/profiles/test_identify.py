"""Recognising devices: the most specific family wins, a generic standard is only a fall-back."""

from collectors.exchange import SnmpAnswer, SnmpValue
from collectors.identify import SYS_DESCR, SYS_NAME, SYS_OBJECT_ID, fact_needs, identify, identity_needs
from collectors.library import Library
from collectors.walk import answer_from

LIBRARY = Library.load()
UPS = "1.3.6.1.2.1.33.1."


def _identify(values: dict[str, SnmpValue]) -> tuple[str | None, tuple[str, ...]]:
    found = identify(LIBRARY, SnmpAnswer(values=values))
    return found.profile.id if found.profile else None, found.candidates


def test_a_longer_prefix_beats_a_shorter_one_and_a_prefix_ends_at_a_dot() -> None:
    assert _identify({SYS_OBJECT_ID: "1.3.6.1.4.1.318.1.3.14.5"})[0] == "apc/inrow-rc"
    assert _identify({SYS_OBJECT_ID: "1.3.6.1.4.1.318.1.3.27"})[0] == "apc/ups-powernet"
    assert _identify({SYS_OBJECT_ID: "1.3.6.1.4.1.318.1.3.270"})[0] is None


def test_what_a_device_holds_beats_what_it_calls_itself() -> None:
    sister: dict[str, SnmpValue] = {SYS_OBJECT_ID: "1.3.6.1.4.1.21796.4.1", SYS_DESCR: b"HWg-WLD"}
    assert _identify(sister)[0] == "hwg/ste"
    profile, candidates = _identify(sister | {"1.3.6.1.4.1.21796.4.5.4.1.6.1": 0})
    assert profile == "hwg/wld"
    assert candidates == ("hwg/wld", "hwg/ste")


def test_a_card_with_its_operating_systems_name_is_told_by_its_objects() -> None:
    card: dict[str, SnmpValue] = {SYS_OBJECT_ID: "1.3.6.1.4.1.8072.3.2.10", UPS + "2.1.0": 2}
    found = identify(LIBRARY, SnmpAnswer(values=card))
    assert (found.profile, found.fallback) == (None, True)
    assert found.best is not None
    assert found.best.id == "ietf/ups-mib"
    assert _identify(card | {UPS + "1.4.0": b"Net Vision 7 v7.20"})[0] == "socomec/net-vision"


def test_an_unknown_device_has_no_profile_but_still_a_name() -> None:
    found = identify(LIBRARY, SnmpAnswer(values={SYS_DESCR: b"Some switch", SYS_NAME: b"sw-1"}))
    assert (found.profile, found.best, found.fallback, found.candidates) == (None, None, False, ())
    assert found.device == {"model": "Some switch", "name": "sw-1"}


def test_the_name_plate_is_the_devices_own() -> None:
    found = identify(
        LIBRARY,
        SnmpAnswer(
            values={
                SYS_OBJECT_ID: "1.3.6.1.4.1.476.1.42",
                "1.3.6.1.4.1.476.1.42.3.4.3.1.0": 1,
                "1.3.6.1.4.1.476.1.42.2.4.2.1.4.1": b"Liebert PEX\0",
                "1.3.6.1.4.1.476.1.42.2.1.4.0": b"EX1",
            }
        ),
    )
    assert found.device == {"vendor": "Liebert", "model": "Liebert PEX", "serial": "EX1"}


def test_asking_for_the_needs_is_enough_to_identify() -> None:
    device: dict[str, SnmpValue] = {
        SYS_DESCR: b"HWg-WLD",
        SYS_OBJECT_ID: "1.3.6.1.4.1.21796.4.1",
        "1.3.6.1.4.1.21796.4.5.4.1.4.1": b"27C0",
        "1.3.6.1.4.1.21796.4.5.4.1.6.1": 0,
    }
    found = identify(LIBRARY, answer_from(device, identity_needs(LIBRARY)))
    assert found.profile is not None
    assert found.profile.id == "hwg/wld"
    assert fact_needs(found.profile).walks == ("1.3.6.1.4.1.21796.4.5.4.1.4",)


def test_what_a_device_says_of_itself_leaves_most_questions_unasked() -> None:
    said = SnmpAnswer(values={SYS_OBJECT_ID: "1.3.6.1.4.1.21796.4.1", SYS_DESCR: b"HWg-WLD"})
    asked, all_of_it = identity_needs(LIBRARY, said), identity_needs(LIBRARY)
    assert set(asked.gets) < set(all_of_it.gets)
    assert set(asked.walks) < set(all_of_it.walks)
    values: dict[str, SnmpValue] = {**said.values, "1.3.6.1.4.1.21796.4.5.4.1.6.1": 0}
    # Nothing that would decide is left out: the answer to fewer questions is the same.
    assert identify(LIBRARY, answer_from(values, asked)) == identify(LIBRARY, answer_from(values, all_of_it))

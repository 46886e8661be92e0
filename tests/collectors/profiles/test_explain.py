"""`coldaisle profile replay` for people: by which rule, what not, and why."""

from rich.console import Console

from collectors.exchange import SnmpValue
from collectors.explain import Skipped, silent_points, unread, why_recognised
from collectors.identify import SYS_DESCR, SYS_OBJECT_ID
from collectors.library import Library
from collectors.replay import replayed
from collectors.replay_print import print_replay
from facility.profile import Profile
from tests.collectors.speaking.profiles import profile

BASE = "1.3.6.1.4.1.99999"
FAMILY = profile(
    "snmp",
    [
        {"metric": "ups.battery.charge", "from": {"oid": f"{BASE}.1.0", "unit": "%"}},
        {"metric": "ups.battery.runtime", "from": {"oid": f"{BASE}.2.0", "unit": "min"}},
        {"metric": "ups.battery.temperature", "from": {"oid": f"{BASE}.3.0", "unit": "Cel", "absent": [-1]}},
        {
            "metric": "ups.ambient.temperature",
            "from": {"oid": f"{BASE}.4.0", "unit": "Cel"},
            "when": {"oid": f"{BASE}.5.0", "in": [1, 2]},
        },
        {"metric": "ups.output.load", "subject": "phase/L{index}", "from": {"column": f"{BASE}.6.1", "unit": "%"}},
        {"metric": "ups.output.load", "from": {"oid": f"{BASE}.7.0", "unit": "%"}},
        {"metric": "ups.output.load", "from": {"oid": f"{BASE}.8.0", "unit": "%"}},
        {
            "metric": "ups.output.voltage",
            "subject": "phase/L{index}",
            "from": {"column": f"{BASE}.9.1", "unit": "V"},
            "when": {"column": f"{BASE}.9.2", "in": [1]},
        },
    ],
    identify={
        "any": [
            {"sys_object_id": f"{BASE}.77"},
            {"sys_descr": "^Acme", "probes": {"oid": f"{BASE}.5.0", "present": True}},
        ]
    },
)
WALK: dict[str, SnmpValue] = {
    SYS_DESCR: b"Acme UPS",
    SYS_OBJECT_ID: "1.3.6.1.4.1.8072.3.2.10",
    f"{BASE}.1.0": 88,
    f"{BASE}.3.0": -1,
    f"{BASE}.4.0": 21,
    f"{BASE}.5.0": 3,
    f"{BASE}.7.0": 40,
    f"{BASE}.8.0": 41,
    f"{BASE}.9.1.1": 230,
    f"{BASE}.9.2.1": 2,
    f"{BASE}.50.1": 5,
    f"{BASE}.50.2": 5,
}


def printed(walk: dict[str, SnmpValue], library: Library, profile_id: str | None = None) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        print_replay(console, replayed(walk, library, profile_id=profile_id))
    return capture.get()


def test_each_point_without_a_reading_says_why() -> None:
    result = replayed(WALK, Library([FAMILY]))
    silent = {f"{each.metric} {each.subject}".strip(): each for each in silent_points(FAMILY, WALK, result.readings)}
    assert {name: each.why for name, each in silent.items()} == {
        "ups.battery.runtime": Skipped.NOT_THERE,
        "ups.battery.temperature": Skipped.NO_SENSOR,
        "ups.ambient.temperature": Skipped.CONDITION,
        "ups.output.load phase/L{index}": Skipped.NO_ROWS,
        "ups.output.load": Skipped.REPLACED,
        "ups.output.voltage phase/L{index}": Skipped.CONDITION,
    }
    assert silent["ups.ambient.temperature"].detail == f"{BASE}.5.0 is 1 or 2; there: '3'"
    assert silent["ups.output.voltage phase/L{index}"].detail == f"{BASE}.9.2.* is 1; there: '2'"
    assert silent["ups.battery.temperature"].detail == f"{BASE}.3.0 is '-1'"
    assert unread(FAMILY, WALK) == 4  # the system group and an unknown table of two


def test_the_rule_that_holds_is_shown_with_what_stood_there() -> None:
    assert why_recognised(FAMILY, WALK) == [
        "sysDescr 'Acme UPS' matches ^Acme",
        f"{BASE}.5.0 is there; there: '3'",
    ]


def test_the_nearest_rule_that_does_not_hold_says_which_test_failed() -> None:
    other: dict[str, SnmpValue] = {**WALK, SYS_DESCR: b"Other"}
    assert why_recognised(FAMILY, other) == [
        "not: sysDescr 'Other' matches ^Acme",
        f"{BASE}.5.0 is there; there: '3'",
    ]
    nobody = FAMILY.model_copy(update={"identify": type(FAMILY.identify)()})
    assert why_recognised(nobody, WALK) == ["not: the profile says no way to recognise it"]


def test_people_see_the_rule_and_the_reasons() -> None:
    text = printed(WALK, Library([FAMILY]))
    assert "recognised by bench/device:" in text
    assert "2 readings; 6 of 8 points made none; 4 of 12 objects of the walk are looked at by no point" in text
    assert f"not read, its condition is not met:\n  ups.ambient.temperature: {BASE}.5.0 is 1 or 2; there: '3'" in text
    other: dict[str, SnmpValue] = {**WALK, SYS_DESCR: b"Other"}
    assert "no profile recognises it" in printed(other, Library([FAMILY]))
    named = printed(other, Library([FAMILY]), "bench/device")
    assert "bench/device would not recognise it; nearest rule:\n  not: sysDescr 'Other' matches ^Acme" in named


def test_a_generic_profile_is_said_to_be_one() -> None:
    shape = FAMILY.model_dump(by_alias=True, exclude_unset=True)
    shape["identify"] = {**shape["identify"], "generic": True}
    text = printed(WALK, Library([Profile.model_validate(shape)]))
    assert "recognised by bench/device, a generic profile, because no other does:" in text
    assert text.startswith("profile none;")

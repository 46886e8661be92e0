"""What traps mean and whose they are, decided without a network."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from collectors.library import Library
from collectors.traps.events import MAX_VALUES_TEXT, trap_detail
from collectors.traps.notification import Notification, SnmpWord, TrapResult, VarBind
from collectors.traps.peek import NotSnmp, peek
from collectors.traps.senders import Sender, Senders
from collectors.traps.table import TrapPhase, TrapTable
from facility.profile import Profile
from facility.severity import Severity
from facility.traps import Trap, merged_traps, same_trap

RFC1628 = "1.3.6.1.2.1.33"
LIBRARY = Library.load()


def heard(oid: str, *varbinds: VarBind, source: str = "10.0.0.1", agent: str = "", port: int = 50000) -> Notification:
    return Notification(source, port, SnmpWord.V2C, False, oid, 1, 100, "", agent, varbinds)


def table(profile: str) -> TrapTable:
    return TrapTable(LIBRARY.get(profile).traps)


@pytest.mark.parametrize("oid", [f"{RFC1628}.2.1", f"{RFC1628}.2.0.1"])
def test_both_spellings_of_a_trap_are_one(oid: str) -> None:
    found = table("ietf/ups-mib").find(heard(oid))
    assert found is not None
    assert (found.trap.name, found.phase) == ("upsTrapOnBattery", TrapPhase.HAPPENED)


def test_an_alarm_entry_is_named_by_its_object_and_ended_by_its_twin() -> None:
    descr = VarBind(f"{RFC1628}.1.6.2.1.2.7", f"{RFC1628}.1.6.3.3")
    ups = table("ietf/ups-mib")
    added, removed = ups.find(heard(f"{RFC1628}.2.3", descr)), ups.find(heard(f"{RFC1628}.2.0.4", descr))
    assert added is not None
    assert removed is not None
    assert (added.told.meaning, added.severity, added.phase) == ("battery_low", Severity.CRITICAL, TrapPhase.BEGAN)
    assert (removed.told.meaning, removed.severity, removed.phase) == ("battery_low", Severity.INFO, TrapPhase.ENDED)
    assert (removed.title_en, removed.title_zh) == ("Battery low: over", "电池电量低：已恢复")
    other = ups.find(heard(f"{RFC1628}.2.3", VarBind(f"{RFC1628}.1.6.2.1.2.7", "1.3.6.1.4.1.5.5")))
    assert other is not None
    assert (other.told.meaning, other.condition) == ("condition", "1.3.6.1.4.1.5.5"), (
        "a maker's own alarm is kept as it is"
    )


def test_every_profile_that_extends_another_understands_its_traps() -> None:
    for profile in LIBRARY.all():
        if profile.extends == "ietf/ups-mib":
            assert TrapTable(profile.traps).find(heard(f"{RFC1628}.2.1")) is not None, profile.id
        assert TrapTable(profile.traps).knows("1.3.6.1.6.3.1.1.5.1")


@pytest.mark.parametrize("profile", [each for each in LIBRARY.all() if each.traps], ids=lambda profile: profile.id)
def test_a_trap_is_about_a_point_that_its_profile_reads(profile: Profile) -> None:
    read = {point.metric for point in profile.points}
    about = {told.metric for trap in profile.traps for told in (trap, *trap.conditions.values()) if told.metric}
    assert about <= read, "the poll that decides would not ask for it"


def test_a_childs_own_trap_wins() -> None:
    parent = LIBRARY.get("ietf/ups-mib").traps
    own = parent[0].model_copy(update={"oid": f"{RFC1628}.2.0.1", "severity": Severity.CRITICAL})
    merged = merged_traps((own,), parent)
    assert len(merged) == len(parent)
    found = TrapTable(merged).find(heard(f"{RFC1628}.2.1"))
    assert found is not None
    assert found.severity is Severity.CRITICAL


@pytest.mark.parametrize(
    "wrong",
    [
        {"cleared_by": "1.3.6.1.0.5"},
        {"told_by": "1.3.6.1.4"},
        {"metric": "ups.no_such_thing"},
        {"subject": "ups"},
        {"meaning": "odd"},
        {"oid": "enterprises.318"},
    ],
)
def test_a_wrong_trap_is_refused(wrong: dict[str, object]) -> None:
    good = {"oid": "1.3.6.1.5", "name": "x", "meaning": "fault", "title": {"en": "x", "zh": "某"}, "severity": "major"}
    Trap.model_validate(good)
    with pytest.raises(ValidationError):
        Trap.model_validate({**good, **wrong})


def test_the_same_trap_twice_in_a_profile_is_refused() -> None:
    profile = LIBRARY.get("ietf/ups-mib")
    raw = profile.model_dump(by_alias=True)
    raw["traps"] = [*raw["traps"], {**raw["traps"][0], "oid": f"{RFC1628}.2.0.1"}]
    with pytest.raises(ValidationError, match="stands here twice"):
        type(profile).model_validate(raw)
    assert same_trap("1.3.6.1.4.1.318.0.5") == "1.3.6.1.4.1.318.5"


def test_whose_a_trap_is() -> None:
    ups, apc = table("ietf/ups-mib"), table("apc/ups-powernet")
    senders = Senders(
        [
            Sender("a", ("10.0.0.1",), 161, ups),
            Sender("b", ("10.0.0.2",), 161, apc),
            Sender("c", ("10.0.0.2",), 1161, ups),
            Sender("d", ("10.0.0.3", "fe80::1"), 161, ups),
            Sender("e", ("10.0.0.3",), 1161, ups),
        ]
    )

    def of(oid: str, **how: object) -> list[str]:
        return [each.device for each in senders.match(heard(oid, **how))]  # type: ignore[arg-type]

    on_battery = f"{RFC1628}.2.1"
    assert of(on_battery) == ["a"]
    assert of(on_battery, source="10.0.0.9") == []
    assert of(on_battery, source="10.0.0.9", agent="10.0.0.1") == ["a"], "a forwarder names the origin"
    assert of(on_battery, agent="192.168.1.1") == ["a"], "an inner address behind translation is no device of ours"
    assert of(on_battery, source="10.0.0.2") == ["c"], "told apart by what they would say"
    assert of(on_battery, source="10.0.0.3") == ["d", "e"]
    assert of(on_battery, source="10.0.0.3", port=1161) == ["e"], "told apart by the port it came from"
    assert of(on_battery, source="fe80::1") == ["d"]


def test_the_words_of_an_event_are_bounded() -> None:
    many = tuple(VarBind(f"1.3.6.1.4.1.1.{n}", "x" * 150) for n in range(30))
    detail = trap_detail(heard("1.3.6.1.4.1.1.0.1", *many), TrapResult.UNKNOWN_TRAP, None, ["a"])
    assert len(detail["values"]) == MAX_VALUES_TEXT
    assert detail["values"].endswith("…")
    assert "severity" not in detail


@given(st.binary(max_size=120))
def test_whatever_comes_is_peeked_at_without_a_crash(data: bytes) -> None:
    for message in (data, b"\x30" + bytes([len(data)]) + data, b"\x30\x82\x00\x7f\x02\x01\x03" + data):
        try:
            peek(message)
        except NotSnmp:
            continue

"""One alarm at a time on the healthy walk: exactly what was worked by hand changes, and a shipped rule raises it.

No recording was made while these things were wrong, so each case is derived by hand from the maker's enumeration.
"""

import json
import re
from typing import Any

import pytest

from collectors.exchange import SnmpValue
from collectors.library import Library
from collectors.replay import replay_values
from collectors.walk import read_walk
from facility.alarms import AlarmEventKind
from facility.metrics import metric
from facility.reading import PointKey, Reading
from facility.states import Tone
from rules.engine import DeviceFacts, Engine
from rules.files import library
from tests.collectors.profiles.examples import DATA
from tests.collectors.profiles.test_alarm_states import TOLD_BY

LIBRARY = Library.load()
RULES = library()
# Each file: {"profiles", "derived": from what, "under": prefix of the objects, "base": objects the healthy walk gets
# first, "cases": [[what is wrong, objects that differ, readings that then differ as METRIC or METRIC#SUBJECT; null: it
# is gone], ...]}.
FILES = sorted((DATA / "walks" / "events").glob("*.json"))
# Longer than any shipped rule waits for a state, in the steps of a poll.
MINUTES, STEP_S = 20, 30
_OID = re.compile(r"1(\.\d+)+")


def _value(told: int | str) -> SnmpValue:
    """What stands in the walk: a number, an object identifier or a text."""
    return told if isinstance(told, int) or _OID.fullmatch(told) else told.encode()


def _objects(under: str, told: dict[str, int | str]) -> dict[str, SnmpValue]:
    return {f"{under}.{oid}": _value(raw) for oid, raw in told.items()}


def _read(profile: str, values: dict[str, SnmpValue]) -> dict[str, Any]:
    in_order = dict(sorted(values.items(), key=lambda item: [int(part) for part in item[0].split(".")]))
    rows = replay_values(in_order, LIBRARY, profile_id=profile)["readings"]
    return {
        f"{row['metric']}#{row['subject']}".rstrip("#"): row["value"] if row["quality"] == "good" else row["reason"]
        for row in rows
    }


def _raised(kind: str, before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """The metrics of which shipped rules raise an alarm when the device goes from one to the other and stays there."""
    points = [PointKey("d", *name.partition("#")[::2]) for name in after]
    device = DeviceFacts(id="d", kind=kind, points=tuple(points))
    engine = Engine(RULES, [device], origin="agent", new_id=lambda at_ms: str(at_ms), started_ms=0)
    raised = set()
    for at in range(0, MINUTES * 60, STEP_S):
        now = before if at == 0 else after
        readings = [Reading("d", *name.partition("#")[::2], value, at * 1000 + 1) for name, value in now.items()]
        events = engine.samples(readings) + engine.advance(at * 1000 + 2)
        raised |= {event.rule for event in events if at and event.kind is AlarmEventKind.RAISED}
    return {rule.metric for rule in RULES if rule.id in raised}


TOLD = [json.loads(path.read_text("utf-8")) for path in FILES]
CASES = [
    pytest.param(profile, told, case, id=f"{profile}-{number}-{case[0].replace(' ', '-')}")
    for told in TOLD
    for profile in told["profiles"]
    for number, case in enumerate(told["cases"], 1)
]


@pytest.mark.parametrize(("profile", "told", "case"), CASES)
def test_what_is_wrong_is_read_and_raised_and_nothing_else(
    profile: str, told: dict[str, Any], case: tuple[str, dict[str, int | str], dict[str, Any]]
) -> None:
    wrong, changed, expected = case
    calm = read_walk(DATA / "walks" / f"{profile.replace('/', '-')}.healthy.snmprec")
    calm |= _objects(told["under"], told.get("base", {}))
    before, after = _read(profile, calm), _read(profile, calm | _objects(told["under"], changed))
    names = before.keys() | after.keys()
    assert {name: after.get(name) for name in names if before.get(name) != after.get(name)} == expected
    bad = set()
    for name, value in expected.items():
        states = metric(name.partition("#")[0]).states
        if value is not None and states is not None and states.by_word(value).tone is Tone.BAD:
            bad.add(TOLD_BY.get((name.partition("#")[0], value), (name.partition("#")[0], value))[0])
    assert bad <= _raised(LIBRARY.get(profile).kind, before, after), f"{wrong}: no shipped rule says so"


def test_the_alarms_of_the_families_met_most_are_all_there() -> None:
    assert all(told["derived"].startswith("by hand from ") for told in TOLD)
    proved = {(profile, case[0]) for told in TOLD for profile in told["profiles"] for case in told["cases"]}
    ups = ("ietf/ups-mib", "apc/ups-powernet", "liebert/gp-ups", "eaton/xups", "eaton/mge-ups", "delta/ups",
           "huawei/ups2000", "socomec/net-vision", "riello/netman")  # fmt: skip
    crac = ("liebert/gp-crac", "apc/inroom", "stulz/wib8000", "carel/ug40")
    assert proved >= {(profile, wrong) for profile in ups for wrong in ("battery", "bypass", "overload")}
    assert proved >= {(profile, wrong) for profile in crac for wrong in ("compressor", "filter", "humidifier", "leak")}
    assert proved >= {
        (profile, "sensor fault") for profile in ("apc/inroom", "stulz/wib8000", "carel/ug40", "rittal/cmc3")
    }
    assert proved >= {
        (profile, wrong) for profile in ("hwg/wld", "akcp/sensorprobe-plus") for wrong in ("leak", "cut cable")
    }

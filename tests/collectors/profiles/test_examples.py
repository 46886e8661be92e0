"""Every shipped profile reads its worked examples, healthy and in alarm, exactly and completely."""

from typing import Any

import pytest

from collectors.convert import Converter
from collectors.library import Library
from collectors.replay import replay, row
from facility.metrics import metric
from tests.collectors.profiles.examples import Example, modbus_answer, register_examples, walk_examples

LIBRARY = Library.load()
Key = tuple[str, str]


def _compare(example: Example, rows: list[dict[str, Any]]) -> None:
    good = {(r["metric"], r["subject"]): r["value"] for r in rows if r["quality"] == "good"}
    bad = {(r["metric"], r["subject"]): r["reason"] for r in rows if r["quality"] != "good"}
    wanted: dict[Key, Any] = {(name, subject): value for name, subject, value in example.expected["readings"]}
    refused: dict[Key, str] = {(name, subject): reason for name, subject, reason in example.expected["bad"]}
    assert good.keys() == wanted.keys()
    for key, value in wanted.items():
        # Nothing but the last rounding may differ from the figure worked by hand.
        assert good[key] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-12)), key
    assert bad == refused
    assert len(rows) == len(good) + len(bad), "a point was read twice"
    for reading in rows:
        assert reading["unit"] == metric(reading["metric"]).unit.value


@pytest.mark.parametrize("example", walk_examples(), ids=lambda example: example.name)
def test_a_walk_reads_as_worked_by_hand(example: Example) -> None:
    assert example.walk is not None
    result = replay(example.walk, LIBRARY)
    assert result["profile"] == example.expected["profile"]
    assert result["candidates"] == example.expected["candidates"]
    assert result["device"] == example.expected["device"]
    _compare(example, result["readings"])


@pytest.mark.parametrize("example", register_examples(), ids=lambda example: example.name)
def test_registers_read_as_worked_by_hand(example: Example) -> None:
    converter = Converter(LIBRARY.get(example.profile or ""), device="bench")
    _compare(example, [row(sourced) for sourced in converter.convert_sourced(modbus_answer(example), taken_at=1)])


@pytest.mark.parametrize("profile", LIBRARY.all(), ids=lambda profile: profile.id)
def test_every_profile_has_a_healthy_and_an_alarm_example(profile: Any) -> None:
    mine = [example for example in walk_examples() + register_examples() if example.profile == profile.id]
    assert any(example.healthy for example in mine)
    assert any(not example.healthy for example in mine)


def test_a_point_that_is_read_says_where_and_what_stood_there() -> None:
    example = next(e for e in walk_examples() if e.name == "ietf-ups-mib.healthy")
    assert example.walk is not None
    rows = replay(example.walk, LIBRARY)["readings"]
    voltage = next(r for r in rows if r["metric"] == "ups.battery.voltage")
    assert voltage == {
        "metric": "ups.battery.voltage",
        "subject": "",
        "value": 271.3,
        "raw": "2713",
        "unit": "V",
        "quality": "good",
        "source": "1.3.6.1.2.1.33.1.2.5.0",
    }

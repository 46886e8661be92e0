"""Curves: holes stay holes, thresholds and alarms are in them, units are those people read."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from facility.reading import Quality
from server.history.schemas import RawOut, StepOut
from server.kit.principal import Role
from server.web.charts import Columns, begin, hold_s, level_lines, raw_columns, step_columns
from tests.server.web.conftest import SignInAs
from tests.server.web.seed import Seeded

T0 = datetime(2026, 3, 10, tzinfo=UTC)


def raw(seconds: float, value: float | str | None, quality: Quality = Quality.GOOD) -> RawOut:
    return RawOut(taken_at=T0 + timedelta(seconds=seconds), value=value, quality=quality)


def test_a_silence_longer_than_the_hold_is_a_hole() -> None:
    columns = raw_columns("room.temperature", [raw(0, 20.0), raw(10, 21.0), raw(100, 22.0)], hold=30)
    assert columns.v == [20.0, 21.0, None, 22.0]
    assert columns.t == [T0.timestamp() + s for s in (0, 10, 40, 100)]


def test_a_value_that_is_not_good_is_a_hole() -> None:
    rows = [raw(0, 20.0), raw(10, 99.0, Quality.BAD), raw(20, None, Quality.STALE), raw(30, 21.0)]
    assert raw_columns("room.temperature", rows, hold=30).v == [20.0, None, None, 21.0]


def test_values_are_drawn_in_the_unit_people_read() -> None:
    assert raw_columns("air.pressure.barometric", [raw(0, 101325.0)], hold=30).v == [1013.25]
    lines = level_lines("air.pressure.barometric", [{"side": "low", "severity": "minor", "limit": 95000.0}])
    assert lines == [{"value": 950.0, "side": "low", "severity": "minor"}]


def test_a_state_is_drawn_by_its_code_and_an_unknown_word_is_a_hole() -> None:
    assert raw_columns("leak.state", [raw(0, "dry"), raw(1, "leak"), raw(2, "soaked")], hold=30).v == [1.0, 2.0, None]


def test_a_step_that_is_left_out_is_a_hole() -> None:
    def step(minutes: int, avg: float) -> StepOut:
        return StepOut(at=T0 + timedelta(minutes=minutes), min=avg - 1, avg=avg, max=avg + 1, n=5, last=avg)

    columns = step_columns("room.temperature", [step(0, 20.0), step(5, 21.0), step(20, 22.0)], step_s=300)
    assert columns.v == [20.0, 21.0, None, 22.0]
    assert columns.low == [19.0, 20.0, None, 21.0]
    assert columns.high == [21.0, 22.0, None, 23.0]


def test_of_two_levels_with_one_limit_the_worse_is_drawn_and_states_are_not() -> None:
    levels: list[dict[str, Any]] = [
        {"side": "high", "severity": "minor", "limit": 27},
        {"side": "high", "severity": "critical", "limit": 27},
        {"side": "state", "severity": "critical", "limit": "leak"},
        {"side": "absent", "severity": "minor", "limit": None},
    ]
    assert level_lines("room.temperature", levels) == [{"value": 27.0, "side": "high", "severity": "critical"}]


@pytest.mark.parametrize(("interval", "heartbeat", "hold"), [(10, None, 30), (10, 600, 900), (0, None, 180)])
def test_how_long_a_value_stands(interval: float, heartbeat: float | None, hold: float) -> None:
    assert hold_s(interval, heartbeat) == hold


def test_the_axis_begins_with_the_device_and_never_hides_a_silence() -> None:
    young = Columns(t=[3000.0, 3300.0])
    assert begin(0.0, 3600.0, known_since=3000.0, columns=young) == 3000.0 - 30.0
    assert begin(0.0, 3600.0, known_since=-9.0, columns=young) == 0.0
    assert begin(0.0, 3600.0, known_since=3590.0, columns=Columns(t=[3595.0])) == pytest.approx(3299.5)
    assert begin(0.0, 3600.0, known_since=3590.0, columns=Columns()) == 0.0


async def test_the_curve_of_an_alarm_begins_half_an_hour_before_it(seeded: Seeded, signed_in: SignInAs) -> None:
    client = await signed_in(Role.CUSTOMER, customers=[seeded.site.customer_id])
    data = (await client.get(f"/web/alarms/{seeded.hot}/series")).json()
    raised = data["marks"][0]["from"]
    assert data["from"] == raised - 1800
    assert data["t"][0] < raised < data["t"][-1]
    assert [level["value"] for level in data["levels"]] == [18.0, 27.0, 30.0]
    assert data["unit"] == "℃"
    assert data["zone"] == "Asia/Shanghai"
    assert data["marks"][0]["severity"] == "major"
    before = [v for t, v in zip(data["t"], data["v"], strict=True) if t < raised - 120]
    assert max(before) < 27.5 < data["v"][-1]


async def test_the_curve_of_a_day_has_the_hole_of_the_outage(seeded: Seeded, signed_in: SignInAs) -> None:
    client = await signed_in(Role.NOC, language="zh_CN")
    data = (await client.get(f"/web/points/{seeded.point('th-01').id}/series?span=24h")).json()
    assert None in data["v"]
    assert data["label"] == "温度"
    assert len(data["t"]) == len(data["v"])
    state = (await client.get(f"/web/points/{seeded.point('leak-1', 'leak.state').id}/series?span=1h")).json()
    assert state["states"]["1"] == "无漏水"
    assert set(state["v"]) == {1.0}
    month = (await client.get(f"/web/points/{seeded.point('th-01').id}/series?span=30d")).json()
    assert month["low"]
    assert (await client.get(f"/web/points/{seeded.point('th-01').id}/series?span=9y")).status_code == 422


async def test_a_curve_asks_for_a_session(seeded: Seeded, anonymous: object) -> None:
    path = f"/web/points/{seeded.point('th-01').id}/series"
    assert (await anonymous.get(path)).status_code == 401  # type: ignore[attr-defined]

"""Time to a limit, and hours."""

from datetime import datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from facility.config import read_yaml
from rules.forecast import HORIZON_S, seconds_left
from rules.parts import Hours
from rules.window import MAX_SAMPLES, Window
from tests.rules.support import high, rule, story

HEATING = {"limit": 32, "direction": "rise", "within": "10m", "window": "4m", "severity": "major"}


def test_a_line_through_samples_and_the_time_it_leaves() -> None:
    window = Window(60_000)
    window.extend([(0, 20.0), (10_000, 21.0), (20_000, 22.0)])
    assert window.slope() == pytest.approx(0.1)
    assert seconds_left(22.0, 0.1, limit=32.0, sign=1) == pytest.approx(100)
    assert seconds_left(22.0, -0.1, limit=12.0, sign=-1) == pytest.approx(100)
    assert seconds_left(22.0, -0.1, limit=32.0, sign=1) == HORIZON_S
    assert seconds_left(33.0, 0.0, limit=32.0, sign=1) == 0
    lone = Window(60_000)
    lone.add(5, 1.0)
    assert lone.slope() == 0


def test_a_window_forgets_what_is_too_old_and_thins_what_comes_too_often() -> None:
    window = Window(64_000)
    for at in range(0, 200_000, 100):
        window.add(at, float(at))
    assert len(window.times) <= MAX_SAMPLES + 1
    assert window.times[0] >= 199_900 - 64_000
    assert [value == at for at, value in window.rows()].count(False) == 0


def test_a_room_that_heats_up_is_told_before_it_is_hot() -> None:
    # 0.5 degrees a minute from 22: 32 is 20 minutes away, in sight of 10 minutes from 27 on.
    events = story(rule(forecast=HEATING), "22x16 22..32x41 32x10 24x40", step="30s")
    assert [event.split(" ", 1)[1] for event in events] == [
        "raised forecast major forecast", "ended forecast major recovered",
    ]  # fmt: skip
    at = events[0].split()[0]
    assert at.startswith(("16m", "17m", "18m")), at


def test_noise_and_a_start_are_no_trend() -> None:
    assert story(rule(forecast=HEATING), "22 22.4 22 22.5 22.1 22.4 " * 20, step="30s") == []
    assert story(rule(forecast=HEATING), "24 30", step="30s") == []


def test_hours_keep_a_rule_from_raising_but_not_what_stands_from_ending() -> None:
    night = {"from": "18:00", "until": "08:00", "zone": "UTC"}
    # Time begins at midnight: hours are open until 8:00.
    series = "22x46 28x2 28x4 22x4 28x40 22x4"
    events = story(high(flap="off", hours=night, gap="1h"), series, step="10m")
    assert events == [
        "7h40m raised hi minor limit_exceeded",
        "8h40m ended hi minor recovered",
    ]


@pytest.mark.parametrize(
    ("at", "is_open"),
    [("2026-11-20T23:30:00", True), ("2026-11-21T05:59:00", True), ("2026-11-21T06:00:00", False),
     ("2026-11-21T23:30:00", False), ("2026-11-23T02:00:00", False), ("2026-11-23T22:00:00", True)],
)  # fmt: skip
def test_an_evening_that_ends_next_morning_belongs_to_its_first_day(at: str, is_open: bool) -> None:
    hours = Hours.model_validate(
        {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "22:00", "until": "06:00", "zone": "Asia/Shanghai"}
    )
    moment = datetime.fromisoformat(at).replace(tzinfo=ZoneInfo("Asia/Shanghai"))
    assert hours.open(int(moment.timestamp() * 1000)) is is_open


def test_a_bare_time_of_a_rule_file_is_that_time(tmp_path: Path) -> None:
    """YAML reads `18:00` without quotes as 1080; a rule of office hours would begin at 00:18."""
    written = tmp_path / "hours.yaml"
    written.write_text("{from: 18:00, until: 08:30, zone: Asia/Shanghai}", encoding="utf-8")
    hours = Hours.model_validate(read_yaml(written).data)
    assert (hours.from_, hours.until) == (time(18, 0), time(8, 30))


@pytest.mark.parametrize(
    ("written", "said"),
    [("08:00Z", "no offset of its own"), ("08:00+08:00", "no offset of its own"), (1440, "no time of day"),
     (8.5, "in quotes"), (True, "in quotes"), ("25:00", "time")],
)  # fmt: skip
def test_what_is_no_time_of_day_is_refused(written: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Hours.model_validate({"from": written, "zone": "Asia/Shanghai"})


LATE_HEAT = {"limit": 32, "direction": "rise", "within": "15m", "window": "5m", "severity": "info"}


def test_a_single_hot_sample_after_a_gap_is_no_heating() -> None:
    judged = rule(forecast=LATE_HEAT, for_="1m")
    assert story(judged, "22x10 _x12 33 22x6", step="30s") == []
    assert story(judged, "22x10 _x12 33x6", step="30s") == ["12m raised forecast info forecast"]

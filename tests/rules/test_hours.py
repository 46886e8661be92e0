"""Hours: nothing is raised outside them, timers are cut at the closing, and windows look back beyond the opening."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from facility.alarms import AlarmEvent
from rules.engine import Engine
from rules.model import Rule
from rules.parts import Hours
from tests.rules.support import DOOR, brief, engine, facts, good, high, rule

# Time begins at midnight: open from 0:10 until 0:20.
OPEN, CLOSE = 600, 1200
TEN_MINUTES: dict[str, Any] = {"from": "00:10", "until": "00:20", "zone": "UTC"}


def played(
    judged: Engine, samples: Mapping[int, float | str], until: int, *, advance_first: bool, metric: str
) -> list[str]:
    """Each second both calls, in this order or the other; the sample of a second at its very instant."""
    events: list[AlarmEvent] = []
    for second in range(until):
        if advance_first:
            events += judged.advance(second * 1000)
        if second in samples:
            events += judged.sample(good(second, samples[second], metric))
        if not advance_first:
            events += judged.advance(second * 1000)
    return [brief(event) for event in events]


@pytest.mark.parametrize("advance_first", [True, False])
@pytest.mark.parametrize("sampled_at_closing", [True, False])
@pytest.mark.parametrize(
    ("since", "raised"),
    [(CLOSE - 61, ["19m59s raised hi minor limit_exceeded"]), (CLOSE - 60, []), (CLOSE - 30, []), (CLOSE - 1, [])],
)
def test_a_timer_and_the_closing_at_the_same_instant(
    since: int, raised: list[str], sampled_at_closing: bool, advance_first: bool
) -> None:
    watched = high(hours=TEN_MINUTES, for_="1m", clear_for="1h")
    samples = {since: 28.0, CLOSE: 28.0} if sampled_at_closing else {since: 28.0}
    told = played(engine(watched), samples, CLOSE + 300, advance_first=advance_first, metric=watched.metric)
    assert told == raised


@pytest.mark.parametrize("advance_first", [True, False])
def test_a_states_timer_is_cut_at_the_closing_too(advance_first: bool) -> None:
    door = rule(metric=DOOR, state={"open": "minor"}, hours=TEN_MINUTES, for_="1m")
    judged = engine(door, facts(DOOR))
    assert played(judged, {CLOSE - 60: "open"}, CLOSE + 300, advance_first=advance_first, metric=DOOR) == []


def test_a_timer_cut_by_a_short_closing_begins_anew_at_the_opening() -> None:
    """Hours that close for one minute, less than a value holds: no sample falls into the closed stretch."""
    gap = {"from": "00:21", "until": "00:20", "zone": "UTC"}
    watched = high(hours=gap, for_="3m", gap="2m")
    samples = dict.fromkeys(range(CLOSE - 50, CLOSE + 400, 110), 28.0)
    told = played(engine(watched), samples, CLOSE + 400, advance_first=True, metric=watched.metric)
    assert told == ["24m raised hi minor limit_exceeded"], "three minutes from the first sample after the opening"


def test_what_swings_to_the_other_side_outside_the_hours_ends_and_is_not_raised() -> None:
    levels = {"hi": {"limit": 27, "severity": "minor"}, "lo": {"limit": 18, "severity": "minor"}}
    judged = engine(rule(levels=levels, hours=TEN_MINUTES))
    samples: dict[int, float | str] = {CLOSE - 10: 28.0, CLOSE + 10: 15.0, CLOSE + 20: 15.0}
    told = played(judged, samples, CLOSE + 60, advance_first=True, metric="room.temperature")
    assert told == ["19m50s raised hi minor limit_exceeded", "20m10s ended hi minor recovered"]


def test_a_restart_keeps_a_pending_timer_and_its_closing() -> None:
    def told(since: int) -> list[str]:
        watched = high(hours=TEN_MINUTES, for_="1m")
        judged, again = engine(watched), engine(watched)
        judged.sample(good(since, 28.0))
        again.restore(judged.snapshot(), now_ms=judged.now_ms)
        return [brief(event) for event in [*again.sample(good(since + 30, 28.0)), *again.advance((CLOSE + 90) * 1000)]]

    assert told(OPEN) == ["11m raised hi minor limit_exceeded"]
    assert told(CLOSE - 50) == []


@pytest.mark.parametrize(
    "watched",
    [
        rule(rate={"per": "10m", "rise": 3, "severity": "minor"}, hours=TEN_MINUTES),
        rule(
            forecast={"limit": 32, "direction": "rise", "within": "15m", "window": "10m", "severity": "minor"},
            hours=TEN_MINUTES,
        ),
    ],
    ids=["rate", "forecast"],
)
def test_a_window_collected_outside_the_hours_judges_at_the_opening(watched: Rule) -> None:
    judged = engine(watched)
    events: list[AlarmEvent] = []
    for second in range(0, OPEN + 31, 30):
        events += judged.sample(good(second, 20.0 + second / 100))
    assert [event.at for event in events] == [OPEN * 1000], "at the first sample of the opening, and none before"


SHANGHAI, BERLIN = "Asia/Shanghai", "Europe/Berlin"


@pytest.mark.parametrize(
    ("hours", "at", "closing"),
    [
        ({"from": "08:00", "until": "18:00", "zone": SHANGHAI}, "2026-03-10T09:59:59Z", "2026-03-10T10:00:00Z"),
        ({"from": "18:00", "until": "08:00", "zone": SHANGHAI}, "2026-03-10T12:00:00Z", "2026-03-11T00:00:00Z"),
        ({"zone": "UTC"}, "2026-03-10T12:00:00Z", None),
        ({"days": ["mon", "tue"], "zone": "UTC"}, "2026-03-09T12:00:00Z", "2026-03-11T00:00:00Z"),
        # 2026-03-29 has no 02:30 in Berlin: the clock leaps from 02:00 to 03:00, which is 01:00 UTC.
        ({"from": "01:00", "until": "02:30", "zone": BERLIN}, "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"),
        # 2026-10-25 has two: it closes at the first, opens with the second 02:00, and closes again.
        ({"from": "01:00", "until": "02:30", "zone": BERLIN}, "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"),
        ({"from": "01:00", "until": "02:30", "zone": BERLIN}, "2026-10-25T01:10:00Z", "2026-10-25T01:30:00Z"),
    ],
)
def test_when_an_open_stretch_closes(hours: dict[str, Any], at: str, closing: str | None) -> None:
    def ms(text: str) -> int:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)

    found = Hours.model_validate(hours).closing(ms(at))
    assert found == (None if closing is None else ms(closing))

"""A timer and a sample at the same instant, and how little the calls of `advance` matter."""

import pytest

from facility.alarms import AlarmEvent
from rules.engine import Engine
from rules.model import Rule
from tests.rules.support import TEMPERATURE, brief, engine, good, high, rule

TICK = 60.0


def played(judge: Rule, *, before: list[float], value: float, sample_first: bool) -> tuple[list[str], Engine]:
    judged = engine(judge)
    events: list[AlarmEvent] = []
    for at, sampled in enumerate(before):
        events += judged.sample(good(at * 20, sampled))
    tick = int(TICK * 1000)
    if sample_first:
        events += judged.sample(good(TICK, value)) + judged.advance(tick)
    else:
        events += judged.advance(tick) + judged.sample(good(TICK, value))
    return [brief(event) for event in events + judged.advance(tick + 1)], judged


@pytest.mark.parametrize(
    ("judge", "before", "value", "events"),
    [
        (high(for_="60s"), [28.0, 28, 28], 22.0, []),
        (high(for_="60s"), [28.0, 28, 28], 28.0, ["1m raised hi minor limit_exceeded"]),
        (high(clear_for="40s"), [28.0, 22, 22], 28.0, ["0s raised hi minor limit_exceeded"]),
        (high(clear_for="40s"), [28.0, 22, 22], 22.0,
         ["0s raised hi minor limit_exceeded", "1m ended hi minor recovered"]),
        (rule(absent={"after": "20s", "severity": "minor"}), [22.0, 22, 22], 22.0, []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("sample_first", [True, False])
def test_timer_and_sample_at_one_instant_agree_in_both_orders(
    judge: Rule, before: list[float], value: float, events: list[str], sample_first: bool
) -> None:
    found, judged = played(judge, before=before, value=value, sample_first=sample_first)
    assert found == events
    assert len(judged.active()) == sum("raised" in line for line in events) - sum("ended" in line for line in events)


def test_a_timer_acts_at_its_instant_however_late_it_is_looked_at() -> None:
    judged = engine(high(for_="60s"))
    judged.sample(good(0, 28))
    judged.sample(good(50, 28))
    assert judged.advance(60_000) == []
    assert [brief(event) for event in judged.advance(100_000)] == ["1m raised hi minor limit_exceeded"]


def test_a_sample_lets_the_timers_before_it_act_first() -> None:
    judged = engine(high(for_="60s"))
    judged.sample(good(0, 28))
    judged.sample(good(50, 28))
    assert [brief(event) for event in judged.sample(good(70, 22))] == [
        "1m raised hi minor limit_exceeded", "1m10s ended hi minor recovered",
    ]  # fmt: skip


def test_advance_never_goes_back() -> None:
    judged = engine(rule(absent={"after": "60s", "severity": "minor"}))
    judged.advance(50_000)
    assert judged.advance(40_000) == []
    assert judged.now_ms == 50_000
    assert len(judged.advance(61_000)) == 1


def test_timers_of_many_points_come_out_in_time_order() -> None:
    absent = rule(absent={"after": "60s", "severity": "minor"}, metric=TEMPERATURE)
    door = rule(id="door", metric="door.state", state={"open": "minor"}, for_="30s")
    judged = engine([absent, door])
    judged.sample(good(1, 22))
    judged.sample(good(2, "open", "door.state"))
    assert [(event.at, event.rule) for event in judged.advance(90_000)] == [(32_000, "door"), (61_000, "r")]

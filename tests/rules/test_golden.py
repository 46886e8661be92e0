"""Failures of other alarm engines, each held to here by its case."""

import pytest

from rules.engine import Engine
from rules.model import Rule
from tests.rules.support import COMMUNICATION, bad, brief, engine, good, high, rule

HOUR = 3600


def test_a_device_cut_off_while_in_alarm_stays_in_alarm_until_a_good_sample_clears_it() -> None:
    """Telemetry stops, and elsewhere the alarm is sent as resolved: no data is a third state, not the good one."""
    lost = rule(id="lost", metric=COMMUNICATION, state={"lost": "major"})
    judged = engine([high(), lost])
    assert [brief(event) for event in judged.sample(good(0, 28.0))] == ["0s raised hi minor limit_exceeded"]
    said = judged.sample(good(30, "lost", COMMUNICATION)) + judged.sample(bad(30))
    assert [event.rule for event in said] == ["lost"]
    for at in range(60, 24 * HOUR, 600):
        assert judged.sample(good(at, "lost", COMMUNICATION)) == []
        assert judged.sample(bad(at)) == []
        assert judged.advance(at * 1000) == []
    judged = restarted(judged, [high(), lost], at=25 * HOUR)
    assert {each.rule for each in judged.active()} == {"r", "lost"}
    said = judged.sample(good(26 * HOUR, "ok", COMMUNICATION)) + judged.sample(good(26 * HOUR, 22.0))
    assert [(event.rule, event.kind, event.at) for event in said] == [
        ("lost", "ended", 26 * HOUR * 1000), ("r", "ended", 26 * HOUR * 1000),
    ]  # fmt: skip


@pytest.mark.parametrize("silence", ["nothing comes", "failed polls", "a restart"])
def test_a_long_duration_is_counted_over_samples_and_not_over_a_gap(silence: str) -> None:
    """A duration of 90 min was raised during a data gap from one stale value."""
    slow = high(for_="90m")
    judged = engine(slow)
    assert judged.sample(good(0, 28.0)) == []
    for at in range(60, 4 * HOUR, 60):
        if silence == "failed polls":
            assert judged.sample(bad(at)) == []
        assert judged.advance(at * 1000) == []
    if silence == "a restart":
        judged = restarted(judged, [slow], at=4 * HOUR)
    began = 4 * HOUR + 60
    events = []
    for at in range(began, began + 2 * HOUR, 60):
        events += judged.advance(at * 1000) + judged.sample(good(at, 28.0))
    assert [(event.kind, event.at) for event in events] == [("raised", (began + 90 * 60) * 1000)]


@pytest.mark.parametrize("sample_first", [True, False])
def test_a_sample_in_the_instant_of_the_inactivity_timer_leaves_no_alarm_behind(sample_first: bool) -> None:
    """A sample came in the same instant as the timer of inactivity, and the alarm never cleared."""
    judged = engine(rule(absent={"after": "60s", "severity": "minor"}))
    assert judged.sample(good(0, 22.0)) == []
    events = judged.sample(good(60, 22.0)) if sample_first else judged.advance(60_000)
    events += judged.advance(60_000) if sample_first else judged.sample(good(60, 22.0))
    assert events == []
    assert [brief(event) for event in judged.advance(120_001)] == ["2m raised absent minor data_absent"]
    events = judged.sample(good(180, 22.0)) if sample_first else judged.advance(180_000)
    events += judged.advance(180_000) if sample_first else judged.sample(good(180, 22.0))
    assert [brief(event) for event in events] == ["3m ended absent minor recovered"]
    assert judged.active() == []


@pytest.mark.parametrize("sample_first", [True, False])
@pytest.mark.parametrize(("value", "said"), [(28.0, ["1m raised hi minor limit_exceeded"]), (22.0, [])])
def test_a_sample_in_the_instant_of_a_delay_is_heard_before_it_in_both_orders(
    sample_first: bool, value: float, said: list[str]
) -> None:
    judged = engine(high(for_="60s"))
    events = judged.sample(good(0, 28.0)) + judged.sample(good(30, 28.0))
    events += judged.sample(good(60, value)) if sample_first else judged.advance(60_000)
    events += judged.advance(60_000) if sample_first else judged.sample(good(60, value))
    assert [brief(event) for event in events + judged.advance(60_001)] == said


def restarted(judged: Engine, rules: list[Rule], *, at: int) -> Engine:
    """A new engine that takes up what the old one remembered."""
    new = engine(rules, started=at)
    assert new.restore(judged.snapshot(), now_ms=at * 1000) == []
    return new

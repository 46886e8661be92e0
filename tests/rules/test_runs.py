"""A column of samples judged as a whole says, and leaves behind, what judging sample by sample does."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facility.alarms import AlarmEvent
from facility.reading import PointKey, Quality, QualityReason, Reading
from rules.engine import Engine
from rules.levels import LevelJudge
from tests.rules.support import TEMPERATURE, engine, facts, rule

LEAK = "leak.state"
HOURS = {"from": "00:05", "until": "00:20", "zone": "UTC"}
LEVELS = {"hi": {"limit": 27, "severity": "minor"}, "lo": {"limit": 18, "severity": "minor", "for": "1m"}}
RATE = {"per": "5m", "rise": 4, "fall": 4, "severity": "minor"}
FORECAST = {"limit": 32, "direction": "rise", "within": "15m", "window": "5m", "severity": "minor"}
NUMERIC = [
    rule(id="levels", levels=LEVELS, for_="30s"),
    rule(id="by-hours", levels=LEVELS, hours=HOURS),
    rule(id="rate", rate=RATE),
    rule(id="rate-by-hours", rate=RATE, hours=HOURS),
    rule(id="rising", forecast=FORECAST),
    rule(id="falling", forecast=FORECAST | {"limit": 10, "direction": "fall"}),
    rule(id="absent", absent={"after": "2m", "severity": "minor"}),
]
STATES = [
    rule(id="state", metric=LEAK, state={"leak": "critical", "contamination": "minor"}, for_="20s"),
    rule(id="absent", metric=LEAK, absent={"after": "2m", "severity": "minor"}),
]
STEPS = st.sampled_from([0, 1_000, 5_000, 10_000, 30_000, 30_000, 30_000, 200_000, 700_000])

Column = list[tuple[int, Any, bool]]


def columns(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Column]]:
    """(step from the one before, value, good) in blocks; many of them calm, as history is."""
    sample = st.tuples(STEPS, values, st.sampled_from([True] * 9 + [False]))
    calm = st.tuples(st.just(30_000), values, st.just(True))
    run = st.builds(lambda one, count: [(one[0], one[1], True)] * count, calm, st.integers(1, 25))
    return st.lists(st.one_of(st.lists(sample, min_size=1, max_size=12), run), min_size=1, max_size=12)


def brought(judged: Engine, metric: str, blocks: Sequence[Column], *, whole: bool) -> tuple[list[AlarmEvent], bytes]:
    key, at, events = PointKey("d1", metric), 0, list[AlarmEvent]()
    for block in blocks:
        times, values, good = [], [], []
        for step, value, is_good in block:
            at += step
            times.append(at)
            values.append(value)
            good.append(is_good)
        if whole:
            events += judged.series(key, times, values, None if all(good) else good)
        else:
            for when, value, is_good in zip(times, values, good, strict=True):
                quality, reason = (Quality.GOOD, None) if is_good else (Quality.BAD, QualityReason.TIMEOUT)
                events += judged.sample(Reading("d1", metric, "", value, when, quality=quality, reason=reason))
        events += judged.advance(at)
    return events, judged.snapshot()


NUMBERS = st.one_of(
    st.sampled_from([20.0, 22.0, 22.0, 23.5, 26.9, 27.5, 33.0, 9.0, float("nan"), float("inf")]),
    st.floats(15, 30).map(lambda value: round(value, 1)),
)
WORDS = st.sampled_from(["normal", "normal", "normal", "leak", "contamination", "unknown", 3.0])


@settings(max_examples=300, deadline=None)
@given(columns(NUMBERS))
def test_numbers_judged_in_runs_are_judged_the_same(blocks: list[Column]) -> None:
    one, other = engine(NUMERIC), engine(NUMERIC)
    assert brought(one, TEMPERATURE, blocks, whole=True) == brought(other, TEMPERATURE, blocks, whole=False)


@settings(max_examples=150, deadline=None)
@given(columns(WORDS))
def test_states_judged_in_runs_are_judged_the_same(blocks: list[Column]) -> None:
    one, other = engine(STATES, facts(LEAK)), engine(STATES, facts(LEAK))
    assert brought(one, LEAK, blocks, whole=True) == brought(other, LEAK, blocks, whole=False)


def test_a_calm_run_is_not_judged_sample_by_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    sample = LevelJudge.sample

    def counted(self: LevelJudge, at: int, value: float | str) -> list[AlarmEvent] | None:
        nonlocal looked
        looked += 1
        return sample(self, at, value)

    monkeypatch.setattr(LevelJudge, "sample", counted)
    calm: Column = [(30_000, 22.0, True)] * 1000
    brought(engine(rule(levels=LEVELS)), TEMPERATURE, [calm], whole=True)
    assert looked == 0

"""A number made of several signals is not made of half of them: after a start, a reload, a step of the clock."""

import pytest

from facility.reading import PointKey, Reading
from rules.engine import DeviceFacts, Engine
from rules.model import Rule, RuleSet
from tests.rules.support import engine, rule
from tests.rules.test_derived import STATE, crac, good, lost, play, running

RAISED = ["room-a#room 10s raised lo major limit_exceeded"]


def counted() -> Rule:
    """Fewer than two units tell their state at all."""
    expression = {"over": "room", "signals": {"units": {"metric": STATE, "states": ["on"]}}, "value": "count(units)"}
    return rule(metric="room.temperature", expression=expression, levels={"lo": {"limit": 1.5, "severity": "major"}})


def nameless(name: str, interval_s: float = 10) -> DeviceFacts:
    """A unit whose points are learnt when it is first heard."""
    return DeviceFacts(name, "crac", room="room-a", interval_s=interval_s)


@pytest.mark.parametrize("learnt", [False, True], ids=["expected", "learnt"])
@pytest.mark.parametrize(
    "tested", [running(missing="ignore"), running(), counted()], ids=["ignore", "unknown", "count"]
)
def test_nothing_is_judged_before_every_input_was_heard_once(tested: Rule, learnt: bool) -> None:
    units = [nameless(name) if learnt else crac(name) for name in ("c1", "c2", "c3")]
    judged = engine(tested, *units)
    assert play(judged, good(1, "c1", STATE, "on")) == []
    assert play(judged, good(4, "c2", STATE, "off")) == []
    assert play(judged, good(9, "c3", STATE, "on")) == []
    assert play(judged, good(11, "c1", STATE, "on")) == []
    assert judged.active() == []


def test_who_does_not_come_within_the_gap_is_missing() -> None:
    judged = engine(
        running(
            missing="ignore",
        ),
        crac("c1"),
        crac("c2"),
    )
    events = [event for at in range(0, 200, 10) for event in play(judged, good(at, "c1", STATE, "on"))]
    assert events == ["room-a#room 2m10s raised lo major limit_exceeded"], "two minutes are the rule's gap"
    judged = engine(running(missing="ignore"), crac("c1"), crac("c2"))
    play(judged, good(0, "c1", STATE, "on"))
    assert play(judged, lost(10, "c2", STATE)) == RAISED, "who says that it cannot be read was heard"


def test_a_slow_unit_of_which_nothing_is_known_is_awaited_no_longer_than_the_rules_gap() -> None:
    judged = engine(running(missing="ignore"), crac("c1"), nameless("meter", interval_s=3600))
    events = [event for at in range(0, 200, 10) for event in play(judged, good(at, "c1", STATE, "on"))]
    assert events == ["room-a#room 2m10s raised lo major limit_exceeded"]


def changed(judged: Engine, how: str, at_ms: int) -> Engine:
    """The engine after something that makes it anew."""
    units = [crac("c1"), crac("c2")]
    if how == "a reload":
        assert judged.reload(RuleSet((running(missing="ignore"), counted_otherwise())), units, now_ms=at_ms) == []
    elif how == "a learnt point":
        more = DeviceFacts("c1", "crac", room="room-a", points=(*units[0].points, PointKey("c1", "crac.fan.speed")))
        assert judged.reload(RuleSet((running(missing="ignore"),)), [more, units[1]], now_ms=at_ms) == []
    elif how == "a restart":
        again = engine(running(missing="ignore"), *units, started=at_ms / 1000)
        assert again.restore(judged.snapshot(), now_ms=at_ms) == []
        return again
    else:
        judged.clock_stepped(-3_600_000)
    return judged


def counted_otherwise() -> Rule:
    return counted().model_copy(update={"id": "another"})


@pytest.mark.parametrize("how", ["a reload", "a learnt point", "a restart", "a clock set back"])
def test_what_is_known_of_the_inputs_outlives(how: str) -> None:
    units = [crac("c1"), crac("c2")]
    judged = engine(running(missing="ignore"), *units)
    begun = 3600 if how == "a clock set back" else 0
    play(judged, good(begun, "c1", STATE, "on"), good(begun, "c2", STATE, "on"))
    judged = changed(judged, how, 5000)
    assert play(judged, good(10, "c1", STATE, "on")) == [], "the other one still runs, or nobody knows"
    assert play(judged, good(11, "c2", STATE, "off")) == ["room-a#room 11s raised lo major limit_exceeded"]


@pytest.mark.parametrize("how", ["a reload", "a learnt point", "a restart", "a clock set back"])
def test_no_alarm_ends_by(how: str) -> None:
    def one_too_many() -> Rule:
        return rule(
            id="r", metric="room.temperature",
            expression={
                "over": "room", "signals": {"off": {"metric": STATE, "states": ["off"], "missing": "ignore"}},
                "value": "sum(off)",
            },
            levels={"hi": {"limit": 0.5, "severity": "major"}},
        )  # fmt: skip

    units = [crac("c1"), crac("c2")]
    judged = engine(one_too_many(), *units)
    begun = 3600 if how == "a clock set back" else 0
    play(judged, good(begun, "c1", STATE, "on"), good(begun, "c2", STATE, "off"))
    standing = judged.active()
    assert len(standing) == 1
    if how == "a restart":
        again = engine(one_too_many(), *units, started=5)
        again.restore(judged.snapshot(), now_ms=5000)
        judged = again
    elif how == "a clock set back":
        judged.clock_stepped(-3_600_000)
    else:
        rules = (one_too_many(), counted_otherwise()) if how == "a reload" else (one_too_many(),)
        extra = DeviceFacts("c3", "sensor") if how == "a learnt point" else crac("c3", "room-b")
        judged.reload(RuleSet(rules), [*units, extra], now_ms=5000)
    assert play(judged, good(10, "c1", STATE, "on")) == []
    assert judged.active() == standing


def test_a_learnt_input_is_awaited_after_a_restart() -> None:
    units = [nameless("c1"), nameless("c2")]
    judged = engine(running(missing="ignore"), *units)

    def probe(at: float, subject: str, value: str) -> Reading:
        return Reading("c1", STATE, subject, value, int(at * 1000))

    play(judged, probe(0, "unit/1", "on"), probe(0, "unit/2", "on"), good(0, "c2", STATE, "off"))
    again = engine(running(missing="ignore"), *units, started=5)
    again.restore(judged.snapshot(), now_ms=5000)
    assert play(again, probe(10, "unit/1", "on"), good(10, "c2", STATE, "off")) == [], "unit/2 was there before"
    assert play(again, probe(11, "unit/2", "on")) == []

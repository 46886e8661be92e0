"""What holds for any history: one occurrence per key, revisions without holes, restarts and ticks change nothing."""

from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from facility.alarms import AlarmEvent, AlarmEventKind, EndReason
from facility.reading import Quality, Reading
from rules.engine import Engine
from rules.model import RuleSet
from tests.rules.support import COMMUNICATION, DOOR, TEMPERATURE, engine, facts, high, rule

RULES = [
    rule(
        id="levels",
        levels={
            "lo": {"limit": 18, "severity": "minor"},
            "hi": {"limit": 27, "severity": "minor", "for": "20s"},
            "hihi": {"limit": 30, "severity": "major", "for": "7s"},
        },
        deadband=1, for_="10s", clear_for="15s", gap="30s",
    ),
    high(29, id="second", for_="5s", gap="30s"),
    rule(id="rate", rate={"per": "2m", "window": "1m", "rise": 8, "fall": 8, "severity": "major"}, clear_for="5s"),
    rule(id="absent", absent={"after": "40s", "severity": "minor"}),
    rule(id="door", metric=DOOR, state={"open": "minor", "unknown": "info"}, for_="8s", clear_for="6s", gap="25s"),
    rule(id="lost", metric=COMMUNICATION, state={"lost": "major"}, for_="10s"),
]  # fmt: skip
POINTS = (TEMPERATURE, DOOR, COMMUNICATION)
VALUES: dict[str, st.SearchStrategy[float | str]] = {
    TEMPERATURE: st.sampled_from([16.0, 18.0, 18.5, 22.0, 26.0, 26.5, 27.0, 27.5, 29.5, 31.0, 35.0]),
    DOOR: st.sampled_from(["open", "closed", "unknown", "ajar"]),
    COMMUNICATION: st.sampled_from(["ok", "ok", "lost"]),
}


@dataclass(frozen=True)
class Play:
    """A history: readings in time order with the steps of `advance` between them."""

    steps: tuple[Reading | int, ...]

    @property
    def end(self) -> int:
        return max((step if isinstance(step, int) else step.taken_at for step in self.steps), default=0)


@st.composite
def plays(draw: st.DrawFn) -> Play:
    at = 0
    steps: list[Reading | int] = []
    for _ in range(draw(st.integers(1, 40))):
        at += draw(st.sampled_from([0, 1_000, 1_000, 5_000, 5_000, 7_000, 10_000, 10_000, 30_000, 31_000, 60_000]))
        what = draw(st.sampled_from(["good", "good", "good", "good", "bad", "tick"]))
        metric = draw(st.sampled_from(POINTS))
        if what == "tick":
            steps.append(at)
        elif what == "bad":
            steps.append(Reading("d1", metric, "", None, at, quality=Quality.BAD))
        else:
            steps.append(Reading("d1", metric, "", draw(VALUES[metric]), at))
    return Play(tuple(steps))


def fresh() -> Engine:
    return engine(RULES, facts(*POINTS))


def take(judged: Engine, step: Reading | int) -> list[AlarmEvent]:
    return judged.advance(step) if isinstance(step, int) else judged.sample(step)


def ordered(events: list[AlarmEvent]) -> list[AlarmEvent]:
    """By time and key; stable, so the events of one key keep their order."""
    return sorted(events, key=lambda event: (event.at, str(event.key)))


many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@many
@given(plays())
def test_one_active_occurrence_per_key_and_revisions_without_holes(play: Play) -> None:
    judged = fresh()
    active: dict[str, AlarmEvent] = {}
    for step in (*play.steps, play.end + 100_000):
        for event in take(judged, step):
            key = str(event.key)
            if event.kind is AlarmEventKind.RAISED:
                assert key not in active
                assert event.revision == 1
            else:
                assert (event.occurrence, event.revision) == (active[key].occurrence, active[key].revision + 1)
                assert event.at >= active[key].at
            active[key] = event
            if event.kind is AlarmEventKind.ENDED:
                del active[key]
        held = {(item.rule, item.occurrence, item.revision) for item in judged.active()}
        assert held == {(event.rule, event.occurrence, event.revision) for event in active.values()}


@many
@given(plays(), st.data())
def test_a_restart_at_any_point_changes_no_event(play: Play, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(play.steps)))
    straight, broken = fresh(), fresh()
    expected = [event for step in play.steps for event in take(straight, step)]
    found = [event for step in play.steps[:cut] for event in take(broken, step)]
    after = fresh()
    assert after.restore(broken.snapshot(), now_ms=broken.now_ms) == []
    found += [event for step in play.steps[cut:] for event in take(after, step)]
    end = play.end + 100_000
    assert found + after.advance(end) == expected + straight.advance(end)
    assert after.snapshot() == straight.snapshot()


@many
@given(plays(), st.booleans())
def test_how_often_time_is_told_changes_no_event(play: Play, before: bool) -> None:
    silent, ticking = fresh(), fresh()
    expected: list[AlarmEvent] = []
    found: list[AlarmEvent] = []
    for step in play.steps:
        if isinstance(step, int):
            continue
        expected += silent.sample(step)
        # At the very instant of the sample, before it or after it: I44, a timer and a sample at the same time.
        found += ticking.advance(step.taken_at) if before else []
        found += ticking.sample(step)
        found += [] if before else ticking.advance(step.taken_at)
    end = play.end + 100_000
    assert ordered(found + ticking.advance(end)) == ordered(expected + silent.advance(end))


@many
@given(plays())
def test_only_good_samples_inside_the_clear_value_recover(play: Play) -> None:
    judged = fresh()
    clear_at = {("levels", "hi"): 26.0, ("levels", "hihi"): 26.0, ("second", "hi"): 29.0}
    for step in (*play.steps, play.end + 100_000):
        for event in take(judged, step):
            if event.reason != EndReason.RECOVERED:
                continue
            if event.rule == "door":
                assert event.value == "closed"
            elif event.rule == "absent":
                assert isinstance(step, Reading)
                assert step.good
            elif (event.rule, event.level) in clear_at:
                assert isinstance(event.value, float)
                assert event.value <= clear_at[(event.rule, event.level)]
            elif event.level == "lo":
                assert isinstance(event.value, float)
                assert event.value >= 19.0


@many
@given(plays(), st.data())
def test_a_reload_of_the_same_rules_changes_no_event(play: Play, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(play.steps)))
    straight, touched = fresh(), fresh()
    found: list[AlarmEvent] = []
    expected: list[AlarmEvent] = []
    other = high(90, id="unrelated")
    for i, step in enumerate(play.steps):
        if i == cut:
            found += touched.reload(RuleSet((*RULES, other)), (facts(*POINTS),), now_ms=touched.now_ms)
        found += take(touched, step)
        expected += take(straight, step)
    assert found == expected


@many
@given(plays(), st.data())
def test_a_step_of_the_clock_moves_events_and_changes_none(play: Play, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(play.steps)))
    moved = data.draw(st.sampled_from([2_000, 3_600_000]))
    straight, stepped = fresh(), fresh()
    for step in play.steps[:cut]:
        assert take(straight, step) == take(stepped, step)
    stepped.clock_stepped(moved)
    for step in (*play.steps[cut:], play.end + 100_000):
        later = step + moved if isinstance(step, int) else replace(step, taken_at=step.taken_at + moved)
        expected = [(event.rule, event.kind, event.level, event.at + moved) for event in take(straight, step)]
        assert [(event.rule, event.kind, event.level, event.at) for event in take(stepped, later)] == expected

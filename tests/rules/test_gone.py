"""Points that are gone for good: their alarms end, and numbers are made without them; never of one that may return."""

from dataclasses import replace

import msgspec
import pytest

from facility.alarms import EndReason
from facility.reading import COMMUNICATION, PointKey
from rules.engine import DeviceFacts, Engine
from rules.model import RuleSet
from rules.roster import MAX_EXTRA_POINTS, MAX_KNOWN_POINTS, Ignored
from tests.rules.support import TEMPERATURE, engine, good, high, rule

DAY = 86_400
WEEK_MS = 7 * DAY * 1000
ABSENT = rule(id="absent", absent={"after": "10m", "severity": "minor"})
AISLE = rule(
    id="aisle",
    levels={"hi": {"limit": 27, "severity": "minor"}},
    expression={"over": "site", "signals": {"aisle": {"metric": TEMPERATURE}}, "value": "avg(aisle)"},
)
RULES = (ABSENT, AISLE)


def card(*probes: int, complete: bool = True, **parts: object) -> DeviceFacts:
    points = tuple(PointKey("d1", TEMPERATURE, f"probe/{probe}") for probe in probes)
    return replace(
        DeviceFacts("d1", "sensor", points=points, complete=complete, gone_after_ms=WEEK_MS),
        **parts,  # type: ignore[arg-type]
    )


def probe_pulled() -> Engine:
    """Both probes were heard; the second is silent since, and its absence stands."""
    judged = engine(RULES, card(1, 2))
    for probe in (1, 2):
        judged.sample(good(10, 22, subject=f"probe/{probe}"))
    judged.sample(good(600, 22, subject="probe/1"))
    assert [(event.rule, event.subject) for event in judged.advance(700_000)] == [("absent", "probe/2")]
    return judged


def learnt(judged: Engine, facts: DeviceFacts, at: float) -> list[tuple[str, str, str]]:
    events = judged.reload(RuleSet(RULES), [facts], now_ms=int(at * 1000))
    return [(event.rule, event.subject, event.reason) for event in events]


def restarted(judged: Engine, facts: DeviceFacts, at: float) -> Engine:
    after = engine(RULES, facts, started=at)
    assert after.restore(judged.snapshot(), now_ms=int(at * 1000)) == []
    return after


RETIRED = [("absent", "probe/2", EndReason.DEVICE_RETIRED)]


def aisle_hot(judged: Engine, at: float) -> bool:
    """Whether the aisle is said to be hot when the probe that is left is."""
    return "aisle" in [event.rule for event in judged.sample(good(at, 30, subject="probe/1"))]


def test_a_point_that_a_complete_list_no_longer_has_is_gone() -> None:
    judged = probe_pulled()
    assert not aisle_hot(judged, 800), "the average is not known while a probe is missing"
    assert learnt(judged, card(1), 8 * DAY) == RETIRED
    assert judged.active() == []
    assert aisle_hot(judged, 8 * DAY + 10)


def test_a_point_missing_at_the_first_full_answer_after_a_restart_is_waited_for() -> None:
    judged = restarted(probe_pulled(), card(complete=False), 800)
    assert learnt(judged, card(1), 810) == []
    assert [held.subject for held in judged.active()] == ["probe/2"]
    assert not judged.overdue(810_000 + WEEK_MS - 1)
    assert judged.overdue(810_000 + WEEK_MS)
    assert learnt(judged, card(1), 810 + 7 * DAY) == RETIRED
    assert not judged.overdue(810_000 + 2 * WEEK_MS)


def test_a_point_that_returns_is_expected_as_ever() -> None:
    judged = restarted(probe_pulled(), card(complete=False), 800)
    assert learnt(judged, card(1), 810) == []
    assert learnt(judged, card(1, 2), 820) == []
    assert not judged.overdue(810_000 + 2 * WEEK_MS)


def test_restarts_do_not_begin_the_wait_anew_and_no_time_passes_while_it_is_down() -> None:
    judged = restarted(probe_pulled(), card(complete=False), 800)
    assert learnt(judged, card(1), 810) == []
    judged.advance((810 + 4 * DAY) * 1000)
    judged = restarted(judged, card(complete=False), 810 + 30 * DAY)
    assert learnt(judged, card(1), 820 + 30 * DAY) == [], "it was watched for four days only"
    assert learnt(judged, card(1), 820 + 33 * DAY) == RETIRED


def test_a_step_of_the_clock_ends_nobodys_wait() -> None:
    judged = restarted(probe_pulled(), card(complete=False), 800)
    assert learnt(judged, card(1), 810) == []
    judged.clock_stepped(30 * DAY * 1000)
    assert not judged.overdue((820 + 30 * DAY) * 1000)
    assert learnt(judged, card(1), 820 + 37 * DAY) == RETIRED


def test_what_its_profile_does_not_have_is_gone_at_once() -> None:
    judged = probe_pulled()
    other = card(complete=False, may_have=frozenset({(TEMPERATURE, ""), ("room.humidity", "*")}))
    assert learnt(judged, other, 900) == RETIRED
    judged = probe_pulled()
    same = card(complete=False, may_have=frozenset({(TEMPERATURE, "*")}))
    assert learnt(judged, same, 900) == []
    assert [held.subject for held in judged.active()] == ["probe/2"]


def test_a_snapshot_from_before_is_read() -> None:
    body = msgspec.json.decode(probe_pulled().snapshot())
    assert body.pop("missing") == []
    after = engine(RULES, card(1), started=800)
    assert after.restore(msgspec.json.encode(body), now_ms=800_000) == []
    assert [held.subject for held in after.active()] == ["probe/2"]


LOST = rule(id="lost", metric=COMMUNICATION, state={"lost": "major"})
MANY = MAX_EXTRA_POINTS + 200


def test_a_device_of_many_points_keeps_them_over_a_restart_and_is_told_lost() -> None:
    points = tuple(PointKey("d1", TEMPERATURE, f"probe/{i}") for i in range(MANY))
    judged = engine([high(), LOST], DeviceFacts("d1", "sensor", points=points))
    judged.sample(good(10, "ok", COMMUNICATION))
    for point in points:
        judged.sample(good(10, 28, subject=point.subject))
    after = engine([high(), LOST], DeviceFacts("d1", "sensor"), started=100)
    assert after.restore(judged.snapshot(), now_ms=100_000) == []
    assert len(after.active()) == MANY
    assert [event.rule for event in after.sample(good(101, "lost", COMMUNICATION))] == ["lost"]


def test_a_device_of_endless_subjects_is_still_told_lost_and_remembered_within_bounds() -> None:
    judged = engine([high(), LOST], DeviceFacts("d1", "sensor"))
    for restart in range(7):
        for i in range(MANY):
            judged.sample(good(10 + restart, 22, subject=f"{restart}/{i}"))
        after = engine([high(), LOST], DeviceFacts("d1", "sensor"), started=10 + restart)
        after.restore(judged.snapshot(), now_ms=(10 + restart) * 1000)
        judged = after
    assert len(msgspec.json.decode(judged.snapshot())["points"]) == MAX_KNOWN_POINTS
    assert [event.rule for event in judged.sample(good(101, "lost", COMMUNICATION))] == ["lost"]


@pytest.mark.parametrize("complete", [True, False])
def test_the_centre_takes_a_complete_list_at_its_word(complete: bool) -> None:
    judged = probe_pulled()
    told = learnt(judged, card(1, complete=complete, gone_after_ms=0), 900)
    assert told == (RETIRED if complete else [])


def probes(*indexes: int) -> DeviceFacts:
    points = tuple(PointKey("d1", COMMUNICATION, f"probe/{index}") for index in indexes)
    return DeviceFacts("d1", "sensor", points=points, complete=True, gone_after_ms=WEEK_MS)


def test_a_lost_probe_whose_row_is_forgotten_is_gone_and_its_alarm_over() -> None:
    judged = engine(LOST, probes(1, 2))
    for probe, word in ((1, "ok"), (2, "lost")):
        judged.sample(good(10, word, COMMUNICATION, subject=f"probe/{probe}"))
    assert [held.subject for held in judged.active()] == ["probe/2"]
    (ended,) = judged.reload(RuleSet((LOST,)), [probes(1)], now_ms=800_000)
    assert (ended.subject, ended.reason) == ("probe/2", EndReason.DEVICE_RETIRED)
    assert judged.active() == []


def test_a_lost_probe_that_left_over_a_restart_is_gone_in_the_end_and_no_longer_overdue() -> None:
    judged = engine(LOST, probes(1, 2))
    judged.sample(good(10, "lost", COMMUNICATION, subject="probe/2"))
    after = engine(LOST, probes(1), started=800)
    assert after.restore(judged.snapshot(), now_ms=800_000) == []
    at = 800_000 + WEEK_MS
    assert after.overdue(at)
    (ended,) = after.reload(RuleSet((LOST,)), [probes(1)], now_ms=at)
    assert (ended.subject, ended.reason) == ("probe/2", EndReason.DEVICE_RETIRED)
    assert not after.overdue(at + WEEK_MS)


def test_the_word_of_the_device_itself_is_never_waited_for() -> None:
    own = replace(card(1), points=(PointKey("d1", COMMUNICATION, ""), PointKey("d1", TEMPERATURE, "probe/1")))
    judged = engine([LOST, *RULES], own)
    judged.sample(good(10, "lost", COMMUNICATION))
    after = engine([LOST, *RULES], card(1), started=800)
    assert after.restore(judged.snapshot(), now_ms=800_000) == []
    assert not after.overdue(800_000 + WEEK_MS), "no reload would end it"
    assert [held.rule for held in after.active()] == ["lost"]


def test_probes_without_end_are_bounded_though_they_speak_of_their_communication() -> None:
    judged = engine(LOST, DeviceFacts("d1", "sensor"))
    for restart in range(7):
        for i in range(MANY):
            judged.sample(good(10 + restart, "ok", COMMUNICATION, subject=f"{restart}/{i}"))
        assert judged.ignored[Ignored.TOO_MANY_POINTS] == MANY - MAX_EXTRA_POINTS
        after = engine(LOST, DeviceFacts("d1", "sensor"), started=10 + restart)
        after.restore(judged.snapshot(), now_ms=(10 + restart) * 1000)
        judged = after
    assert len(msgspec.json.decode(judged.snapshot())["points"]) == MAX_KNOWN_POINTS

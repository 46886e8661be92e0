"""Restarts: down 10 s, down 10 min, the clock set back, the rules edited meanwhile, a damaged snapshot."""

import msgspec
import pytest

from rules.engine import DeviceFacts, Engine
from rules.records import SnapshotError
from tests.rules.support import COMMUNICATION, TEMPERATURE, bad, brief, engine, facts, good, high, rule

PENDING = high(for_="60s", gap="60s")
ABSENT = rule(id="absent", absent={"after": "5m", "severity": "minor"})


def restarted(judged: Engine, fresh: Engine, now: float) -> Engine:
    assert fresh.restore(judged.snapshot(), now_ms=int(now * 1000)) == []
    return fresh


def test_a_pending_count_goes_on_over_a_short_restart() -> None:
    judged = engine(PENDING)
    judged.samples([good(0, 28), good(30, 28)])
    after = restarted(judged, engine(PENDING, started=40), 40)
    assert after.advance(61_000) == []  # nobody saw the value hold while it was down
    assert [brief(event) for event in after.sample(good(65, 28))] == ["1m5s raised hi minor limit_exceeded"]


def test_a_pending_count_starts_anew_after_a_long_one() -> None:
    judged = engine(PENDING)
    judged.samples([good(0, 28), good(30, 28)])
    after = restarted(judged, engine(PENDING, started=640), 640)
    assert after.samples([good(645, 28), good(675, 28)]) == []
    assert [brief(event) for event in after.sample(good(705, 28))] == ["11m45s raised hi minor limit_exceeded"]


def test_an_active_alarm_survives_and_ends_under_its_own_occurrence() -> None:
    judged = engine(high())
    (raised,) = judged.sample(good(10, 28))
    after = restarted(judged, engine(high(), started=600), 600)
    assert [(held.occurrence, held.revision) for held in after.active()] == [(raised.occurrence, 1)]
    (ended,) = after.sample(good(601, 20))
    assert (ended.occurrence, ended.revision, ended.reason) == (raised.occurrence, 2, "recovered")


def test_a_restart_marks_nobody_absent() -> None:
    judged = engine(ABSENT)
    judged.sample(good(100, 22))
    judged.advance(120_000)
    after = restarted(judged, engine(ABSENT, started=36_000), 36_000)
    assert after.advance(36_200_000) == []
    assert [event.at for event in after.advance(37_000_000)] == [36_280_000]  # 20 s before, 280 s after


def test_a_timer_due_before_the_restart_acts_at_the_first_look_after_it() -> None:
    judged = engine(ABSENT, facts(TEMPERATURE, "room.humidity"))
    judged.sample(good(301, 50, "room.humidity"))  # time has gone past the other point's absence, nobody looked yet
    after = restarted(judged, engine(ABSENT, facts(TEMPERATURE, "room.humidity"), started=301), 301)
    assert [brief(event) for event in after.advance(301_000)] == ["5m raised absent minor data_absent"]


def test_a_clock_set_back_is_followed() -> None:
    judged = engine([PENDING, ABSENT])
    judged.samples([good(7200, 28), good(7230, 28)])
    after = restarted(judged, engine([PENDING, ABSENT], started=3600), 3600)
    assert after.sample(good(3610, 28)) == []
    assert after.samples([good(3640, 28)]) == []
    assert [brief(event) for event in after.sample(good(3661, 28))] == ["1h1m raised hi minor limit_exceeded"]
    assert [event.rule for event in after.advance(3_600_000 + 500_000)] == ["absent"]


def test_a_held_value_broken_before_the_restart_stays_broken() -> None:
    judged = engine(PENDING)
    judged.samples([good(0, 28), bad(30)])
    after = restarted(judged, engine(PENDING), 30)
    assert after.advance(60_001) == []


def test_late_samples_are_known_after_a_restart() -> None:
    judged = engine(high())
    judged.sample(good(100, 22))
    after = restarted(judged, engine(high()), 100)
    assert after.sample(good(99, 40)) == []


def test_a_lost_device_stays_lost() -> None:
    devices = facts(TEMPERATURE, COMMUNICATION)
    judged = engine(ABSENT, devices)
    judged.samples([good(0, 22), good(10, "lost", COMMUNICATION)])
    after = restarted(judged, engine(ABSENT, devices), 10)
    assert after.advance(10_000_000) == []
    after.sample(good(10_000, "ok", COMMUNICATION))
    assert [event.at for event in after.advance(11_000_000)] == [10_300_000]


def test_rules_edited_meanwhile_are_treated_as_a_reload() -> None:
    judged = engine([high(id="kept"), high(id="moved"), high(id="gone")])
    judged.sample(good(10, 28))
    after = engine([high(id="kept"), high(30, id="moved")], started=60)
    events = after.restore(judged.snapshot(), now_ms=60_000)
    assert [(event.rule, event.reason, event.at) for event in events] == [("gone", "rule_removed", 60_000)]
    assert [held.rule for held in after.active()] == ["kept", "moved"]
    assert [(event.rule, event.reason) for event in after.sample(good(61, 28))] == [("moved", "rule_changed")]


@pytest.mark.parametrize(
    ("snapshot", "message"),
    [
        (b"", "rule snapshot is damaged"),
        (b'{"version": 1, "origin"', "rule snapshot is damaged"),
        (b'{"version": 1, "origin": "agent-1"}', "rule snapshot is damaged"),
        (b'{"version": 99, "what": "ever"}', "rule snapshot is of version 99, this program reads 1"),
        (
            msgspec.json.encode({"version": 1, "origin": "agent-2", "now": 0, "points": [], "judges": []}),
            "rule snapshot belongs to 'agent-2', not to 'agent-1'",
        ),
    ],
)
def test_a_snapshot_that_cannot_be_taken_up_says_why(snapshot: bytes, message: str) -> None:
    judged = engine(high())
    judged.sample(good(10, 28))
    with pytest.raises(SnapshotError, match=message):
        judged.restore(snapshot, now_ms=20_000)
    assert len(judged.active()) == 1


@pytest.mark.parametrize("step", [-3600, 3600])
def test_a_step_of_the_clock_neither_deafens_nor_marks_absent(step: int) -> None:
    judged = engine([PENDING, ABSENT])
    judged.samples([good(7200, 28), good(7230, 28)])
    judged.clock_stepped(step * 1000)
    assert judged.advance((7240 + step) * 1000) == []
    (raised,) = judged.sample(good(7260 + step, 28))
    assert (raised.rule, raised.at) == ("r", (7260 + step) * 1000)
    assert judged.ignored == {}


def test_a_restart_before_the_device_has_answered_ends_nothing() -> None:
    judged = engine([high(), ABSENT], facts(TEMPERATURE))
    judged.sample(good(10, 28))
    judged.advance(400_000)
    nothing_known = DeviceFacts(id="d1", kind="sensor")
    after = restarted(judged, engine([high(), ABSENT], nothing_known, started=500), 500)
    assert [held.rule for held in after.active()] == ["absent", "r"]
    assert [(event.rule, event.reason) for event in after.sample(good(501, 20))] == [
        ("r", "recovered"), ("absent", "recovered"),
    ]  # fmt: skip


def test_a_point_that_never_answered_is_still_expected_after_a_restart() -> None:
    judged = engine(ABSENT, facts(TEMPERATURE))
    judged.advance(200_000)
    after = restarted(judged, engine(ABSENT, DeviceFacts(id="d1", kind="sensor"), started=300), 300)
    assert [event.at for event in after.advance(500_000)] == [400_000]

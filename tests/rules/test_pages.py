"""Snapshots of sites with more windows than are written at once."""

from rules.engine import Engine
from rules.pages import WINDOWS_AT_ONCE
from tests.rules.support import TEMPERATURE, brief, engine, facts, good, rule

RULES = [
    rule(id="rate", rate={"per": "10m", "rise": 5, "severity": "major"}),
    rule(id="absent", absent={"after": "10m", "severity": "minor"}),
]
MANY = WINDOWS_AT_ONCE + 200


def site(started: float = 0) -> Engine:
    return engine(RULES, *(facts(TEMPERATURE, device=f"d{number}") for number in range(MANY)), started=started)


def test_every_window_comes_round_and_what_goes_on_is_always_there() -> None:
    judged = site()
    for number in range(MANY):
        judged.sample(good(0, 20.0, device=f"d{number}"))
    judged.sample(good(60, 30.0, device="d7"))
    first = judged.snapshot()
    second = judged.snapshot()
    for body, whole in ((first, False), (second, True)):
        again = site()
        again.restore(body, now_ms=60_000)
        assert [held.device for held in again.active()] == ["d7"], "an alarm is in every snapshot"
        # A device whose window was kept raises on the next sample; one without starts a new window.
        raised = {
            event.device for number in range(MANY) for event in again.sample(good(70, 27.0, device=f"d{number}"))
            if event.kind == "raised"
        }  # fmt: skip
        assert (len(raised) == MANY - 1) is whole
        assert len(raised) >= WINDOWS_AT_ONCE - 1


def test_absence_is_never_told_early_for_a_restart() -> None:
    judged = site()
    for number in range(MANY):
        judged.sample(good(0, 20.0, device=f"d{number}"))
    for number in range(10):
        judged.sample(good(400, 20.0, device=f"d{number}"))
    judged.advance(420_000)
    again = site(started=420)
    again.restore(judged.snapshot(), now_ms=420_000)
    assert again.advance(600_000) == []
    late = again.advance(600_001)
    assert len(late) == MANY - 10, "those long silent are counted from where they stood"
    assert brief(late[0]) == "10m raised absent minor data_absent"
    assert {event.device for event in again.advance(1_100_000)} == {f"d{number}" for number in range(10)}

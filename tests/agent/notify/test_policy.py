"""Who is told what while the agent is cut off, and why: without any clock or channel."""

from datetime import timedelta

import msgspec
import pytest

from agent.notify.policy import (
    END_HOLD_MS,
    MARK_AGE_MS,
    MARK_SETTLED_MS,
    MOST_AGE_MS,
    MOST_WAITING,
    Fate,
    Judgement,
    Limits,
    Link,
    Notice,
    What,
    Why,
    decide,
    expired,
    held_back,
    judge,
    marks,
    moved,
    retry_after,
)
from agent.notify.texts import Manner, Named, message, summary
from facility.alarms import AlarmEventKind
from facility.clock import from_ms
from facility.severity import Severity
from server.tickets.policy import TicketPolicy
from tests.agent.notify.making import AT, event, notice

TAKES = frozenset({Severity.CRITICAL, Severity.MAJOR})
LIMITS = Limits(after_ms=60_000, at_most=3, per_ms=600_000)
CUT = Link(60_000, has_all=False)
RAISED, UPDATED, ENDED = AlarmEventKind.RAISED, AlarmEventKind.UPDATED, AlarmEventKind.ENDED


@pytest.mark.parametrize(
    ("kind", "severity", "reason", "held", "what", "fate"),
    [
        (RAISED, Severity.MAJOR, "state_matched", [], What.RAISED, Fate.NOTED),
        (RAISED, Severity.MINOR, "state_matched", [], None, Fate.NOT_WANTED),
        (UPDATED, Severity.CRITICAL, "escalated", [notice()], What.WORSENED, Fate.NOTED),
        (UPDATED, Severity.MAJOR, "escalated", [], What.WORSENED, Fate.NOTED),
        (UPDATED, Severity.MAJOR, "escalated", [notice(severity=Severity.CRITICAL)], None, Fate.NO_WORSE),
        (UPDATED, Severity.MAJOR, "deescalated", [], None, Fate.NO_WORSE),
        (UPDATED, Severity.MAJOR, "limits_changed", [], None, Fate.NO_WORSE),
        (ENDED, Severity.MAJOR, "recovered", [], What.ENDED, Fate.NOTED),
        (ENDED, Severity.MINOR, "recovered", [], None, Fate.NOT_WANTED),
        (ENDED, Severity.MINOR, "recovered", [notice(told_at=AT)], What.ENDED, Fate.NOTED),
        (ENDED, Severity.MAJOR, "recovered", [notice()], None, Fate.OVER_BEFORE_TOLD),
    ],
)
def test_what_an_event_is_to_a_channel(
    kind: AlarmEventKind, severity: Severity, reason: str, held: list[Notice], what: What | None, fate: Fate
) -> None:
    happened = event(kind, severity=severity, reason=reason, occurrence="o1")
    found = judge(happened, held, severities=TAKES)
    assert (found.what, found.fate) == (what, fate)


def test_what_got_worse_after_coming_back_is_not_over() -> None:
    end = notice(1, what=What.ENDED, occurrence="earlier")
    worse = event(UPDATED, severity=Severity.CRITICAL, reason="escalated")
    assert judge(worse, [end], severities=TAKES) == Judgement(What.WORSENED, Fate.NOTED, ((end, Fate.CAME_BACK),))


def test_what_comes_back_before_its_end_was_told_is_told_only_when_it_is_worse() -> None:
    told = notice(1, occurrence="earlier", told_at=AT)
    end = notice(2, occurrence="earlier", what=What.ENDED, reason="recovered")
    void = ((end, Fate.CAME_BACK),)
    found = judge(event(RAISED), [told, end], severities=TAKES)
    assert (found.what, found.fate, found.void) == (None, Fate.CAME_BACK, void)
    assert found.again is not None
    assert found.again.told_at == AT, "those who were told of the one were told of the other"
    assert judge(event(RAISED, severity=Severity.CRITICAL), [told, end], severities=TAKES) == Judgement(
        What.RAISED, Fate.NOTED, void
    )
    assert judge(event(RAISED, reason="flapping"), [told, end], severities=TAKES) == Judgement(
        What.FLAPPING, Fate.NOTED, void
    )


def test_what_comes_back_after_its_end_was_told_is_told() -> None:
    over = [notice(1, occurrence="earlier", told_at=AT), notice(2, occurrence="earlier", what=What.ENDED, told_at=AT)]
    assert judge(event(RAISED), over, severities=TAKES) == Judgement(What.RAISED, Fate.NOTED)


def test_an_end_is_held_as_long_as_the_centre_holds_a_ticket_and_no_longer_after_a_step_back() -> None:
    assert timedelta(milliseconds=END_HOLD_MS) == TicketPolicy().hold
    end = notice(1, what=What.ENDED, reason="recovered")
    assert held_back(end, end.noted_at + END_HOLD_MS - 1)
    assert not held_back(end, end.noted_at + END_HOLD_MS)
    assert not held_back(end, end.noted_at - 3_600_000), "the clock was set back"


def test_an_end_makes_what_waits_void_and_is_told_to_who_heard_of_the_beginning() -> None:
    told, worse = notice(1, told_at=AT), notice(2, what=What.WORSENED, severity=Severity.CRITICAL)
    worse = msgspec.structs.replace(worse, occurrence=told.occurrence)
    ended = event(ENDED, reason="recovered", occurrence=told.occurrence)
    assert judge(ended, [told, worse], severities=TAKES) == Judgement(
        What.ENDED, Fate.NOTED, ((worse, Fate.OVER_BEFORE_TOLD),)
    )


@pytest.mark.parametrize(
    ("link", "sent", "retry_at", "waiting", "why"),
    [
        (CUT, [], 0, 0, Why.NOTHING),
        (Link(59_999, has_all=False), [], 0, 1, Why.NOT_CUT_OFF),
        (CUT, [], 0, 1, Why.ONE),
        (CUT, [], AT + 1, 1, Why.BACKING_OFF),
        (CUT, [AT - 1, AT - 2], 0, 1, Why.ONE),
        (CUT, [AT - 1, AT - 2], 0, 2, Why.SUMMARY),
        (CUT, [AT - 1, AT - 2, AT - 3], 0, 2, Why.STORM_HELD),
        (CUT, [AT - 1, AT - 2, AT - 600_000], 0, 2, Why.SUMMARY),
        (CUT, [AT - 600_000] * 3, 0, 2, Why.ONE),
    ],
)
def test_what_a_channel_is_told_next(link: Link, sent: list[int], retry_at: int, waiting: int, why: Why) -> None:
    ready = [notice(number) for number in range(1, waiting + 1)]
    step = decide(ready, sent=sent, link=link, limits=LIMITS, retry_at=retry_at, now=AT)
    assert step.why is why
    assert len(step.notices) == {Why.ONE: 1, Why.SUMMARY: waiting}.get(why, 0)


def test_a_storm_is_so_many_messages_and_a_summary_and_the_worst_go_first() -> None:
    waiting = [notice(number) for number in range(1, 30)] + [notice(30, severity=Severity.CRITICAL)]
    sent: list[int] = []
    told: list[tuple[int, ...]] = []
    while (step := decide(waiting, sent=sent, link=CUT, limits=LIMITS, retry_at=0, now=AT)).notices:
        told.append(tuple(each.id for each in step.notices))
        waiting = [each for each in waiting if each not in step.notices]
        sent.append(AT)
    assert told == [(30,), (1,), tuple(range(2, 30))]


def test_a_critical_alarm_that_comes_after_a_storm_does_not_wait_for_it() -> None:
    stormy = [notice(number) for number in range(1, 20)]
    worst = notice(50, severity=Severity.CRITICAL)
    over = notice(51, severity=Severity.CRITICAL, what=What.ENDED, reason="rule_removed")

    def step(waiting: list[Notice], sent: list[int]) -> tuple[Why, int]:
        found = decide(waiting, sent=sent, link=CUT, limits=LIMITS, retry_at=0, now=AT)
        return found.why, len(found.notices)

    full = [AT - 3, AT - 2, AT - 1]
    assert step([worst], full) == (Why.ONE, 1)
    assert step([*stormy, worst], full) == (Why.SUMMARY, 20)
    assert step([*stormy, over], full) == (Why.STORM_HELD, 0)
    assert step([*stormy, worst], [*full, AT]) == (Why.STORM_HELD, 0), "one more message, and no more than that"


def test_what_goes_and_why() -> None:
    def fate(one: Notice, link: Link = CUT, *, after: int = 0, upto: int = 1) -> Fate | None:
        found = expired([one], channels={"oncall"}, link=link, upto=upto, now=AT + after)
        return found[0][1] if found else None

    back = Link(0, has_all=True)
    assert fate(notice()) is None
    assert fate(notice(channel="gone")) is Fate.NO_CHANNEL
    assert fate(notice(), back, upto=0) is None, "noted since: nobody knows yet"
    assert fate(notice(), back) is Fate.CENTRE_HAS_IT
    assert fate(notice(), after=MOST_AGE_MS + 1) is Fate.TOO_OLD
    assert fate(notice(told_at=AT), after=MARK_SETTLED_MS + 1) is None
    assert fate(notice(told_at=AT), back, after=MARK_SETTLED_MS + 1) is Fate.TOLD
    assert fate(notice(told_at=AT), after=MARK_AGE_MS + 1) is Fate.TOLD


def test_a_time_moves_with_the_clock_that_stamped_it() -> None:
    year = 365 * 86_400_000
    assert moved(20_000, AT - 50_000, now=AT) == AT - 30_000, "the first setting after a boot without a clock"
    assert moved(AT - year, AT - 50_000, now=AT) == AT - year, "kept from an earlier run, by a clock that was set"
    assert moved(AT - 1, 3_600_000, now=AT) == AT - 1, "kept from an earlier run: the clock was behind it until now"
    assert moved(AT - 1, -3_600_000, now=AT) == AT - 1 - 3_600_000, "set back"
    assert moved(20_000, -3_600_000, now=AT) == 20_000, "nobody knows when that was"


def test_too_many_lose_the_mildest_first() -> None:
    many = [notice(number) for number in range(MOST_WAITING)] + [notice(9999, severity=Severity.CRITICAL)]
    ((gone, fate),) = expired(many, channels={"oncall"}, link=CUT, upto=9999, now=AT)
    assert (gone.severity, fate) == (Severity.MAJOR, Fate.TOO_MANY)


def test_marks_name_the_worst_told_and_no_end_and_no_summary() -> None:
    told = [
        notice(1, occurrence="a", told_at=AT),
        notice(2, occurrence="a", told_at=AT + 5, what=What.WORSENED, severity=Severity.CRITICAL),
        notice(3, occurrence="b", told_at=AT, what=What.ENDED),
        notice(4, occurrence="c", told_at=AT, summed=True),
        notice(5, occurrence="d"),
    ]
    found = marks(told, {"oncall": "t"})
    assert [(mark.occurrence, mark.severity, mark.target, mark.at) for mark in found] == [
        ("a", Severity.CRITICAL, "t", AT + 5)
    ]


def test_attempts_are_spread_out() -> None:
    assert [retry_after(failures) // 1000 for failures in (1, 2, 3, 4, 5, 6, 7, 50)] == [
        5, 10, 20, 40, 80, 160, 300, 300,
    ]  # fmt: skip


def test_messages_in_both_languages() -> None:
    named = Named("UPS 1", "UPS on battery", "Hall")
    english = Manner(zh=False, zone="Asia/Shanghai", site="s1", cut_since=from_ms(AT))
    title, body = message(notice(), named, english)
    assert title == "[Major] alarm: UPS 1: UPS on battery"
    assert "Value: Battery" in body
    assert "no contact with the centre since 2027-01-15 16:00:00 Asia/Shanghai" in body
    chinese = Manner(zh=True, zone="UTC", site="s1", cut_since=None)
    title, body = message(notice(what=What.ENDED, reason="recovered"), named, chinese)
    assert title == "【二级 重要】告警结束:UPS 1:UPS on battery"
    assert "原因:已恢复" in body
    assert "中心" not in body
    title, body = summary([notice(1), notice(2), notice(3, severity=Severity.CRITICAL)], english)
    assert title == "s1: 3 more alarm messages"
    assert body.splitlines()[:2] == ["Critical, alarm: 1", "Major, alarm: 2"]

"""What is sent next, when again, and what answers mean: tables."""

import pytest

from agent.journal import Key
from agent.outbox_policy import (
    ANEW_EACH_S,
    ANEW_SPREAD_S,
    KEPT_FOR_URGENT,
    LIVE_S,
    PUBLISH_S,
    READINGS_ON_WAY,
    RECONNECT_MAX_S,
    TOKEN_BYTES,
    WINDOW,
    Act,
    Bucket,
    Flying,
    LiveMark,
    acknowledged_within,
    begin_anew,
    decide,
    due_again,
    due_in,
    may_send,
    plan,
    reconnect_after,
    resend_after,
)
from facility.wire import Answer, Kind, Verdict

STREAM = "00000000-0000-7000-8000-000000000001"


def flying(count: int, kind: Kind = Kind.READINGS, *, next_at: float = 30.0, start: int = 1) -> list[Flying]:
    return [Flying(Key(STREAM, start + i), kind, "", 1, next_at) for i in range(count)]


def going(size: int, *, start: int = 1) -> list[Flying]:
    """Readings of so many bytes that the broker has not acknowledged."""
    return [Flying(Key(STREAM, start), Kind.READINGS, "", 1, 30.0, size=size, on_way=True)]


@pytest.mark.parametrize(("tries", "seconds"), [(1, 30), (2, 60), (3, 120), (4, 240), (5, 300), (6, 300), (500, 300)])
def test_an_answer_is_waited_for_30_s_doubling_to_5_min(tries: int, seconds: float) -> None:
    assert resend_after(tries) == seconds


@pytest.mark.parametrize(
    ("last", "chance", "due"),
    [
        (-1e9, 0.0, 100.0),
        (-1e9, 1.0, 100.0 + ANEW_SPREAD_S),
        # Said twice in a breath, as by a centre that keeps losing its broker: not before its time.
        (99.0, 0.0, 99.0 + ANEW_EACH_S),
    ],
)
def test_a_centre_that_begins_anew_is_soon_sent_all_that_is_in_flight(last: float, chance: float, due: float) -> None:
    waiting = [*flying(3, next_at=400.0), *flying(1, next_at=100.0, start=9)]
    for each in waiting:
        each.tries = 5
    begin_anew(waiting, now=100.0, last=last, chance=chance)
    assert [each.next_at for each in waiting] == [due, due, due, 100.0]
    assert {each.tries for each in waiting} == {0}, "the next wait is the first again"


@pytest.mark.parametrize(
    ("failures", "chance", "seconds"),
    [(0, 1.0, 1.0), (0, 0.0, 0.5), (1, 1.0, 2.0), (2, 0.5, 3.0), (9, 1.0, RECONNECT_MAX_S), (10_000, 0.0, 7.5)],
)
def test_reconnecting_backs_off_and_spreads(failures: int, chance: float, seconds: float) -> None:
    assert reconnect_after(failures, chance) == seconds


def test_alarms_go_before_all_and_live_readings_before_the_backlog() -> None:
    fetches = plan([], live_from=70, tokens=5)
    assert [(fetch.kind, fetch.backlog) for fetch in fetches] == [
        (Kind.ALARMS, False),
        (Kind.EVENTS, False),
        (Kind.CATALOG, False),
        (Kind.HEALTH, False),
        (Kind.READINGS, False),
        (Kind.READINGS, True),
    ]
    live, backlog = fetches[-2:]
    assert (live.above, live.upto) == (70, None)
    assert (backlog.above, backlog.upto, backlog.limit) == (0, 70, 5)


@pytest.mark.parametrize(
    ("in_flight", "tokens", "kinds"),
    [
        (flying(WINDOW - KEPT_FOR_URGENT), 9, ["alarms", "events", "catalog", "health"]),  # readings have had theirs
        (flying(WINDOW), 9, []),  # the window is full
        (flying(5), 0, ["alarms", "events", "catalog", "health", "readings"]),  # no token: no backlog
    ],
)
def test_the_window_is_kept_and_alarms_have_room_in_it(in_flight: list[Flying], tokens: int, kinds: list[str]) -> None:
    assert [str(fetch.kind) for fetch in plan(in_flight, live_from=0, tokens=tokens)] == kinds


def test_what_flies_is_asked_for_on_top_because_the_journal_offers_it_again() -> None:
    fetches = plan(flying(20), live_from=0, tokens=100)
    assert fetches[-2].limit == WINDOW - 20 - KEPT_FOR_URGENT + 20
    assert fetches[0].limit == WINDOW - 20


def test_the_disk_is_asked_for_as_many_readings_as_have_room_on_the_way() -> None:
    assert plan([], live_from=0, tokens=100)[-1].limit == READINGS_ON_WAY // TOKEN_BYTES
    first = plan(going(READINGS_ON_WAY - TOKEN_BYTES - 1), live_from=0, tokens=100)
    assert [(fetch.kind, fetch.limit) for fetch in first[-2:]] == [(Kind.READINGS, 2 + 1)] * 2
    full = plan(going(READINGS_ON_WAY), live_from=0, tokens=100)
    assert Kind.READINGS not in {fetch.kind for fetch in full}


@pytest.mark.parametrize(
    ("sizes", "kind", "allowed"),
    [
        ([READINGS_ON_WAY - 1], Kind.READINGS, True),  # the last one may be over it, or a large one would never go
        ([READINGS_ON_WAY], Kind.READINGS, False),
        ([20_000] * 4, Kind.READINGS, False),
        ([20_000] * 4, Kind.ALARMS, True),
    ],
)
def test_readings_wait_for_those_on_the_way_and_alarms_do_not(sizes: list[int], kind: Kind, allowed: bool) -> None:
    waiting = [each for i, size in enumerate(sizes) for each in going(size, start=i + 1)]
    assert may_send(waiting, kind) is allowed
    for each in waiting:
        each.on_way = False  # the broker has them; the centre's answers are still out
    assert may_send(waiting, kind) is True


def test_overdue_readings_wait_for_those_on_the_way_and_alarms_go_before_them() -> None:
    alarm = flying(1, Kind.ALARMS, next_at=9.0, start=7)
    late = [*flying(1, next_at=1.0, start=8), *flying(1, next_at=2.0, start=9)]
    late[0].size = late[1].size = READINGS_ON_WAY
    assert due_again([*late, *alarm], 10.0) == [*alarm, late[0]]
    assert due_in([*late, *alarm], 10.0) == -9.0
    on_its_way = going(READINGS_ON_WAY)
    on_its_way[0].next_at = 0.0
    assert due_again([*on_its_way, *late, *alarm], 10.0) == alarm
    assert due_in([*on_its_way, *late, *alarm], 8.0) == 1.0, "the readings are woken by an acknowledgement"


def test_a_slow_link_has_the_time_it_takes() -> None:
    assert acknowledged_within(0) == PUBLISH_S
    assert acknowledged_within(READINGS_ON_WAY + 22_000) == pytest.approx(31.9, abs=0.1)


@pytest.mark.parametrize(
    ("count", "kind", "allowed"),
    [
        (WINDOW - KEPT_FOR_URGENT - 1, Kind.READINGS, True),
        (WINDOW - KEPT_FOR_URGENT, Kind.READINGS, False),
        (WINDOW - 1, Kind.ALARMS, True),
        (WINDOW, Kind.ALARMS, False),
    ],
)
def test_room_for_one_more(count: int, kind: Kind, allowed: bool) -> None:
    assert may_send(flying(count), kind) is allowed


def test_overdue_blocks_longest_first() -> None:
    late, later, not_yet = flying(1, next_at=5.0), flying(1, next_at=9.0, start=2), flying(1, next_at=11.0, start=3)
    assert due_again([*later, *not_yet, *late], 10.0) == [*late, *later]


@pytest.mark.parametrize(
    ("verdict", "reason", "after_s", "known", "act", "wait"),
    [
        (Verdict.COMMITTED, "", 0, True, Act.FORGET, 0),
        (Verdict.COMMITTED, "", 0, False, Act.FORGET, 0),  # the answer to a sending of an earlier connection
        (Verdict.REJECTED, "corrupt", 0, True, Act.QUARANTINE, 0),
        (Verdict.REJECTED, "corrupt", 0, False, Act.QUARANTINE, 0),
        (Verdict.RETRY, "busy", 7, True, Act.WAIT, 7),
        (Verdict.RETRY, "busy", 0, True, Act.WAIT, 1),  # never at once: that would be a loop
        (Verdict.RETRY, "busy", 1e9, True, Act.WAIT, 300),
        (Verdict.RETRY, "need_catalog", 2, True, Act.SEND_CATALOG, 2),
        (Verdict.RETRY, "busy", 7, False, Act.IGNORE, 0),
        (Verdict.CONFLICT, "", 0, True, Act.RENUMBER, 0),
        (Verdict.CONFLICT, "", 0, False, Act.IGNORE, 0),
    ],
)
def test_what_an_answer_means(
    verdict: Verdict, reason: str, after_s: float, known: bool, act: Act, wait: float
) -> None:
    decision = decide(Answer(STREAM, 1, verdict, reason, "", after_s), flying(1)[0] if known else None)
    assert (decision.act, decision.wait_s) == (act, wait)


def test_the_backlog_goes_at_its_rate() -> None:
    bucket = Bucket(8.0, 0.0)
    sent = 0
    for eighth in range(81):  # ten seconds, looked at eight times a second
        for _ in range(bucket.available(eighth / 8)):
            bucket.spend(400)
            sent += 1
    assert sent == 88  # eight a second, and the second's worth saved up at the start
    assert bucket.available(10.0) == 0
    assert bucket.next_in == 0.125


def test_a_merged_block_costs_what_it_weighs() -> None:
    bucket = Bucket(30.0, 0.0)
    sent = 0
    for fiftieth in range(501):  # ten seconds
        while bucket.available(fiftieth / 50):
            bucket.spend(22_000)
            sent += 22_000
    # At 4.4 bytes a value it is over twenty times a load of 600 values a second.
    assert sent / 10 == pytest.approx(30 * TOKEN_BYTES * 1.1, rel=0.1)
    assert sent / 10 / 4.4 > 20 * 600
    assert bucket.available(10.0) == 0
    assert bucket.next_in > 0


def test_live_is_what_was_born_in_the_last_minute() -> None:
    mark = LiveMark(500)
    assert mark.note(0.0, 500) == 500  # all that was there at the start is backlog
    for second in range(1, 200):
        backlog_to = mark.note(float(second), 500 + second)
        assert backlog_to == 500 + max(0, second - int(LIVE_S))


def test_what_an_outage_kept_is_backlog_when_the_link_returns() -> None:
    mark = LiveMark(0)
    for second in range(100):
        mark.note(float(second), second)
    for second in range(100, 4000, 15):  # cut off: noted with each attempt to connect
        mark.note(float(second), second)
    assert 3990 - LIVE_S - 30 <= mark.note(3990.0, 3990) <= 3990 - LIVE_S


def test_positions_that_begin_anew_are_all_backlog() -> None:
    mark = LiveMark(5000)
    for second in range(100):
        mark.note(float(second), 5000 + second)
    assert mark.note(100.0, 300) == 300  # the file was replaced
    assert mark.note(101.0, 301) == 300
    assert mark.note(100.0 + LIVE_S + 1, 400) == 301

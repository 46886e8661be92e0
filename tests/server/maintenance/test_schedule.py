"""The schedule: examples that once went wrong elsewhere, then the invariants by property."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.maintenance.recurrence import FixedRule, FloatingRule, Rule, Step, day_start, days
from server.maintenance.schedule import (
    CatchUp,
    Due,
    DueReason,
    Made,
    Schedule,
    due_orders,
    local_day,
    projected,
)

wall = datetime.fromisoformat

ZONES = ("Europe/London", "America/Chicago", "Australia/Lord_Howe", "Asia/Shanghai", "Asia/Kathmandu")
MONTHLY = FixedRule(rrule="FREQ=MONTHLY", dtstart=wall("2026-01-10T09:00"))
EVERY_30_DAYS = FloatingRule(every=30, step=Step.DAYS, dtstart=wall("2026-01-10T09:00"))


def schedule(rule: Rule, **changes: object) -> Schedule:
    fields: dict[str, object] = {
        "zone": ZoneInfo("Asia/Shanghai"),
        "lead_days": 0,
        "tolerance_days": 3,
        "catch_up": CatchUp.LATEST,
        "settled_on": date(2025, 12, 31),
        **changes,
    }
    return Schedule(rule=rule, **fields)  # type: ignore[arg-type]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def told(dues: Sequence[Due]) -> list[tuple[str, str]]:
    return [(str(due.due_on), due.reason.value) for due in dues]


class Books:
    """What a generator keeps of one plan: the model against which the true one is held."""

    def __init__(self, plan: Schedule) -> None:
        self.plan = plan
        self.orders: dict[date, Due] = {}
        self.open_on: date | None = None
        self.counted_from: date | None = None

    def made(self) -> Made:
        after = frozenset(day for day in self.orders if day > self.plan.settled_on)
        return Made(days=after, open_on=self.open_on, counted_from=self.counted_from)

    def run(self, now: datetime) -> list[Due]:
        dues = due_orders(self.plan, self.made(), now)
        for due in dues:
            assert due.due_on not in self.orders, "UNIQUE(plan, due_on)"
            self.orders[due.due_on] = due
            if due.reason.opens:
                self.open_on = due.due_on
            else:
                self.counted_from = due.due_on
        if dues and isinstance(self.plan.rule, FixedRule):
            self.plan = schedule_with(self.plan, dues[-1].due_on)
        return dues

    def finish(self, on: date) -> None:
        self.open_on, self.counted_from = None, max(on, self.counted_from or on)


def schedule_with(plan: Schedule, settled_on: date) -> Schedule:
    return Schedule(
        rule=plan.rule,
        zone=plan.zone,
        lead_days=plan.lead_days,
        tolerance_days=plan.tolerance_days,
        catch_up=plan.catch_up,
        settled_on=settled_on,
    )


def test_work_is_made_its_lead_time_ahead_and_not_a_day_earlier() -> None:
    plan = schedule(MONTHLY, lead_days=14, settled_on=date(2026, 1, 10))
    assert told(due_orders(plan, Made(), at("2026-01-26T15:59:59"))) == []
    (due,) = due_orders(plan, Made(), at("2026-01-26T16:00:00"))  # midnight in Shanghai
    assert told([due]) == [("2026-02-10", "ahead")]
    assert due.due_at == at("2026-02-10T01:00")
    assert due.overdue_at == at("2026-02-13T16:00"), "the day and three of tolerance are over"


def test_work_due_today_is_no_missed_work_until_the_day_is_over_at_the_site() -> None:
    plan = schedule(MONTHLY, catch_up=CatchUp.NONE)
    assert told(due_orders(plan, Made(), at("2026-01-10T15:59"))) == [("2026-01-10", "ahead")]
    assert told(due_orders(plan, Made(), at("2026-01-10T16:00"))) == [("2026-01-10", "missed")]


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        (CatchUp.ALL, ["caught_up", "caught_up", "caught_up"]),
        (CatchUp.LATEST, ["superseded", "superseded", "caught_up"]),
        (CatchUp.NONE, ["missed", "missed", "missed"]),
    ],
)
def test_what_the_server_slept_through_becomes_what_the_policy_says(catch_up: CatchUp, expected: list[str]) -> None:
    plan = schedule(MONTHLY, catch_up=catch_up)
    assert told(due_orders(plan, Made(), at("2026-03-20T00:00"))) == list(
        zip(["2026-01-10", "2026-02-10", "2026-03-10"], expected, strict=True)
    )


def test_latest_means_one_order_on_return_also_when_today_is_due() -> None:
    plan = schedule(MONTHLY, catch_up=CatchUp.LATEST)
    assert told(due_orders(plan, Made(), at("2026-03-10T03:00"))) == [
        ("2026-01-10", "superseded"),
        ("2026-02-10", "superseded"),
        ("2026-03-10", "ahead"),
    ]


def test_fixed_work_done_early_leaves_the_next_day_where_it_was() -> None:
    books = Books(schedule(MONTHLY, lead_days=7))
    assert told(books.run(at("2026-01-05T00:00"))) == [("2026-01-10", "ahead")]
    books.finish(date(2026, 1, 8))
    assert books.run(at("2026-01-20T00:00")) == []
    assert told(books.run(at("2026-02-03T00:00"))) == [("2026-02-10", "ahead")]


def test_floating_work_counts_from_when_it_was_done_early_or_late() -> None:
    books = Books(schedule(EVERY_30_DAYS, lead_days=5))
    assert told(books.run(at("2026-01-06T00:00"))) == [("2026-01-10", "ahead")]
    assert books.run(at("2026-04-01T00:00")) == [], "the next is not born before this one is done"
    books.finish(date(2026, 1, 8))
    assert told(books.run(at("2026-02-03T00:00"))) == [("2026-02-07", "ahead")]
    books.finish(date(2026, 2, 27))
    assert told(books.run(at("2026-03-26T00:00"))) == [("2026-03-29", "ahead")]


def test_floating_work_done_so_early_that_the_next_falls_on_a_day_that_has_an_order_takes_the_following_day() -> None:
    books = Books(schedule(EVERY_30_DAYS, lead_days=40))
    books.run(at("2026-01-06T00:00"))
    books.finish(date(2025, 12, 11))
    assert told(books.run(at("2026-01-06T00:00"))) == [("2026-01-11", "ahead")]


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        (CatchUp.ALL, [("2026-01-10", "caught_up")]),
        (CatchUp.LATEST, [("2026-01-10", "caught_up")]),
        (CatchUp.NONE, [("2026-01-10", "missed"), ("2026-02-09", "missed"), ("2026-03-11", "ahead")]),
    ],
)
def test_floating_work_slept_through_is_one_order(catch_up: CatchUp, expected: list[tuple[str, str]]) -> None:
    plan = schedule(EVERY_30_DAYS, catch_up=catch_up)
    assert told(due_orders(plan, Made(), at("2026-03-11T03:00"))) == expected


def test_a_plan_begun_long_ago_makes_nothing_for_the_time_before_it_was_in_force() -> None:
    daily = FixedRule(rrule="FREQ=DAILY", dtstart=wall("2020-01-01T09:00"))
    plan = schedule(daily, catch_up=CatchUp.ALL, settled_on=date(2026, 3, 9))
    assert told(due_orders(plan, Made(), at("2026-03-10T03:00"))) == [("2026-03-10", "ahead")]
    floating = FloatingRule(every=30, step=Step.DAYS, dtstart=wall("2020-01-01T09:00"))
    plan = schedule(floating, settled_on=date(2026, 3, 9))
    assert told(due_orders(plan, Made(), at("2026-03-10T03:00"))) == [("2026-03-10", "ahead")]


def test_the_calendar_projects_what_has_no_order_yet() -> None:
    fixed = schedule(MONTHLY, settled_on=date(2026, 2, 10))
    first, last = date(2026, 1, 1), date(2026, 5, 31)
    assert told(projected(fixed, Made(), first=first, last=last)) == [
        ("2026-03-10", "ahead"),
        ("2026-04-10", "ahead"),
        ("2026-05-10", "ahead"),
    ]
    floating = schedule(EVERY_30_DAYS)
    open_one = Made(days=frozenset({date(2026, 3, 1)}), open_on=date(2026, 3, 1))
    assert told(projected(floating, open_one, first=date(2026, 3, 1), last=date(2026, 5, 1))) == [
        ("2026-03-31", "ahead"),
        ("2026-04-30", "ahead"),
    ]


FIXED = st.builds(
    FixedRule,
    rrule=st.sampled_from(
        [
            "FREQ=DAILY",
            "FREQ=DAILY;INTERVAL=3",
            "FREQ=WEEKLY;BYDAY=MO,FR",
            "FREQ=MONTHLY;SKIP=BACKWARD",
            "FREQ=MONTHLY;SKIP=OMIT",
            "FREQ=MONTHLY;BYDAY=-1SU",
            "FREQ=MONTHLY;BYMONTHDAY=-1",
        ]
    ),
    dtstart=st.datetimes(wall("2026-01-01T00:00"), wall("2026-12-31T23:59")),
)
FLOATING = st.builds(
    FloatingRule,
    every=st.integers(1, 40),
    step=st.sampled_from(Step),
    dtstart=st.datetimes(wall("2026-01-01T00:00"), wall("2026-12-31T23:59")),
)
SCHEDULES = st.builds(
    Schedule,
    rule=FIXED | FLOATING,
    zone=st.sampled_from([ZoneInfo(name) for name in ZONES]),
    lead_days=st.integers(0, 40),
    tolerance_days=st.integers(0, 10),
    catch_up=st.sampled_from(CatchUp),
    settled_on=st.dates(date(2025, 12, 1), date(2026, 12, 31)),
)
# Hours between looks: from the job's pace to a server that was off for months.
PAUSES = st.lists(
    st.tuples(st.sampled_from([0.1, 1, 7, 24, 26, 24 * 10, 24 * 100]), st.booleans()), min_size=1, max_size=30
)
START = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)


@given(plan=SCHEDULES, pauses=PAUSES)
@settings(max_examples=300)
def test_no_day_comes_twice_days_increase_and_a_second_run_adds_nothing(
    plan: Schedule, pauses: list[tuple[float, bool]]
) -> None:
    books, now = Books(plan), START
    for hours, finished in pauses:
        now += timedelta(hours=hours)
        today = local_day(now, plan.zone)
        dues = books.run(now)
        found = [due.due_on for due in dues]
        assert found == sorted(set(found))
        assert [due.due_at for due in dues] == sorted({due.due_at for due in dues})
        assert all(due.due_at < due.overdue_at for due in dues)
        assert all(day > plan.settled_on for day in found)
        assert all(day <= today + timedelta(days=plan.lead_days) for day in found)
        assert all((due.due_on >= today) == (due.reason is DueReason.AHEAD) for due in dues)
        assert books.run(now) == []
        if finished and books.open_on is not None:
            books.finish(today)


@given(
    rule=FIXED,
    zone=st.sampled_from([ZoneInfo(name) for name in ZONES]),
    catch_up=st.sampled_from(CatchUp),
    missed=st.sampled_from([1, 10, 100]),
    settled=st.dates(date(2026, 1, 1), date(2026, 12, 31)),
)
@settings(max_examples=200)
def test_a_server_down_over_so_many_days_due_does_exactly_what_the_policy_says(
    rule: FixedRule, zone: ZoneInfo, catch_up: CatchUp, missed: int, settled: date
) -> None:
    plan = schedule(rule, zone=zone, catch_up=catch_up, settled_on=settled)
    wanted = list(islice(days(rule, zone, first=settled + timedelta(days=1), last=date(2045, 1, 1)), missed))
    back = wanted[-1] + timedelta(days=1)
    dues = due_orders(plan, Made(), day_start(back, zone))
    past = [due for due in dues if due.due_on < back]
    today_due = any(due.due_on == back for due in dues)
    assert [due.due_on for due in past] == wanted
    opened = [due.due_on for due in past if due.reason.opens]
    if plan.catch_up is CatchUp.ALL:
        assert opened == wanted
    elif plan.catch_up is CatchUp.LATEST:
        assert opened == ([] if today_due else wanted[-1:])
    else:
        assert opened == []


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("hour", [0, 1, 2, 9, 23])
def test_a_daily_plan_keeps_its_time_of_day_over_both_clock_changes(zone: str, hour: int) -> None:
    plan = schedule(
        FixedRule(rrule="FREQ=DAILY", dtstart=wall(f"2026-01-01T{hour:02d}:30")),
        zone=ZoneInfo(zone),
        catch_up=CatchUp.ALL,
        lead_days=364,
    )
    dues = due_orders(plan, Made(), datetime(2026, 1, 1, 12, tzinfo=UTC))
    assert [due.due_on for due in dues] == [date(2026, 1, 1) + timedelta(days=n) for n in range(len(dues))]
    assert len(dues) == 365
    odd = [due for due in dues if due.due_at.astimezone(plan.zone).time().replace(second=0).hour != hour]
    assert len(odd) <= 1, "only the hour that the spring change leaves out"
    assert len({due.overdue_at for due in dues}) == 365


def test_one_run_is_bounded_and_the_next_goes_on_where_it_stopped() -> None:
    books = Books(schedule(FixedRule(rrule="FREQ=DAILY", dtstart=wall("2026-01-01T09:00")), catch_up=CatchUp.LATEST))
    now = at("2028-01-15T03:00")
    assert [len(books.run(now)) for _ in range(3)] == [366, 366, 13]
    opened = [day for day, due in books.orders.items() if due.reason.opens]
    assert opened == [date(2028, 1, 15)]

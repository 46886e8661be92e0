"""Recurrence rules: what is accepted, which days they give, and what is answered to the others."""

from datetime import date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.maintenance.recurrence import FixedRule, FloatingRule, RuleError, Step, add, check, days, instant

wall = datetime.fromisoformat
SHANGHAI = ZoneInfo("Asia/Shanghai")


def first_days(rrule: str, dtstart: str = "2026-01-05T09:00", count: int = 4) -> list[str]:
    rule = FixedRule(rrule=rrule, dtstart=datetime.fromisoformat(dtstart))
    return [str(day) for day in islice(days(rule, SHANGHAI, first=date(2026, 1, 1), last=date(2030, 1, 1)), count)]


@pytest.mark.parametrize(
    ("rrule", "dtstart", "expected"),
    [
        ("FREQ=DAILY;INTERVAL=10", "2026-01-05T09:00", ["2026-01-05", "2026-01-15", "2026-01-25", "2026-02-04"]),
        ("FREQ=WEEKLY;BYDAY=MO,TH", "2026-01-05T09:00", ["2026-01-05", "2026-01-08", "2026-01-12", "2026-01-15"]),
        ("FREQ=MONTHLY;BYDAY=2TU", "2026-01-05T09:00", ["2026-01-13", "2026-02-10", "2026-03-10", "2026-04-14"]),
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            "2026-01-05T09:00",
            ["2026-01-30", "2026-02-27", "2026-03-31", "2026-04-30"],
        ),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", "2026-01-05T09:00", ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]),
        ("FREQ=MONTHLY;SKIP=BACKWARD", "2026-01-31T09:00", ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]),
        ("FREQ=MONTHLY;SKIP=BACKWARD", "2026-01-29T09:00", ["2026-01-29", "2026-02-28", "2026-03-29", "2026-04-29"]),
        ("FREQ=MONTHLY;SKIP=OMIT", "2026-01-31T09:00", ["2026-01-31", "2026-03-31", "2026-05-31", "2026-07-31"]),
        (
            "FREQ=MONTHLY;INTERVAL=3;SKIP=BACKWARD",
            "2025-11-30T09:00",
            ["2026-02-28", "2026-05-30", "2026-08-30", "2026-11-30"],
        ),
        ("FREQ=YEARLY;SKIP=BACKWARD", "2024-02-29T09:00", ["2026-02-28", "2027-02-28", "2028-02-29", "2029-02-28"]),
        ("FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=31", "2026-01-05T09:00", ["2026-01-31", "2027-01-31", "2028-01-31"]),
        ("FREQ=MONTHLY;BYMONTH=6,12;BYMONTHDAY=1", "2026-01-05T09:00", ["2026-06-01", "2026-12-01", "2027-06-01"]),
        ("FREQ=DAILY;COUNT=2", "2026-01-05T09:00", ["2026-01-05", "2026-01-06"]),
        ("FREQ=DAILY;COUNT=3", "2025-12-30T09:00", ["2026-01-01"]),
        ("FREQ=DAILY;UNTIL=20260106", "2026-01-05T09:00", ["2026-01-05", "2026-01-06"]),
        ("FREQ=DAILY;UNTIL=20260106T010000Z", "2026-01-05T09:00", ["2026-01-05", "2026-01-06"]),
        ("FREQ=DAILY;UNTIL=20260106T005959Z", "2026-01-05T09:00", ["2026-01-05"]),
        ("rrule:freq=daily;count=1", "2026-01-05T09:00", ["2026-01-05"]),
    ],
)
def test_a_rule_gives_its_days(rrule: str, dtstart: str, expected: list[str]) -> None:
    assert first_days(rrule, dtstart, len(expected) if len(expected) > 2 else 4) == expected


@pytest.mark.parametrize(
    ("rrule", "dtstart", "says"),
    [
        ("every month", "2026-01-05T09:00", "NAME=VALUE"),
        ("FREQ=HOURLY", "2026-01-05T09:00", "DAILY, WEEKLY, MONTHLY, YEARLY"),
        ("INTERVAL=2", "2026-01-05T09:00", "FREQ must be"),
        ("FREQ=DAILY;BYHOUR=3", "2026-01-05T09:00", "BYHOUR does not go with FREQ=DAILY"),
        ("FREQ=DAILY;FREQ=WEEKLY", "2026-01-05T09:00", "twice"),
        ("FREQ=DAILY;INTERVAL=0", "2026-01-05T09:00", "INTERVAL=0"),
        ("FREQ=DAILY;COUNT=x", "2026-01-05T09:00", "COUNT=X"),
        ("FREQ=WEEKLY;BYDAY=XX", "2026-01-05T09:00", "RFC 5545"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "2026-01-05T09:00", "BYMONTHDAY=0"),
        ("FREQ=MONTHLY;BYMONTHDAY=first", "2026-01-05T09:00", "no list of numbers"),
        ("FREQ=MONTHLY;BYMONTH=13;BYMONTHDAY=1", "2026-01-05T09:00", "BYMONTH=13"),
        ("FREQ=MONTHLY", "2026-01-31T09:00", "SKIP=BACKWARD"),
        ("FREQ=MONTHLY;BYMONTHDAY=15,31", "2026-01-05T09:00", "day 31 is not in every month"),
        ("FREQ=YEARLY", "2024-02-29T09:00", "day 29 is not in every month"),
        ("FREQ=MONTHLY;SKIP=FORWARD", "2026-01-31T09:00", "SKIP must be"),
        ("FREQ=MONTHLY;BYMONTHDAY=15,31;SKIP=BACKWARD", "2026-01-05T09:00", "one day"),
        ("FREQ=DAILY;UNTIL=soon", "2026-01-05T09:00", "UNTIL=SOON"),
        ("FREQ=DAILY;UNTIL=20250101", "2026-01-05T09:00", "never due"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;SKIP=OMIT", "2026-01-05T09:00", "never due"),
        ("FREQ=DAILY;RSCALE=CHINESE", "2026-01-05T09:00", "GREGORIAN"),
        ("FREQ=DAILY;" + "WKST=MO;" * 30, "2026-01-05T09:00", "longer than"),
    ],
)
def test_a_rule_that_cannot_be_followed_says_what_to_write(rrule: str, dtstart: str, says: str) -> None:
    with pytest.raises(RuleError, match=says):
        check(FixedRule(rrule=rrule, dtstart=datetime.fromisoformat(dtstart)), SHANGHAI)


@pytest.mark.parametrize("every", [0, 1001])
def test_a_floating_rule_has_bounds(every: int) -> None:
    with pytest.raises(RuleError, match="1 to 1000"):
        check(FloatingRule(every=every, step=Step.DAYS, dtstart=wall("2026-01-05T09:00")), SHANGHAI)


@pytest.mark.parametrize(
    ("start", "every", "step", "expected"),
    [
        ("2026-01-31", 1, Step.MONTHS, "2026-02-28"),
        ("2024-01-31", 1, Step.MONTHS, "2024-02-29"),
        ("2026-12-15", 3, Step.MONTHS, "2027-03-15"),
        ("2026-01-31", 10, Step.DAYS, "2026-02-10"),
        ("2026-03-10", 120, Step.MONTHS, "2036-03-10"),
    ],
)
def test_days_and_months_are_added_by_the_calendar(start: str, every: int, step: Step, expected: str) -> None:
    assert str(add(date.fromisoformat(start), every, step)) == expected


@given(
    rrule=st.sampled_from(
        [
            "FREQ=DAILY;INTERVAL=7",
            "FREQ=DAILY;INTERVAL=5;BYDAY=MO,TU,WE",
            "FREQ=WEEKLY",
            "FREQ=WEEKLY;INTERVAL=3;BYDAY=SU,MO;WKST=SU",
            "FREQ=MONTHLY;SKIP=OMIT",
            "FREQ=MONTHLY;INTERVAL=5;SKIP=BACKWARD",
            "FREQ=MONTHLY;INTERVAL=2;BYDAY=-1FR,1MO",
            "FREQ=MONTHLY;BYMONTH=3,9;BYMONTHDAY=-1,1",
            "FREQ=YEARLY;SKIP=OMIT",
            "FREQ=YEARLY;INTERVAL=2;SKIP=BACKWARD",
            "FREQ=YEARLY;INTERVAL=3;BYWEEKNO=1,20,53;BYDAY=MO",
            "FREQ=YEARLY;BYYEARDAY=1,200,-1",
            "FREQ=YEARLY;BYMONTH=2,3;BYDAY=2TU",
        ]
    ),
    dtstart=st.datetimes(wall("2016-01-01T00:00"), wall("2019-12-31T23:59")),
    later=st.integers(0, 4000),
)
@settings(max_examples=400)
def test_looking_from_a_later_day_gives_the_same_days(rrule: str, dtstart: datetime, later: int) -> None:
    rule, start = FixedRule(rrule=rrule, dtstart=dtstart), dtstart.date()
    first = start + timedelta(days=later)
    last = first + timedelta(days=1500)
    whole = [day for day in days(rule, SHANGHAI, first=start, last=last) if day >= first]
    assert list(days(rule, SHANGHAI, first=first, last=last)) == whole


@pytest.mark.parametrize(
    ("zone", "wall", "utc"),
    [
        ("Europe/London", "2026-03-29T01:30", "2026-03-29T01:30"),  # the hour does not exist: 02:30 summer time
        ("Europe/London", "2026-10-25T01:30", "2026-10-25T00:30"),  # twice: the first
        ("America/Chicago", "2026-03-08T02:30", "2026-03-08T08:30"),
        ("America/Chicago", "2026-11-01T01:30", "2026-11-01T06:30"),
        ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:45"),  # half an hour forward
        ("Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-04T14:45"),
        ("Asia/Shanghai", "2026-06-01T09:00", "2026-06-01T01:00"),
        ("Asia/Kathmandu", "2026-06-01T09:00", "2026-06-01T03:15"),
    ],
)
def test_a_wall_time_is_one_instant_on_every_day(zone: str, wall: str, utc: str) -> None:
    at = datetime.fromisoformat(wall)
    assert instant(at.date(), at.time(), ZoneInfo(zone)).isoformat()[:16] == utc

"""The warranty rule, by table and by property."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.assets.warranty import (
    MAX_MONTHS,
    WarrantyStatus,
    anniversary,
    days_left,
    warranty_end,
    warranty_status,
)


@pytest.mark.parametrize(
    ("accepted", "months", "last_day"),
    [
        ("2026-03-10", 12, "2027-03-09"),
        ("2026-03-10", 24, "2028-03-09"),
        ("2026-02-28", 12, "2027-02-27"),
        ("2024-02-29", 12, "2025-02-28"),  # the anniversary is 1 March: twelve months are never shorter than that
        ("2024-02-29", 48, "2028-02-28"),
        ("2026-01-31", 1, "2026-02-28"),
        ("2026-08-31", 6, "2027-02-28"),
        ("2026-08-31", 1, "2026-09-30"),
        ("2026-12-31", 2, "2027-02-28"),
        ("2026-01-01", 12, "2026-12-31"),
        ("2026-12-01", 1, "2026-12-31"),
        ("2026-03-10", 0, "2026-03-09"),
    ],
)
def test_the_last_day_is_the_day_before_the_anniversary(accepted: str, months: int, last_day: str) -> None:
    assert warranty_end(date.fromisoformat(accepted), months) == date.fromisoformat(last_day)


def test_without_acceptance_there_is_no_end_and_that_is_not_expired() -> None:
    assert warranty_end(None, 12) is None
    assert days_left(None, date(2030, 1, 1)) is None
    assert warranty_status(None, date(2030, 1, 1)) is WarrantyStatus.NOT_ACCEPTED


@pytest.mark.parametrize(
    ("today", "left", "status"),
    [
        ("2027-02-08", 29, WarrantyStatus.IN_WARRANTY),
        ("2027-03-09", 0, WarrantyStatus.IN_WARRANTY),
        ("2027-03-10", -1, WarrantyStatus.EXPIRED),
    ],
)
def test_the_last_day_is_inclusive(today: str, left: int, status: WarrantyStatus) -> None:
    end = warranty_end(date(2026, 3, 10), 12)
    assert days_left(end, date.fromisoformat(today)) == left
    assert warranty_status(end, date.fromisoformat(today)) is status


@pytest.mark.parametrize("months", [-1, MAX_MONTHS + 1])
def test_a_term_out_of_bounds_is_refused(months: int) -> None:
    with pytest.raises(ValueError, match=f"{months} months"):
        warranty_end(date(2026, 3, 10), months)


DAYS = st.dates(min_value=date(1970, 1, 1), max_value=date(2100, 12, 31))


@given(start=DAYS, months=st.integers(0, MAX_MONTHS))
def test_an_anniversary_is_the_same_day_or_the_first_after_a_short_month(start: date, months: int) -> None:
    found = anniversary(start, months)
    before = found - timedelta(days=1)
    whole = (before.year - start.year) * 12 + before.month - start.month
    if found.day == start.day:
        assert (found.year - start.year) * 12 + found.month - start.month == months
    else:
        assert found.day == 1
        assert start.day > before.day
        assert whole == months


@given(start=DAYS, months=st.integers(0, 300), more=st.integers(1, 300))
def test_a_longer_term_never_ends_earlier(start: date, months: int, more: int) -> None:
    short, long = warranty_end(start, months), warranty_end(start, months + more)
    assert short is not None
    assert long is not None
    assert short < long

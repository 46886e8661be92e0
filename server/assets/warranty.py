"""When a warranty ends and what is left of it. Pure; the rule is argued in docs/adr (warranty anniversary).

A warranty of n months begins on the day of acceptance, which is its first day, and its last day is the day before the
n-th monthly anniversary, until midnight in the site's zone. Accepted 2026-03-10 for 12 months: the last day is
2027-03-09. Where the month has no such day, the anniversary is the first of the following month: accepted 2024-02-29
for 12 months, the last day is 2025-02-28. So n months are never shorter than the calendar's n months.
"""

from datetime import date, timedelta
from enum import StrEnum

# 50 years; more than the life of anything in a machine room, and a typing error caught.
MAX_MONTHS = 600


class WarrantyStatus(StrEnum):
    """`NOT_ACCEPTED` is not `EXPIRED`: a warranty that has not begun cannot have ended."""

    NOT_ACCEPTED = "not_accepted"
    IN_WARRANTY = "in_warranty"
    EXPIRED = "expired"


def anniversary(start: date, months: int) -> date:
    """The same day `months` later, or the first of the month after where that month has no such day."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    try:
        return start.replace(year=year, month=month + 1)
    except ValueError:
        year, month = divmod(year * 12 + month + 1, 12)
        return date(year, month + 1, 1)


def warranty_end(accepted_on: date | None, months: int) -> date | None:
    """The last day of the warranty, inclusive; None while there is no acceptance.

    No warranty at all is 0 months: over on the day before acceptance. Raises ValueError beyond `MAX_MONTHS`.
    """
    if accepted_on is None:
        return None
    if not 0 <= months <= MAX_MONTHS:
        raise ValueError(f"a warranty of {months} months: say 0 to {MAX_MONTHS}")
    return anniversary(accepted_on, months) - timedelta(days=1)


def days_left(end: date | None, today: date) -> int | None:
    """Days after `today` (the site's calendar) in warranty: 0 on the last day, negative once it is over."""
    return None if end is None else (end - today).days


def warranty_status(end: date | None, today: date) -> WarrantyStatus:
    """`end` as `warranty_end` gave it, `today` by the site's calendar."""
    if end is None:
        return WarrantyStatus.NOT_ACCEPTED
    return WarrantyStatus.IN_WARRANTY if today <= end else WarrantyStatus.EXPIRED

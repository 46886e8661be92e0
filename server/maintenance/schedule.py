"""Which orders a plan is due. Pure: values in, days out, each with a named reason.

Invariants, each with a test:
- a day is answered once: what was made before, and what lies up to `settled_on`, never comes again;
- days come strictly increasing;
- asking again after applying the answer gives nothing, at any pace and however long nobody asked;
- a due whose day is over at the site was missed; what becomes of it is said by `CatchUp`, never by accident;
- a day is the site's calendar day: a plan keeps its time of day over clock changes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import islice
from zoneinfo import ZoneInfo

from server.maintenance.recurrence import FixedRule, FloatingRule, Rule, add, day_start, days, instant

# One run answers a year of daily work; the rest comes with the next run.
MAX_DUES = 366


class CatchUp(StrEnum):
    """What becomes of work whose day passed before an order could be made (the server was down).

    Missed days without an order of their own are recorded as skipped, so that punctuality counts them.
    """

    ALL = "all"  # an order for each missed day
    LATEST = "latest"  # an order for the newest missed day, unless today is due itself: one order on return
    NONE = "none"  # none: the next due day will do


class DueReason(StrEnum):
    AHEAD = "ahead"  # its day has not passed: the ordinary case
    CAUGHT_UP = "caught_up"  # its day has passed, an order is made nevertheless
    MISSED = "missed"  # its day has passed, the policy wants no order
    SUPERSEDED = "superseded"  # its day has passed, and a newer missed one has the order

    @property
    def opens(self) -> bool:
        """Whether somebody shall do the work."""
        return self in (DueReason.AHEAD, DueReason.CAUGHT_UP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What of a plan decides its days. Nothing is due up to and including `settled_on`: it was answered before, or the
    plan was not in force."""

    rule: Rule
    zone: ZoneInfo
    lead_days: int
    tolerance_days: int
    catch_up: CatchUp
    settled_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What was made of the plan so far.

    `days`: of every order after `settled_on`. `open_on`: the day of an open order, None when there is none.
    `counted_from`: the newest day from which a floating rule counts, of what is done or skipped.
    """

    days: frozenset[date] = frozenset()
    open_on: date | None = None
    counted_from: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """`due_at`: the plan's time on that day. `overdue_at`: when the day and the tolerance are over."""

    due_on: date
    due_at: datetime
    overdue_at: datetime
    reason: DueReason


def local_day(now: datetime, zone: ZoneInfo) -> date:
    return now.astimezone(zone).date()


def due_orders(schedule: Schedule, made: Made, now: datetime) -> list[Due]:
    """What must be made of the plan now, oldest first: everything due up to today and `lead_days` ahead."""
    today = local_day(now, schedule.zone)
    horizon = today + timedelta(days=schedule.lead_days)
    if isinstance(schedule.rule, FixedRule):
        reasons = _fixed(schedule, schedule.rule, made, today, horizon)
    else:
        reasons = _floating(schedule, schedule.rule, made, today, horizon)
    return [_due(schedule, day, reason) for day, reason in reasons]


def projected(schedule: Schedule, made: Made, *, first: date, last: date) -> list[Due]:
    """Days from `first` to `last` for which there will be an order, if all goes to plan: floating work counted as if
    each were done on its day. Days that have an order already are not among them."""
    start = max(first, schedule.settled_on + timedelta(days=1))
    if isinstance(schedule.rule, FixedRule):
        found: Iterator[date] = days(schedule.rule, schedule.zone, first=start, last=last)
    else:
        found = _chain(schedule, schedule.rule, made, last)
    wanted = (day for day in found if day >= start and day not in made.days)
    return [_due(schedule, day, DueReason.AHEAD) for day in islice(wanted, MAX_DUES)]


def _fixed(
    schedule: Schedule, rule: FixedRule, made: Made, today: date, horizon: date
) -> Iterator[tuple[date, DueReason]]:
    following = schedule.settled_on + timedelta(days=1)
    due = [day for day in days(rule, schedule.zone, first=following, last=horizon) if day not in made.days]
    newest = max((day for day in due if day <= today), default=None)
    for day in due[:MAX_DUES]:
        if day >= today:
            yield day, DueReason.AHEAD
        elif schedule.catch_up is CatchUp.ALL or (schedule.catch_up is CatchUp.LATEST and day == newest):
            yield day, DueReason.CAUGHT_UP
        else:
            yield day, DueReason.MISSED if schedule.catch_up is CatchUp.NONE else DueReason.SUPERSEDED


def _floating(
    schedule: Schedule, rule: FloatingRule, made: Made, today: date, horizon: date
) -> Iterator[tuple[date, DueReason]]:
    """At most one order is open, because the next counts from when it is done; so ALL and LATEST are the same."""
    if made.open_on is not None:
        return
    for day in islice(_chain(schedule, rule, made, horizon), MAX_DUES):
        if day >= today:
            yield day, DueReason.AHEAD
            return
        if schedule.catch_up is not CatchUp.NONE:
            yield day, DueReason.CAUGHT_UP
            return
        yield day, DueReason.MISSED


def _chain(schedule: Schedule, rule: FloatingRule, made: Made, last: date) -> Iterator[date]:
    """Days up to `last`, each counted from the one before; a day that has an order already gives way to the next."""
    counted_from = made.open_on or made.counted_from
    while True:
        day = rule.dtstart.date() if counted_from is None else add(counted_from, rule.every, rule.step)
        day = max(day, schedule.settled_on + timedelta(days=1))
        while day in made.days:
            day += timedelta(days=1)
        if day > last:
            return
        yield day
        counted_from = day


def _due(schedule: Schedule, day: date, reason: DueReason) -> Due:
    return Due(
        due_on=day,
        due_at=instant(day, schedule.rule.dtstart.time(), schedule.zone),
        overdue_at=day_start(day + timedelta(days=schedule.tolerance_days + 1), schedule.zone),
        reason=reason,
    )

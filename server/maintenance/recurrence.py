"""Recurrence rules in wall time. Pure.

A fixed rule is RFC 5545 text over a wall time; days follow the site's calendar, so a daily plan is due at the same time
of day on both sides of a clock change. A floating rule counts days or months from when the work was last done.

Only what recurs in days or longer is accepted, once a day at most: an order is known by (plan, day). A rule whose day
of the month does not exist every month must say what then happens (RFC 7529): SKIP=BACKWARD takes the last day of the
month, SKIP=OMIT leaves the month out, as RFC 5545 alone would do in silence.
"""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import islice
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr

MAX_RULE = 200  # characters of a rule's text
MAX_INTERVAL = 1000
# A rule must be due at least once in its first ten years, else it is a typing error (or FREQ=YEARLY;BYMONTHDAY=31).
FIRST_WITHIN = timedelta(days=3653)

# Parts beside FREQ that mean something for each frequency (RFC 5545, 3.3.10). The narrower sets also bound the work:
# the expansion looks at every step, and a daily rule for the 30th of February would look at three million days.
_COMMON = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYMONTH", "SKIP", "RSCALE"})
_PARTS = {
    "DAILY": _COMMON | {"BYDAY"},
    "WEEKLY": _COMMON | {"BYDAY", "BYSETPOS"},
    "MONTHLY": _COMMON | {"BYDAY", "BYMONTHDAY", "BYSETPOS"},
    "YEARLY": _COMMON | {"BYDAY", "BYMONTHDAY", "BYSETPOS", "BYWEEKNO", "BYYEARDAY"},
}
_DAY_PARTS = frozenset({"BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY"})
_MONTH_DAYS = {month: 28 if month == 2 else calendar.monthrange(2026, month)[1] for month in range(1, 13)}


class RuleError(ValueError):
    """A rule that cannot be followed; the message says what to write instead."""


class Step(StrEnum):
    DAYS = "days"
    MONTHS = "months"


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedRule:
    """Due on the days of an RFC 5545 rule, whenever the work was done. `dtstart` is wall time, naive."""

    rrule: str
    dtstart: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatingRule:
    """Due `every` days or months after the work was last done; first on the day of `dtstart` (wall time, naive)."""

    every: int
    step: Step
    dtstart: datetime


Rule = FixedRule | FloatingRule


@dataclass(frozen=True, slots=True)
class _Parsed:
    """What dateutil is given. COUNT and UNTIL are kept apart, so that every expansion can be bounded by a day."""

    parts: dict[str, str]
    count: int | None
    until: datetime | None


def instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The UTC instant of a wall time: the first of two where clocks go back; moved by the gap where they go forward."""
    return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """The UTC instant at which a day begins at a place."""
    return instant(day, time(0), zone)


def check(rule: Rule, zone: ZoneInfo) -> None:
    """Raises RuleError unless the rule can be followed and is due at least once within ten years of its start."""
    if isinstance(rule, FloatingRule):
        if not 1 <= rule.every <= MAX_INTERVAL:
            raise RuleError(f"every {rule.every} {rule.step.value}: say 1 to {MAX_INTERVAL}")
        return
    first = rule.dtstart.date()
    if next(days(rule, zone, first=first, last=first + FIRST_WITHIN), None) is None:
        raise RuleError(f"{rule.rrule!r} is never due in the ten years from {first}: check days, months and UNTIL")


def days(rule: FixedRule, zone: ZoneInfo, *, first: date, last: date) -> Iterator[date]:
    """The days from `first` to `last`, both inclusive, on which the rule is due, in order, each once."""
    parsed = _parse(rule, zone)
    until = datetime.combine(last, time.max)
    if parsed.until is not None:
        until = min(until, parsed.until)
    dtstart = rule.dtstart if parsed.count is not None else _nearer(parsed.parts, rule.dtstart, first)
    try:
        expanded = rrulestr(";".join(f"{name}={value}" for name, value in parsed.parts.items()), dtstart=dtstart)
    except ValueError as error:
        raise RuleError(f"{rule.rrule!r} is not an RFC 5545 rule: {error}") from error
    if not isinstance(expanded, rrule):
        raise RuleError(f"{rule.rrule!r}: one rule without DTSTART, EXDATE or a second line")
    for at in islice(expanded.replace(until=until), parsed.count):
        if at.date() >= first:
            yield at.date()


def add(day: date, every: int, step: Step) -> date:
    """`day` and so many days or months later; the last day of the month where the month has no such day."""
    if step is Step.DAYS:
        return day + timedelta(days=every)
    year, month = divmod(day.year * 12 + day.month - 1 + every, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _parse(rule: FixedRule, zone: ZoneInfo) -> _Parsed:
    parts = _split(rule.rrule)
    count = int(parts.pop("COUNT")) if "COUNT" in parts else None
    until = _until(parts.pop("UNTIL"), zone) if "UNTIL" in parts else None
    parts.pop("RSCALE", None)
    _apply_skip(parts, parts.pop("SKIP", None), rule.dtstart)
    return _Parsed(parts, count, until)


def _nearer(parts: dict[str, str], dtstart: datetime, first: date) -> datetime:
    """A start that gives the same days from `first` on, a whole number of intervals later and at least one before it.

    Expansion walks from the start: 10 ms for a daily rule of six years, which a thousand plans cannot afford. What the
    rule takes from its start (RFC 5545: the day, the month) is written into `parts` where the new start differs in it.
    """
    interval = int(parts.get("INTERVAL", "1"))
    match parts["FREQ"]:
        case "DAILY" | "WEEKLY":
            step = interval if parts["FREQ"] == "DAILY" else 7 * interval
            return dtstart + timedelta(days=max(0, (first - dtstart.date()).days // step - 1) * step)
        case "MONTHLY":
            months = (first.year - dtstart.year) * 12 + first.month - dtstart.month
            turns = max(0, months // interval - 1)
        case _:
            turns = max(0, (first.year - dtstart.year) // interval - 1)
    if turns == 0:
        return dtstart
    implied = not _DAY_PARTS & parts.keys()
    if implied:
        parts["BYMONTHDAY"] = str(dtstart.day)
    if parts["FREQ"] == "MONTHLY":
        return datetime.combine(add(dtstart.date().replace(day=1), turns * interval, Step.MONTHS), dtstart.time())
    if implied:
        parts.setdefault("BYMONTH", str(dtstart.month))
    return dtstart.replace(year=dtstart.year + turns * interval, month=1, day=1)


def _split(text: str) -> dict[str, str]:
    if len(text) > MAX_RULE:
        raise RuleError(f"the rule is longer than {MAX_RULE} characters")
    parts: dict[str, str] = {}
    for part in text.strip().upper().removeprefix("RRULE:").split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise RuleError(f"{part!r} is no NAME=VALUE, such as FREQ=MONTHLY;BYDAY=1MO")
        if name in parts:
            raise RuleError(f"{name} is given twice")
        parts[name] = value
    allowed = _PARTS.get(parts.get("FREQ", ""))
    if allowed is None:
        raise RuleError(f"FREQ must be one of {', '.join(_PARTS)}")
    for name in parts.keys() - allowed:
        raise RuleError(f"{name} does not go with FREQ={parts['FREQ']}: use {', '.join(sorted(allowed))}")
    for name, most in (("INTERVAL", MAX_INTERVAL), ("COUNT", 100_000)):
        if name in parts and not (parts[name].isdecimal() and 1 <= int(parts[name]) <= most):
            raise RuleError(f"{name}={parts[name]}: say 1 to {most}")
    if parts.get("RSCALE", "GREGORIAN") != "GREGORIAN":
        raise RuleError("RSCALE: only GREGORIAN is supported")
    return parts


def _until(text: str, zone: ZoneInfo) -> datetime:
    """UNTIL in wall time: a day is taken whole, a UTC instant is shown on the site's clock."""
    try:
        if len(text) == len("20261231"):
            return datetime.combine(date.fromisoformat(text), time.max)
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise RuleError(f"UNTIL={text}: write a day such as 20261231 or an instant such as 20261231T010000Z") from error
    return at if at.tzinfo is None else at.astimezone(zone).replace(tzinfo=None)


def _apply_skip(parts: dict[str, str], skip: str | None, dtstart: datetime) -> None:
    """Make of a day that a month lacks what SKIP says; refuse it where nothing is said."""
    if skip not in (None, "OMIT", "BACKWARD"):
        raise RuleError("SKIP must be BACKWARD (the last day of the month) or OMIT (leave the month out)")
    months = _numbers("BYMONTH", parts, 12, signed=False)
    listed = _numbers("BYMONTHDAY", parts, 31, signed=True)
    if parts["FREQ"] not in ("MONTHLY", "YEARLY") or (not listed and _DAY_PARTS & parts.keys()):
        return
    yearly = parts["FREQ"] == "YEARLY"
    if not months:
        if yearly and not listed:
            months = [dtstart.month]
        else:
            interval = 1 if yearly else int(parts.get("INTERVAL", "1"))
            months = sorted({(dtstart.month - 1 + turn * interval) % 12 + 1 for turn in range(12)})
    wanted = listed or [dtstart.day]
    day = max(wanted, key=abs)
    if abs(day) <= min(_MONTH_DAYS[month] for month in months) or skip == "OMIT":
        return
    if skip is None:
        raise RuleError(
            f"day {day} is not in every month: add SKIP=BACKWARD for the last day of a shorter month, "
            "or SKIP=OMIT to leave that month out"
        )
    if len(wanted) > 1 or day < 0 or {"BYSETPOS", "BYDAY"} & parts.keys() or (yearly and len(months) > 1):
        raise RuleError("SKIP=BACKWARD takes one day from the 1st on, without BYDAY and BYSETPOS, with FREQ=MONTHLY")
    parts["BYMONTH"] = ",".join(str(month) for month in months)
    parts["BYMONTHDAY"] = ",".join(str(one) for one in range(28, day + 1))
    parts["BYSETPOS"] = "-1"


def _numbers(name: str, parts: dict[str, str], most: int, *, signed: bool) -> list[int]:
    """The numbers of a part, empty when it is absent."""
    try:
        found = [int(one) for one in parts[name].split(",")] if name in parts else []
    except ValueError as error:
        raise RuleError(f"{name}={parts[name]} is no list of numbers") from error
    if any(not 1 <= (abs(one) if signed else one) <= most for one in found):
        raise RuleError(
            f"{name}={parts[name]}: say 1 to {most}" + (f", or -1 to -{most} from the end" if signed else "")
        )
    return found

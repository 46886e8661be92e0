"""What an agent says about its alarms, checked before anything of it is believed. Pure."""

from datetime import datetime, timedelta
from uuid import UUID

from facility.alarms import AlarmEvent, AlarmEventKind, EndReason
from facility.clock import from_ms, to_ms
from facility.items import EARLIEST_MS
from facility.wire import RejectReason
from server.alarms.lifecycle import Revision

# An alarm is too dear to refuse for a clock some minutes ahead (readings are held at five); a day is no clock drift.
MOST_AHEAD = timedelta(days=1)
# One a millisecond, the finest time there is, for three weeks; a count beyond it is no count.
MOST_SWINGS = 1 << 31
MAX_VALUE_TEXT = 200
_INT32 = 2**31 - 1
_LENGTHS = {"rule": 120, "subject": 120, "metric": 120, "level": 32, "reason": 64, "rule_revision": 64}


def is_occurrence(text: str) -> bool:
    """A UUID in its canonical text."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def fault_of(event: AlarmEvent, *, origin: str, now: datetime) -> tuple[RejectReason, str] | None:
    """Why an event from the agent `origin` cannot be taken; None when it can."""
    bad = RejectReason.BAD_ITEM
    if not is_occurrence(event.occurrence):
        return bad, "an occurrence is a UUID in canonical text"
    if event.origin != origin:
        return bad, f"origin {event.origin[:63]!r} is not the agent that sent it"
    if not 1 <= event.revision <= _INT32:
        return bad, f"revision {event.revision} is not between 1 and {_INT32}"
    for name, limit in _LENGTHS.items():
        text: str = getattr(event, name)
        if len(text) > limit or "\x00" in text:
            return bad, f"{name} has more than {limit} characters or a NUL"
    for value in (event.value, event.limit):
        if isinstance(value, str) and (len(value) > MAX_VALUE_TEXT or "\x00" in value):
            return bad, f"a value has more than {MAX_VALUE_TEXT} characters or a NUL"
    if not 0 <= (event.swings or 0) <= MOST_SWINGS:
        return bad, f"{event.swings} is no count"
    if event.kind is AlarmEventKind.ENDED and event.reason not in set(EndReason):
        return bad, f"{event.reason!r} is no end reason: {', '.join(EndReason)}"
    if not EARLIEST_MS <= event.at <= to_ms(now + MOST_AHEAD):
        return RejectReason.BAD_TIME, f"{event.at} is before 2020 or over {MOST_AHEAD.days} day ahead"
    return None


def revision_of(event: AlarmEvent) -> Revision:
    return Revision(
        revision=event.revision,
        kind=event.kind,
        level=event.level,
        severity=event.severity,
        at=from_ms(event.at),
        value=event.value,
        limit=event.limit,
        reason=event.reason,
        rule_revision=event.rule_revision,
        swings=event.swings or 0,
    )

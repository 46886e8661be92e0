"""What an agent says about its alarms, checked before anything of it is believed. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from facility.alarms import ActiveOccurrence, AlarmEvent, AlarmEventKind, EndReason
from facility.clock import from_ms, to_ms
from facility.ids import is_slug
from facility.items import EARLIEST_MS, AlarmItem
from facility.wire import RejectedItem, RejectReason
from server.alarms.lifecycle import Revision
from server.alarms.models import MAX_LEVEL

# An alarm is too dear to refuse for a clock some minutes ahead (readings are held at five); a day is no clock drift.
MOST_AHEAD = timedelta(days=1)
# One a millisecond, the finest time there is, for three weeks; a count beyond it is no count.
MOST_SWINGS = 1 << 31
MAX_VALUE_TEXT = 200
NO_OCCURRENCE = "an occurrence is a UUID in canonical text"
_INT32 = 2**31 - 1
_LENGTHS = {"rule": 120, "subject": 120, "metric": 120, "level": MAX_LEVEL, "reason": 64, "rule_revision": 64}


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
        return bad, NO_OCCURRENCE
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


def snapshots_of(
    items: Sequence[AlarmItem], *, now: datetime
) -> tuple[list[tuple[datetime, list[ActiveOccurrence]]], list[RejectedItem]]:
    """The snapshots among the items, each with its time, and their entries that can name no alarm, refused.

    No event of such an occurrence was ever taken, so a snapshot says of all others what it would say with it. One of a
    clock that is wrong for events counts as made now: else it would outweigh all that come once the clock is right.
    """
    latest = to_ms(now + MOST_AHEAD)
    found: list[tuple[datetime, list[ActiveOccurrence]]] = []
    refused: list[RejectedItem] = []
    for position, item in enumerate(items):
        if item.snapshot is None:
            continue
        held: list[ActiveOccurrence] = []
        for i, entry in enumerate(item.snapshot):
            fault = _fault_of_entry(entry)
            if fault is None:
                held.append(entry)
            else:
                refused.append(RejectedItem(f"[{position}].snapshot[{i}]", RejectReason.BAD_ITEM, fault))
        found.append((from_ms(item.at) if item.at <= latest else now, held))
    return found, refused


def _fault_of_entry(entry: ActiveOccurrence) -> str | None:
    if not is_occurrence(entry.occurrence):
        return NO_OCCURRENCE
    if not is_slug(entry.device):
        return "device is an id"
    for name in ("rule", "subject"):
        text: str = getattr(entry, name)
        if len(text) > _LENGTHS[name] or "\x00" in text:
            return f"{name} has more than {_LENGTHS[name]} characters or a NUL"
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

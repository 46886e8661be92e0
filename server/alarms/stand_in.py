"""What an agent holds active and the centre has no word of becomes an alarm all the same. Pure.

The raise may have been refused, put into quarantine with its block, or lost with a page of the agent's disk: no agent
says it again, and the alarm would stand unheard until it changes or ends. A snapshot that comes before a raise which is
merely under way says the same, so it takes two of them, heard ten minutes apart; an agent sends alarms before readings
and in order, and has long sent the raise by then. Were it later still: the stand-in is revision 0, which counts for
nothing in the fold once a true revision is here.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from facility.alarms import ActiveOccurrence, AlarmEvent, AlarmEventKind
from facility.clock import to_ms
from facility.ids import made_at
from facility.items import EARLIEST_MS
from facility.severity import Severity, worst
from server.alarms.lifecycle import STAND_IN, Held
from server.alarms.models import MAX_LEVEL
from server.fleet.texts import clip

# Agents send a snapshot each ten minutes; timers may be a little early.
HEARD_APART = timedelta(minutes=9)
# So that a block stays a short transaction: what is held beyond it waits for the next snapshot.
MOST_AT_ONCE = 200


def overdue(first_heard: datetime, now: datetime) -> bool:
    """Whether what a snapshot held at `first_heard` and one holds now should have been raised here by now."""
    return now - first_heard >= HEARD_APART


def stand_in(
    entry: ActiveOccurrence, *, origin: str, at: datetime, metric: str, levels: Sequence[Mapping[str, Any]] | None
) -> AlarmEvent:
    """Revision 0 of an occurrence that a snapshot made `at` holds. levels: of its rule, None where that is not known.

    Which level broke is not known: the severity is the worst the rule has, for nobody is to sleep through it.
    """
    known = [Severity(level["severity"]) for level in levels or ()]
    return AlarmEvent(
        occurrence=entry.occurrence,
        revision=STAND_IN,
        kind=AlarmEventKind.RAISED,
        origin=origin,
        device=entry.device,
        rule=entry.rule,
        subject=entry.subject,
        metric=metric,
        level=clip(str(levels[0]["id"]), MAX_LEVEL) if levels is not None and len(levels) == 1 else "",
        severity=worst(known) if known else Severity.MAJOR,
        at=_born_ms(entry.occurrence, at),
        value=None,
        limit=None,
        reason=Held.RAISE_MISSING if known else Held.RAISE_AND_RULE_MISSING,
        rule_revision="",
    )


def _born_ms(occurrence: str, at: datetime) -> int:
    """When it was raised: a UUIDv7 says so. Never after the snapshot, nor before there were agents."""
    held_ms = to_ms(at)
    if UUID(occurrence).version != 7:
        return held_ms
    return max(EARLIEST_MS, min(made_at(occurrence), held_ms))

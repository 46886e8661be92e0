"""The life of an alarm, decided without a session or a clock.

An occurrence is the fold of its revisions, of the acknowledgements people gave, and of what snapshots said. The fold
looks at sets only, never at the order of arrival: `fold` over any permutation, with any repetition, is the same alarm.

The states are those of ISA-18.2. Shelved, suppressed by design and out of service join the table when something can
bring an alarm there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from facility.alarms import AlarmEventKind, EndReason
from facility.severity import Severity, worst

Value = float | str | None


class AlarmState(StrEnum):
    """NORMAL: over and seen; RETURNED_UNACKED: over, and nobody has said that they saw it."""

    NORMAL = "normal"
    UNACKED = "unacked"
    ACKED = "acked"
    RETURNED_UNACKED = "returned_unacked"


class Trigger(StrEnum):
    RAISED = "raised"
    UPDATED = "updated"
    WORSENED = "worsened"
    ENDED = "ended"
    ACKNOWLEDGED = "acknowledged"


class Transition(StrEnum):
    """Why a state followed another; shown in the alarm's log unchanged."""

    CAME = "came"
    STILL_THERE = "still_there"
    SEEN = "seen"
    ACK_ENDED_WORSE = "ack_ended_worse"
    WENT_SEEN = "went_seen"
    WENT_UNSEEN = "went_unseen"
    SEEN_AFTER = "seen_after"


class Arrival(StrEnum):
    """Whether the centre heard of the occurrence while it lasted."""

    LIVE = "live"
    CLEARED_BEFORE_ARRIVAL = "cleared_before_arrival"


_S, _T, _R = AlarmState, Trigger, Transition
TRANSITIONS: Mapping[tuple[AlarmState, Trigger], tuple[AlarmState, Transition]] = {
    (_S.NORMAL, _T.RAISED): (_S.UNACKED, _R.CAME),
    (_S.UNACKED, _T.UPDATED): (_S.UNACKED, _R.STILL_THERE),
    (_S.UNACKED, _T.WORSENED): (_S.UNACKED, _R.STILL_THERE),
    (_S.UNACKED, _T.ACKNOWLEDGED): (_S.ACKED, _R.SEEN),
    (_S.UNACKED, _T.ENDED): (_S.RETURNED_UNACKED, _R.WENT_UNSEEN),
    (_S.ACKED, _T.UPDATED): (_S.ACKED, _R.STILL_THERE),
    (_S.ACKED, _T.WORSENED): (_S.UNACKED, _R.ACK_ENDED_WORSE),
    (_S.ACKED, _T.ENDED): (_S.NORMAL, _R.WENT_SEEN),
    (_S.RETURNED_UNACKED, _T.ACKNOWLEDGED): (_S.NORMAL, _R.SEEN_AFTER),
}


def may_acknowledge(state: AlarmState) -> bool:
    return (state, Trigger.ACKNOWLEDGED) in TRANSITIONS


class Held(StrEnum):
    """Why the centre raised itself what an agent holds: the raise, or its rule as well, is not here."""

    RAISE_MISSING = "raise_missing"
    RAISE_AND_RULE_MISSING = "raise_and_rule_missing"


# Agents count from 1: the one before is the centre's own, for one that should be here and is not.
STAND_IN, FIRST = 0, 1

# A snapshot bears the time it was made, an alarm that of the sample or the timer that raised it, which may be judged a
# little later: timers within a second, samples when their poll is done (10 s at most by default). Three times that.
SNAPSHOT_JUDGES_AFTER = timedelta(seconds=30)


def judges(snapshot_at: datetime, raised_at: datetime) -> bool:
    """Whether an occurrence has ended that a snapshot does not hold. One that began just before the snapshot may have
    been raised just after it; the agent sends the next one within ten minutes.
    """
    return raised_at <= snapshot_at - SNAPSHOT_JUDGES_AFTER


def retirement(now: datetime, *, seen_at: datetime | None) -> datetime:
    """When an occurrence counts as retired: now, or right after the newest snapshot that held it. That bears the
    agent's time; were its clock ahead, the snapshot would outweigh a retirement that came after it.
    """
    return now if seen_at is None else max(now, seen_at + timedelta(milliseconds=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One revision as it was sent. `at` is the agent's word for when; `reason` of an end is an `EndReason`; `swings`
    is how often it was back while it stood flapping.
    """

    revision: int
    kind: AlarmEventKind
    level: str
    severity: Severity
    at: datetime
    value: Value
    limit: Value
    reason: str
    rule_revision: str
    swings: int = 0


def began_at(revisions: Iterable[Revision]) -> datetime:
    """When an occurrence began, as far as these tell; at least one. Before the raise is here, a stand-in may know."""
    known = sorted(revisions, key=lambda revision: revision.revision)
    oldest = next((r for r in known if r.revision != STAND_IN), known[0])
    return oldest.at if oldest.revision == FIRST else min(known[0].at, oldest.at)


@dataclass(frozen=True, slots=True)
class Ack:
    """An acknowledgement: it was given having seen `revision`, when the severity was `severity`."""

    revision: int
    severity: Severity


@dataclass(frozen=True, slots=True)
class Marks:
    """What the centre knows of an occurrence beside its own revisions.

    succeeded_at: when the next younger occurrence of the same key began (an agent holds one of a key at a time).
    orphaned_at: the newest snapshot of its agent that did not hold it; seen_at: the newest one that did.
    retired_at: when its agent was retired, or its device found to be another agent's.
    """

    succeeded_at: datetime | None = None
    orphaned_at: datetime | None = None
    retired_at: datetime | None = None
    seen_at: datetime | None = None

    @property
    def ended(self) -> tuple[datetime, EndReason] | None:
        """When it ended without saying so, and why. A snapshot that still holds it outweighs what came before."""
        found = [(at, EndReason.SUPERSEDED) for at in (self.succeeded_at, self.orphaned_at) if at is not None]
        if self.retired_at is not None:
            found.append((self.retired_at, EndReason.DEVICE_RETIRED))
        return min((end for end in found if self.seen_at is None or end[0] > self.seen_at), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """An occurrence as its revisions tell it. `severity`, `value` and `limit` are the newest while it lasted."""

    revision: int
    level: str
    severity: Severity
    worst: Severity
    value: Value
    limit: Value
    rule_revision: str
    raised_at: datetime
    updated_at: datetime
    active: bool
    ended_at: datetime | None
    end_reason: EndReason | None
    ended_by_itself: bool
    state: AlarmState
    why: Transition


def fold(revisions: Iterable[Revision], *, acks: Iterable[Ack] = (), marks: Marks | None = None) -> Folded:
    """The occurrence these make, in whatever order and however often they are given; at least one revision.

    Nothing follows an end: revisions after the first `ended` are kept in the log and change nothing. A stand-in counts
    while it is alone, for whoever acknowledged it, and for when it began until the true raise is here.
    """
    given = [revision for _, revision in sorted({r.revision: r for r in revisions}.items())]
    ordered = [r for r in given if r.revision != STAND_IN] or given
    seen = sorted(acks, key=lambda ack: ack.revision)
    end = next((r for r in ordered if r.kind is AlarmEventKind.ENDED), None)
    if end is not None:
        ordered = [r for r in ordered if r.revision <= end.revision]
    living = [r for r in ordered if r.kind is not AlarmEventKind.ENDED]
    newest = living[-1] if living else ordered[-1]
    marked = None if end is not None or marks is None else marks.ended
    ended_at, end_reason = marked or (None, None)
    if end is not None:
        ended_at, end_reason = end.at, EndReason(end.reason)
    stood_in = given[0] is not ordered[0] and any(ack.revision == STAND_IN for ack in seen)
    state, why = _replay([given[0], *ordered] if stood_in else ordered, seen, marked=marked is not None)
    return Folded(
        revision=ordered[-1].revision,
        level=newest.level,
        severity=newest.severity,
        worst=worst([r.severity for r in ordered]),
        value=newest.value,
        limit=newest.limit,
        rule_revision=newest.rule_revision,
        raised_at=began_at(given),
        updated_at=ordered[-1].at if marked is None else marked[0],
        active=ended_at is None,
        ended_at=ended_at,
        end_reason=end_reason,
        ended_by_itself=end is not None,
        state=state,
        why=why,
    )


def _replay(ordered: list[Revision], acks: list[Ack], *, marked: bool) -> tuple[AlarmState, Transition]:
    """Walk the table. The oldest revision known is the coming, whatever its kind: those before it are under way."""
    state, why = TRANSITIONS[AlarmState.NORMAL, Trigger.RAISED]
    waiting = list(acks)
    seen: Ack | None = None
    for position, revision in enumerate(ordered):
        if revision.kind is AlarmEventKind.ENDED:
            trigger = Trigger.ENDED
        elif seen is not None and revision.severity.worse_than(seen.severity):
            trigger = Trigger.WORSENED
        else:
            trigger = Trigger.UPDATED
        if position > 0 or trigger is Trigger.ENDED:
            state, why = TRANSITIONS.get((state, trigger), (state, why))
        while waiting and waiting[0].revision <= revision.revision:
            seen = waiting.pop(0)
            state, why = TRANSITIONS.get((state, Trigger.ACKNOWLEDGED), (state, why))
    if marked:
        state, why = TRANSITIONS.get((state, Trigger.ENDED), (state, why))
    return state, why

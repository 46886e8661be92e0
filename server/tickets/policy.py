"""What an alarm means for tickets, decided without a session or a clock.

One alarm key has at most one open ticket. Two changes that arrive in another order lead to the same ticket: the
decision looks at the worst severity and at the end, never at whether the alarm was still active when it was heard of.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from facility.alarms import EndReason
from facility.severity import Severity
from server.alarms.watching import AlarmSnapshot


class TicketDecision(StrEnum):
    """Each is a reason that ends up in the ticket's log or in a metric unchanged."""

    OPENED_NEW = "opened_new"
    OPENED_LINKED = "opened_linked"
    APPENDED_TO_OPEN = "appended_to_open"
    SEVERITY_RAISED = "severity_raised"
    REOPENED = "reopened"
    NOTED_ON_PAST = "noted_on_past"
    FLAPPING = "flapping"
    ACK_NOTED = "ack_noted"
    HELD = "held"
    AUTO_RESOLVED = "auto_resolved"
    TAKEN_BY_PERSON = "taken_by_person"
    NOT_RECOVERED = "not_recovered"
    BELOW_THRESHOLD = "below_threshold"
    MUTED = "muted"
    UNCHANGED = "unchanged"
    NO_TICKET = "no_ticket"


@dataclass(frozen=True, slots=True)
class TicketPolicy:
    """threshold: the mildest severity that opens a ticket. hold: how long an alarm must be gone before a ticket nobody
    took resolves itself. reopen_within: how long after the end of a ticket the same alarm reopens it.
    """

    threshold: Severity = Severity.MINOR
    hold: timedelta = timedelta(minutes=10)
    reopen_within: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class OpenTicket:
    """The open ticket of the alarm's key. covers: it names this very occurrence."""

    severity: Severity
    taken: bool
    covers: bool


@dataclass(frozen=True, slots=True)
class PastTicket:
    """The newest ticket of the key that is not open; `over_at` is when it was resolved, or closed if later."""

    over_at: datetime
    severity: Severity


_COVERING = (
    TicketDecision.OPENED_NEW,
    TicketDecision.OPENED_LINKED,
    TicketDecision.APPENDED_TO_OPEN,
    TicketDecision.SEVERITY_RAISED,
    TicketDecision.REOPENED,
)


def decide(
    before: AlarmSnapshot | None,
    after: AlarmSnapshot,
    *,
    ticket: OpenTicket | None,
    past: PastTicket | None,
    key_end: EndReason | None,
    policy: TicketPolicy,
    now: datetime,
) -> tuple[TicketDecision, ...]:
    """What to do about one change of one occurrence, in order. At most one of `ticket` and `past` is given.

    key_end is how the key's youngest occurrence ended, None while one is active: a late word of an older occurrence
    must not undo what the younger one says of the trouble.
    """
    decisions: list[TicketDecision] = []
    came = before is None or (after.active and (not before.active or before.muted_because != after.muted_because))
    worse = before is not None and after.worst_severity.worse_than(before.worst_severity)
    if came or worse:
        decisions.append(_trouble(after, ticket=ticket, past=past, key_end=key_end, policy=policy, now=now))
    if before is not None and after.acked_by is not None and before.acked_by is None and ticket is not None:
        decisions.append(TicketDecision.ACK_NOTED)
    now_covered = any(decision in _COVERING for decision in decisions)
    if after.began_flapping and after.muted_because is None and (now_covered or (ticket is not None and ticket.covers)):
        decisions.append(TicketDecision.FLAPPING)
    ended = before is None or before.active or before.end_reason is not after.end_reason
    if not after.active and (ended or now_covered):
        taken = ticket is not None and ticket.taken
        covered = now_covered or (ticket is not None and ticket.covers)
        decisions.append(_end(key_end, covered=covered, taken=taken))
    return tuple(decisions)


def _trouble(
    after: AlarmSnapshot,
    *,
    ticket: OpenTicket | None,
    past: PastTicket | None,
    key_end: EndReason | None,
    policy: TicketPolicy,
    now: datetime,
) -> TicketDecision:
    if after.muted_because is not None:
        return TicketDecision.MUTED
    if after.worst_severity.rank > policy.threshold.rank:
        return TicketDecision.BELOW_THRESHOLD
    if ticket is not None:
        if not ticket.covers:
            return TicketDecision.APPENDED_TO_OPEN
        worse = after.worst_severity.worse_than(ticket.severity)
        return TicketDecision.SEVERITY_RAISED if worse else TicketDecision.UNCHANGED
    if past is None:
        return TicketDecision.OPENED_NEW
    if now - past.over_at > policy.reopen_within:
        return TicketDecision.OPENED_LINKED
    # What had recovered before it was heard of, soon after its ticket ended, and was no worse than that, is a line in
    # the ticket and no new work. Heard of in time, what did not recover would have left the ticket open.
    known = key_end is EndReason.RECOVERED and not after.worst_severity.worse_than(past.severity)
    return TicketDecision.NOTED_ON_PAST if known else TicketDecision.REOPENED


def _end(key_end: EndReason | None, *, covered: bool, taken: bool) -> TicketDecision:
    if not covered:
        return TicketDecision.NO_TICKET
    if key_end is None:
        return TicketDecision.UNCHANGED
    if key_end is not EndReason.RECOVERED:
        return TicketDecision.NOT_RECOVERED
    return TicketDecision.TAKEN_BY_PERSON if taken else TicketDecision.HELD


def decide_hold(*, taken: bool, auto_resolve_at: datetime | None, key_active: bool, now: datetime) -> TicketDecision:
    """Whether a ticket whose alarm recovered resolves itself now."""
    if taken:
        return TicketDecision.TAKEN_BY_PERSON
    if auto_resolve_at is None or key_active:
        return TicketDecision.UNCHANGED
    return TicketDecision.AUTO_RESOLVED if now >= auto_resolve_at else TicketDecision.HELD

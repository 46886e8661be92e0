"""The states of a ticket as a table, and the fold of its log. Pure.

`Summary` is what a row of `tickets` shows; `advance` is the only way to one, so the row can be made again from the log.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from facility.severity import Severity, worst


class TicketKind(StrEnum):
    CORRECTIVE = "corrective"
    PREVENTIVE = "preventive"
    INSPECTION = "inspection"
    REQUEST = "request"
    COMPLAINT = "complaint"


class TicketState(StrEnum):
    NEW = "new"
    ACKNOWLEDGED = "acknowledged"
    IN_PROGRESS = "in_progress"
    RESOLVED = "resolved"
    CLOSED = "closed"


OPEN_STATES = (TicketState.NEW, TicketState.ACKNOWLEDGED, TicketState.IN_PROGRESS)


class Action(StrEnum):
    """What a person does with a ticket."""

    ACKNOWLEDGE = "acknowledge"
    START = "start"
    RESOLVE = "resolve"
    CLOSE = "close"
    REOPEN = "reopen"
    ASSIGN = "assign"
    COMMENT = "comment"


_S, _A = TicketState, Action
ACTIONS: Mapping[tuple[TicketState, Action], TicketState] = {
    (_S.NEW, _A.ACKNOWLEDGE): _S.ACKNOWLEDGED,
    (_S.NEW, _A.START): _S.IN_PROGRESS,
    (_S.ACKNOWLEDGED, _A.START): _S.IN_PROGRESS,
    **{(state, _A.RESOLVE): _S.RESOLVED for state in OPEN_STATES},
    **{(state, _A.ASSIGN): state for state in OPEN_STATES},
    **{(state, _A.COMMENT): state for state in TicketState},
    (_S.RESOLVED, _A.CLOSE): _S.CLOSED,
    (_S.RESOLVED, _A.REOPEN): _S.NEW,
    (_S.CLOSED, _A.REOPEN): _S.NEW,
}


def allowed(state: TicketState) -> list[Action]:
    """What may be done in a state, in the order of `Action`."""
    return [action for action in Action if (state, action) in ACTIONS]


class TicketEventKind(StrEnum):
    OPENED = "opened"
    ALARM_ADDED = "alarm_added"
    ALARM_WORSENED = "alarm_worsened"
    ALARM_ACKNOWLEDGED = "alarm_acknowledged"
    ALARM_RECOVERED = "alarm_recovered"
    ALARM_ENDED = "alarm_ended"
    ACKNOWLEDGED = "acknowledged"
    STARTED = "started"
    ASSIGNED = "assigned"
    COMMENTED = "commented"
    ATTACHED = "attached"
    RESOLVED = "resolved"
    AUTO_RESOLVED = "auto_resolved"
    CLOSED = "closed"
    REOPENED = "reopened"


EVENT_OF: Mapping[Action, TicketEventKind] = {
    Action.ACKNOWLEDGE: TicketEventKind.ACKNOWLEDGED,
    Action.START: TicketEventKind.STARTED,
    Action.RESOLVE: TicketEventKind.RESOLVED,
    Action.CLOSE: TicketEventKind.CLOSED,
    Action.REOPEN: TicketEventKind.REOPENED,
    Action.ASSIGN: TicketEventKind.ASSIGNED,
    Action.COMMENT: TicketEventKind.COMMENTED,
}


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One event as the fold sees it."""

    kind: TicketEventKind
    at: datetime
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A ticket's state. auto_resolve_at: when it resolves itself unless somebody takes it or the alarm comes back."""

    state: TicketState
    severity: Severity
    owner_id: str | None = None
    acknowledged_at: datetime | None = None
    started_at: datetime | None = None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    resolution: str | None = None
    auto_resolve_at: datetime | None = None
    reopened: int = 0

    @property
    def taken(self) -> bool:
        """Somebody is on it: then it never resolves itself."""
        return self.owner_id is not None or self.state in (TicketState.ACKNOWLEDGED, TicketState.IN_PROGRESS)


def advance(before: Summary | None, entry: LogEntry) -> Summary:
    """The summary after one more event; the first event of a ticket is `opened`, and only that one."""
    kind, payload = entry.kind, entry.payload
    if before is None:
        if kind is not TicketEventKind.OPENED:
            raise ValueError(f"a ticket's log begins with opened, not with {kind.value}")
        return Summary(state=TicketState.NEW, severity=Severity(payload["severity"]), owner_id=payload.get("owner"))
    match kind:
        case TicketEventKind.OPENED:
            raise ValueError("a ticket is opened once")
        case TicketEventKind.ALARM_ADDED | TicketEventKind.ALARM_WORSENED:
            return replace(before, severity=_worse(before, payload), auto_resolve_at=None)
        case TicketEventKind.ALARM_RECOVERED:
            until = payload.get("resolves_at")
            return replace(before, auto_resolve_at=None if until is None else datetime.fromisoformat(until))
        case TicketEventKind.ALARM_ENDED:
            return replace(before, auto_resolve_at=None)
        case TicketEventKind.ACKNOWLEDGED:
            return replace(
                before,
                state=TicketState.ACKNOWLEDGED,
                acknowledged_at=entry.at,
                owner_id=before.owner_id or payload.get("owner"),
                auto_resolve_at=None,
            )
        case TicketEventKind.STARTED:
            return replace(
                before,
                state=TicketState.IN_PROGRESS,
                acknowledged_at=before.acknowledged_at or entry.at,
                started_at=entry.at,
                owner_id=before.owner_id or payload.get("owner"),
                auto_resolve_at=None,
            )
        case TicketEventKind.ASSIGNED:
            return replace(before, owner_id=payload["owner"], auto_resolve_at=None)
        case TicketEventKind.RESOLVED | TicketEventKind.AUTO_RESOLVED:
            return replace(
                before,
                state=TicketState.RESOLVED,
                resolved_at=entry.at,
                resolution=payload["note"],
                auto_resolve_at=None,
            )
        case TicketEventKind.CLOSED:
            return replace(before, state=TicketState.CLOSED, closed_at=entry.at)
        case TicketEventKind.REOPENED:
            return Summary(
                state=TicketState.NEW,
                severity=_worse(before, payload),
                owner_id=before.owner_id,
                reopened=before.reopened + 1,
            )
        case TicketEventKind.ALARM_ACKNOWLEDGED | TicketEventKind.COMMENTED | TicketEventKind.ATTACHED:
            return before


def _worse(before: Summary, payload: Mapping[str, Any]) -> Severity:
    given = payload.get("severity")
    return before.severity if given is None else worst([before.severity, Severity(given)])


def summarise(entries: Iterable[LogEntry]) -> Summary:
    """The summary a whole log makes, in its order; ValueError for a log that is empty or does not begin well."""
    found: Summary | None = None
    for entry in entries:
        found = advance(found, entry)
    if found is None:
        raise ValueError("a ticket without a log")
    return found

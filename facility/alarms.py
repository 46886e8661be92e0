"""What happened at the edge: alarm occurrences as revisions of events.

An occurrence is born with `raised`, may be `updated`, and dies with `ended`. Its revisions count from 1, so the state
of an alarm is the fold of its events by revision, whatever order they arrive in. Acknowledging, shelving and
ticketing are the centre's words and are not here.
"""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from facility.severity import Severity


@dataclass(frozen=True, slots=True)
class AlarmKey:
    """One problem: at most one occurrence of a key is active at a time.

    `origin` is the id of the agent that judged, or `CENTRE`.
    """

    origin: str
    device: str
    rule: str
    subject: str = ""

    def __str__(self) -> str:
        return f"{self.origin}/{self.device}/{self.rule}" + (f"#{self.subject}" if self.subject else "")


CENTRE = "centre"


class AlarmEventKind(StrEnum):
    RAISED = "raised"
    UPDATED = "updated"
    ENDED = "ended"


class EndReason(StrEnum):
    """Why an occurrence ended. Only `RECOVERED` may resolve a ticket by itself."""

    RECOVERED = "recovered"
    RULE_REMOVED = "rule_removed"
    RULE_CHANGED = "rule_changed"
    DEVICE_RETIRED = "device_retired"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class AlarmEvent:
    """One revision of an occurrence.

    occurrence: UUIDv7 text; revision: 1, 2, ... within it; at: milliseconds UTC of the sample or timer that decided.
    level: the rule's level id (`hi`, `hihi`, `lo`, `lolo`, `state`, `rate`, `absent`).
    value: the sample that decided (None when data is absent); limit: the limit it broke, a number or a state word.
    reason: the engine's named reason; for `ended` an `EndReason`.
    rule_revision: content hash of the rule that judged.
    swings: how often the trouble was gone and back while the occurrence stood flapping; left out when it never was.
    """

    occurrence: str
    revision: int
    kind: AlarmEventKind
    origin: str
    device: str
    rule: str
    subject: str
    metric: str
    level: str
    severity: Severity
    at: int
    value: float | str | None
    limit: float | str | None
    reason: str
    rule_revision: str
    swings: int | msgspec.UnsetType = msgspec.UNSET

    @property
    def key(self) -> AlarmKey:
        return AlarmKey(self.origin, self.device, self.rule, self.subject)


@dataclass(frozen=True, slots=True)
class ActiveOccurrence:
    """An entry of an agent's snapshot of what it holds active."""

    occurrence: str
    revision: int
    device: str
    rule: str
    subject: str = ""

"""What there is to tell, before it is known to whom."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from facility.severity import Severity


class NoticeKind(StrEnum):
    TICKET_OPENED = "ticket_opened"
    TICKET_WORSENED = "ticket_worsened"
    TICKET_REOPENED = "ticket_reopened"
    TICKET_ASSIGNED = "ticket_assigned"
    TICKET_AUTO_RESOLVED = "ticket_auto_resolved"
    ALARM_CAME = "alarm_came"
    ALARM_WAS_OVER = "alarm_was_over"
    ROLL_UP = "roll_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to tell. `event` names it once and for all: telling it twice reaches nobody twice.

    value and limit are a number in the metric's base unit or a state word; `path` is where it can be looked at; `to`
    is a user who is told whatever severity they want. flapping: it comes and goes, and stands from now on.
    """

    event: str
    kind: NoticeKind
    customer_id: str
    site_id: str
    severity: Severity
    title_en: str
    title_zh: str
    path: str
    room: str = ""
    device: str = ""
    metric: str = ""
    value: float | str | None = None
    limit: float | str | None = None
    since: datetime | None = None
    ticket_id: str | None = None
    number: str | None = None
    alarm_id: str | None = None
    to: str | None = None
    flapping: bool = False

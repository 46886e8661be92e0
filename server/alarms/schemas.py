"""What the API takes and shows of alarms."""

from datetime import datetime
from typing import Any

from pydantic import Field

from facility.alarms import EndReason
from facility.severity import Severity
from server.alarms.lifecycle import AlarmState, Arrival
from server.alarms.models import Alarm, AlarmEvent
from server.alarms.watching import TicketRef
from server.kit.schemas import Body, Shown


class AckIn(Body):
    note: str = Field(default="", max_length=1000)


class TicketShown(Shown):
    id: str
    number: str


class AlarmOut(Shown):
    """`value` and `limit` are a number in the base unit of `metric`, or a state word. `site` is the site's code."""

    id: str
    site: str
    site_id: str
    customer_id: str
    origin: str
    device: str
    device_en: str
    device_zh: str
    room: str
    metric: str
    subject: str
    rule: str
    rule_en: str
    rule_zh: str
    rule_revision: str
    level: str
    severity: Severity
    worst_severity: Severity
    value: float | str | None
    limit: float | str | None
    state: AlarmState
    active: bool
    arrival: Arrival
    revision: int
    raised_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    end_reason: EndReason | None
    received_at: datetime
    acked_at: datetime | None
    acked_by: str | None
    acked_name: str | None
    ack_note: str | None
    muted_because: str | None
    ticket: TicketShown | None

    @classmethod
    def of(cls, row: Alarm, ticket: TicketRef | None) -> "AlarmOut":
        return cls(**alarm_fields(row, ticket))


def alarm_fields(row: Alarm, ticket: TicketRef | None) -> dict[str, Any]:
    """Needs `row.site` loaded."""
    plain = AlarmOut.model_fields.keys() - {"site", "limit", "ticket"}
    fields = {name: getattr(row, name) for name in plain}
    shown = None if ticket is None else TicketShown(id=ticket.id, number=ticket.number)
    return {**fields, "site": row.site.code, "limit": row.limit_value, "ticket": shown}


class AlarmEventOut(Shown):
    id: str
    at: datetime
    recorded_at: datetime
    actor: str
    source: str
    kind: str
    revision: int | None
    payload: dict[str, Any] | None


class AlarmDetail(AlarmOut):
    """The alarm with its log, oldest entry first."""

    events: list[AlarmEventOut]

    @classmethod
    def with_events(cls, row: Alarm, ticket: TicketRef | None, events: list[AlarmEvent]) -> "AlarmDetail":
        shown = [AlarmEventOut.model_validate(event) for event in events]
        return cls(**alarm_fields(row, ticket), events=shown)

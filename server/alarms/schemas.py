"""What the API takes and shows of alarms."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from facility.alarms import EndReason
from facility.severity import Severity
from server.alarms.lifecycle import AlarmState, Arrival
from server.alarms.models import Alarm, AlarmEvent
from server.alarms.repository import Comings
from server.alarms.watching import TicketRef
from server.kit.schemas import Body, Shown


class AckIn(Body):
    note: str = Field(default="", max_length=1000)


class TicketShown(Shown):
    id: str
    number: str


class AlarmOut(Shown):
    """`value` and `limit` are a number in the base unit of `metric`, or a state word. `site` is the site's code.

    unknown_since: nothing is heard of it since then, its agent or device being away; it stands with its last value.
    """

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
    unknown_since: datetime | None
    ticket: TicketShown | None

    @classmethod
    def of(cls, row: Alarm, ticket: TicketRef | None, unknown_since: datetime | None) -> "AlarmOut":
        return cls(**alarm_fields(row, ticket, unknown_since))


def alarm_fields(row: Alarm, ticket: TicketRef | None, unknown_since: datetime | None) -> dict[str, Any]:
    """Needs `row.site` loaded."""
    plain = AlarmOut.model_fields.keys() - {"site", "limit", "ticket", "unknown_since"}
    fields = {name: getattr(row, name) for name in plain}
    shown = None if ticket is None else TicketShown(id=ticket.id, number=ticket.number)
    beside = {"limit": row.limit_value, "unknown_since": unknown_since, "ticket": shown}
    return {**fields, "site": row.site.code, **beside}


class AlarmEventOut(Shown):
    id: str
    at: datetime
    recorded_at: datetime
    actor: str
    source: str
    kind: str
    revision: int | None
    payload: dict[str, Any] | None


def swings_of(events: Sequence[AlarmEvent]) -> int:
    """How often the trouble was gone and back while the occurrence stood flapping, as far as it was said."""
    return max((int((event.payload or {}).get("swings", 0)) for event in events), default=0)


class AlarmDetail(AlarmOut):
    """The alarm with its log, oldest entry first.

    occurrences: how often the same trouble came, at most 1000, with when first and last. swings: how often this one was
    gone and back while it stood flapping, as far as its agent has said.
    """

    occurrences: int
    first_raised_at: datetime
    last_raised_at: datetime
    swings: int
    events: list[AlarmEventOut]

    @classmethod
    def with_events(
        cls,
        row: Alarm,
        ticket: TicketRef | None,
        unknown_since: datetime | None,
        comings: Comings,
        events: Sequence[AlarmEvent],
    ) -> "AlarmDetail":
        shown = [AlarmEventOut.model_validate(event) for event in events]
        return cls(
            **alarm_fields(row, ticket, unknown_since),
            occurrences=comings.count,
            first_raised_at=comings.first,
            last_raised_at=comings.last,
            swings=swings_of(events),
            events=shown,
        )

"""What others see of an alarm, and the protocols by which they hear of it. Implementations are handed in by the app."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from facility.alarms import AlarmKey, EndReason
from facility.severity import Severity
from server.alarms.lifecycle import AlarmState, Arrival, Transition, Value
from server.alarms.models import Alarm
from server.db.session import ReadSession, WriteSession


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSnapshot:
    """An occurrence at one moment. `id` is the occurrence's, `key_id` names its key; names are of the time it came.

    began_flapping: the change told of says that it comes and goes too often, and stands from now on.
    """

    id: str
    key_id: str
    key: AlarmKey
    customer_id: str
    site_id: str
    metric: str
    level: str
    severity: Severity
    worst_severity: Severity
    value: Value
    limit: Value
    device_en: str
    device_zh: str
    rule_en: str
    rule_zh: str
    room: str
    active: bool
    state: AlarmState
    why: Transition | None
    arrival: Arrival
    raised_at: datetime
    ended_at: datetime | None
    end_reason: EndReason | None
    acked_by: str | None
    acked_name: str | None
    ack_note: str | None
    muted_because: str | None
    began_flapping: bool = False


def snapshot_of(row: Alarm, why: Transition | None = None) -> AlarmSnapshot:
    """The row as it is now; `why` names the last transition where it is known."""
    return AlarmSnapshot(
        id=row.id,
        key_id=row.key_id,
        key=AlarmKey(row.origin, row.device, row.rule, row.subject),
        customer_id=row.customer_id,
        site_id=row.site_id,
        metric=row.metric,
        level=row.level,
        severity=row.severity,
        worst_severity=row.worst_severity,
        value=row.value,
        limit=row.limit_value,
        device_en=row.device_en,
        device_zh=row.device_zh,
        rule_en=row.rule_en,
        rule_zh=row.rule_zh,
        room=row.room,
        active=row.active,
        state=row.state,
        why=why,
        arrival=row.arrival,
        raised_at=row.raised_at,
        ended_at=row.ended_at,
        end_reason=row.end_reason,
        acked_by=row.acked_by,
        acked_name=row.acked_name,
        ack_note=row.ack_note,
        muted_because=row.muted_because,
    )


class AlarmObserver(Protocol):
    """Who acts on alarms. Called in the transaction that records the change, under the lock on the alarm's key.

    An exception undoes the change: the agent's block is then answered with `retry` and comes again.
    """

    async def on_change(
        self, session: WriteSession, before: AlarmSnapshot | None, after: AlarmSnapshot, now: datetime
    ) -> None:
        """`before` is None for an occurrence heard of for the first time."""


class Muter(Protocol):
    """Who can keep an alarm quiet (a maintenance window, a parent that is down). It is recorded and shown all the same.

    The word returned becomes `muted_because`: at most 64 characters, stable, such as `maintenance_window`.
    """

    async def muted(self, session: ReadSession, alarm: AlarmSnapshot, now: datetime) -> str | None: ...


async def muted_because(
    muters: Sequence[Muter], session: ReadSession, alarm: AlarmSnapshot, now: datetime
) -> str | None:
    """The reason of the first that has one."""
    for muter in muters:
        reason = await muter.muted(session, alarm, now)
        if reason is not None:
            return reason
    return None


@dataclass(frozen=True, slots=True)
class TicketRef:
    """The ticket an alarm is handled in."""

    id: str
    number: str


class TicketFinder(Protocol):
    """Tells the ticket of occurrences; alarms know nothing else of tickets."""

    async def tickets_of(self, session: ReadSession, alarm_ids: list[str]) -> dict[str, TicketRef]: ...

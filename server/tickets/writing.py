"""The one way a ticket is made and changed: an event in the log, and the row brought in line, in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from facility.clock import to_ms
from facility.ids import new_id
from facility.severity import Severity
from server.db.session import ReadSession, WriteSession
from server.kit.principal import Principal
from server.tickets import repository
from server.tickets.models import Ticket, TicketAlarm, TicketEvent
from server.tickets.states import LogEntry, Summary, TicketEventKind, TicketKind, advance, summarise

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Doer:
    """Who did it and through what (`api`, `web`, `alarm`, `job`, `plan`)."""

    id: str
    name: str
    source: str

    @classmethod
    def of(cls, principal: Principal, source: str) -> "Doer":
        return cls(principal.id, principal.name[:200], source)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTicket:
    """What a ticket begins with. `payload` adds to what its first event says."""

    kind: TicketKind
    customer_id: str
    site_id: str
    severity: Severity
    title_en: str
    title_zh: str
    description: str = ""
    device: str = ""
    rule: str = ""
    subject: str = ""
    alarm_key_id: str | None = None
    previous_id: str | None = None
    source_key: str | None = None
    due_at: datetime | None = None
    owner_id: str | None = None
    payload: Mapping[str, Any] | None = None


def summary_of(row: Ticket) -> Summary:
    """The summary the row holds."""
    return Summary(**{field.name: getattr(row, field.name) for field in fields(Summary)})


async def open_ticket(session: WriteSession, new: NewTicket, doer: Doer, *, now: datetime) -> Ticket:
    """Make a ticket with its first event. The unique indexes refuse a second open one of a key or source."""
    payload: dict[str, Any] = {**(new.payload or {}), "severity": new.severity.value}
    if new.owner_id is not None:
        payload["owner"] = new.owner_id
    first = LogEntry(TicketEventKind.OPENED, now, payload)
    row = Ticket(
        id=new_id(to_ms(now)),
        number=await repository.next_number(session, now.astimezone(UTC).year),
        customer_id=new.customer_id,
        site_id=new.site_id,
        kind=new.kind,
        title_en=new.title_en[:500],
        title_zh=new.title_zh[:500],
        description=new.description,
        device=new.device,
        rule=new.rule,
        subject=new.subject,
        alarm_key_id=new.alarm_key_id,
        previous_id=new.previous_id,
        source_key=new.source_key,
        opened_at=now,
        opened_by=doer.id,
        due_at=new.due_at,
        last_seq=0,
    )
    _show(row, advance(None, first))
    session.add(row)
    await session.flush()
    _append(session, row, first, doer, now)
    await session.flush()
    return row


async def record(
    session: WriteSession,
    row: Ticket,
    kind: TicketEventKind,
    payload: Mapping[str, Any],
    doer: Doer,
    *,
    now: datetime,
) -> None:
    """Append one event and bring the row in line. The caller holds the ticket's lock."""
    entry = LogEntry(kind, now, payload)
    _show(row, advance(summary_of(row), entry))
    _append(session, row, entry, doer, now)
    await session.flush()


async def add_alarm(session: WriteSession, row: Ticket, alarm_id: str) -> None:
    if not await repository.covers(session, row.id, alarm_id):
        session.add(TicketAlarm(ticket_id=row.id, alarm_id=alarm_id))
        await session.flush()


async def rederive(session: ReadSession, ticket_id: str) -> Summary:
    """The summary the log alone makes; it equals the row's, or the row was changed behind our back."""
    events = await repository.whole_log(session, ticket_id)
    return summarise(LogEntry(TicketEventKind(event.kind), event.at, event.payload or {}) for event in events)


def _show(row: Ticket, summary: Summary) -> None:
    for field in fields(Summary):
        setattr(row, field.name, getattr(summary, field.name))


def _append(session: WriteSession, row: Ticket, entry: LogEntry, doer: Doer, now: datetime) -> None:
    row.last_seq += 1
    session.add(
        TicketEvent(
            id=new_id(to_ms(now)),
            customer_id=row.customer_id,
            site_id=row.site_id,
            ticket_id=row.id,
            seq=row.last_seq,
            at=entry.at,
            recorded_at=now,
            actor=doer.id,
            actor_name=doer.name,
            source=doer.source,
            kind=entry.kind.value,
            schema_version=SCHEMA_VERSION,
            payload=dict(entry.payload),
            idempotency_key=f"{row.id}/{row.last_seq}",
        )
    )

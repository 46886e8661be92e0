"""All queries of tickets. Those that people reach take a Scope; a row outside it is not found."""

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import joinedload

from facility.severity import Severity
from server.alarms.models import Alarm
from server.alarms.watching import TicketRef
from server.customers.models import Site
from server.db.session import ReadSession, WriteSession
from server.kit.paging import Order, PageRequest, fetch_page
from server.kit.problems import NotFound
from server.kit.scope import Scope, scoped
from server.tickets.models import Ticket, TicketAlarm, TicketEvent, TicketNumber
from server.tickets.states import OPEN_STATES, TicketKind, TicketState

TICKETS = Order("tickets.opened", Ticket.opened_at, Ticket.id, descending=True)
EVENTS = Order("ticket_events.seq", TicketEvent.seq, TicketEvent.id)
CHUNK = 500


async def next_number(session: WriteSession, year: int) -> str:
    """The next number of the year, such as T-2026-000123. Two transactions wait for each other here."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    statement = insert(TicketNumber).values(year=year, last=1)
    statement = statement.on_conflict_do_update(index_elements=["year"], set_={"last": TicketNumber.last + 1})
    last = (await session.execute(statement.returning(TicketNumber.last))).scalar_one()
    return f"T-{year}-{last:06d}"


# Asked at every change of an alarm, so made once.
_OF_KEY = (
    sa.select(Ticket)
    .where(Ticket.alarm_key_id == sa.bindparam("key"))
    .with_for_update(of=Ticket)
    .execution_options(populate_existing=True)
)
_OPEN_OF_KEY = _OF_KEY.where(Ticket.state.in_(OPEN_STATES))
_NEWEST_OF_KEY = _OF_KEY.order_by(Ticket.opened_at.desc(), Ticket.id.desc()).limit(1)


async def open_of_key(session: WriteSession, key_id: str) -> Ticket | None:
    """The open ticket of an alarm key, locked; the key's lock is held already. Not scoped: for alarms only."""
    return await session.scalar(_OPEN_OF_KEY, {"key": key_id})


async def newest_of_key(session: WriteSession, key_id: str) -> Ticket | None:
    return await session.scalar(_NEWEST_OF_KEY, {"key": key_id})


async def covers(session: ReadSession, ticket_id: str, alarm_id: str) -> bool:
    return await session.get(TicketAlarm, (ticket_id, alarm_id)) is not None


async def alarm_ids_of(session: ReadSession, ticket_id: str) -> list[str]:
    """The occurrences a ticket is about, oldest first."""
    query = sa.select(TicketAlarm.alarm_id).where(TicketAlarm.ticket_id == ticket_id).order_by(TicketAlarm.alarm_id)
    return list(await session.scalars(query))


async def alarms_of(session: ReadSession, scope: Scope, ticket_id: str) -> Sequence[Alarm]:
    """The occurrences a ticket is about, youngest first, with sites loaded."""
    query = sa.select(Alarm).join(TicketAlarm, TicketAlarm.alarm_id == Alarm.id)
    query = query.where(TicketAlarm.ticket_id == ticket_id).order_by(Alarm.raised_at.desc(), Alarm.id.desc())
    return (await session.scalars(scoped(query.options(joinedload(Alarm.site)), Alarm, scope))).all()


async def tickets_of(session: ReadSession, alarm_ids: Sequence[str]) -> dict[str, TicketRef]:
    """The newest ticket of each occurrence. Not scoped: the occurrences were found in scope, the ticket is theirs."""
    found: dict[str, TicketRef] = {}
    for start in range(0, len(alarm_ids), CHUNK):
        query = (
            sa.select(TicketAlarm.alarm_id, Ticket.id, Ticket.number)
            .join(Ticket, Ticket.id == TicketAlarm.ticket_id)
            .where(TicketAlarm.alarm_id.in_(alarm_ids[start : start + CHUNK]))
            .order_by(Ticket.opened_at, Ticket.id)
        )
        for alarm_id, ticket_id, number in await session.execute(query):
            found[alarm_id] = TicketRef(ticket_id, number)
    return found


async def by_source_key(session: ReadSession, source_key: str) -> Ticket | None:
    return await session.scalar(sa.select(Ticket).where(Ticket.source_key == source_key))


async def due_to_resolve(session: WriteSession, scope: Scope, now: datetime, *, limit: int) -> Sequence[Ticket]:
    """Tickets whose hold is over, longest waiting first."""
    query = sa.select(Ticket).where(Ticket.auto_resolve_at <= now).order_by(Ticket.auto_resolve_at).limit(limit)
    return (await session.scalars(scoped(query, Ticket, scope))).all()


_LOADED = (joinedload(Ticket.site), joinedload(Ticket.owner))


async def get_ticket(session: ReadSession, scope: Scope, ticket_id: str) -> Ticket:
    """By id or number, with site and owner loaded."""
    query = sa.select(Ticket).where(sa.or_(Ticket.id == ticket_id, Ticket.number == ticket_id)).options(*_LOADED)
    row = await session.scalar(scoped(query, Ticket, scope), execution_options={"populate_existing": True})
    if row is None:
        raise NotFound("ticket", ticket_id)
    return row


async def lock_ticket(session: WriteSession, ticket_id: str) -> None:
    await session.execute(sa.select(Ticket.id).where(Ticket.id == ticket_id).with_for_update())


async def list_tickets(
    session: ReadSession,
    scope: Scope,
    page: PageRequest,
    *,
    site: str | None = None,
    device: str | None = None,
    rule: str | None = None,
    kinds: Collection[TicketKind] = (),
    states: Collection[TicketState] = (),
    severities: Collection[Severity] = (),
    owner: str | None = None,
    alarm: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[Sequence[Ticket], str | None]:
    """Youngest first. `site` is an id or code, `alarm` an occurrence; since and until bound `opened_at`, half open."""
    query = scoped(sa.select(Ticket), Ticket, scope).options(*_LOADED)
    if site is not None:
        query = query.join(Ticket.site).where(sa.or_(Site.id == site, Site.code == site))
    for column, wanted in ((Ticket.device, device), (Ticket.rule, rule), (Ticket.owner_id, owner)):
        if wanted is not None:
            query = query.where(column == wanted)
    if kinds:
        query = query.where(Ticket.kind.in_(sorted(kinds)))
    if states:
        query = query.where(Ticket.state.in_(sorted(states)))
    if severities:
        query = query.where(Ticket.severity.in_(sorted(severities)))
    if alarm is not None:
        of_alarm = sa.select(TicketAlarm.ticket_id).where(TicketAlarm.alarm_id == alarm)
        query = query.where(Ticket.id.in_(of_alarm))
    if since is not None:
        query = query.where(Ticket.opened_at >= since)
    if until is not None:
        query = query.where(Ticket.opened_at < until)
    return await fetch_page(session, query, order=TICKETS, page=page)


async def list_events(
    session: ReadSession, scope: Scope, page: PageRequest, *, ticket_id: str
) -> tuple[Sequence[TicketEvent], str | None]:
    """The log of a ticket, oldest first."""
    query = scoped(sa.select(TicketEvent).where(TicketEvent.ticket_id == ticket_id), TicketEvent, scope)
    return await fetch_page(session, query, order=EVENTS, page=page)


async def whole_log(session: ReadSession, ticket_id: str) -> Sequence[TicketEvent]:
    query = sa.select(TicketEvent).where(TicketEvent.ticket_id == ticket_id).order_by(TicketEvent.seq)
    return (await session.scalars(query)).all()


async def count_by_state(session: ReadSession, scope: Scope) -> dict[TicketState, int]:
    """How many tickets are in each open state."""
    found = dict.fromkeys(OPEN_STATES, 0)
    for state in OPEN_STATES:
        query = scoped(sa.select(sa.func.count(Ticket.id)).where(Ticket.state == state), Ticket, scope)
        found[state] = await session.scalar(query) or 0
    return found

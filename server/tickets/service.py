"""What people and plans do with tickets. Every change is one event in the log; a refused one names what is allowed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from facility.severity import Severity
from server.alarms.lifecycle import may_acknowledge
from server.alarms.service import AlarmService
from server.customers import repository as customers
from server.db.session import WriteSession
from server.kit.audit import audit
from server.kit.principal import Permission, Principal, PrincipalKind
from server.kit.problems import BadRequest, Conflict
from server.kit.scope import Scope
from server.notify.notices import Notice, NoticeKind
from server.notify.service import Notifier
from server.people import repository as people
from server.people.auth import principal_of_user
from server.tickets import repository
from server.tickets.models import Ticket
from server.tickets.schemas import TicketIn
from server.tickets.states import ACTIONS, EVENT_OF, OPEN_STATES, Action, TicketEventKind, TicketKind, allowed
from server.tickets.writing import Doer, NewTicket, open_ticket, record

_TAKING = (Action.ACKNOWLEDGE, Action.START)


class TicketService:
    """Opens tickets and carries out what is done with them. alarms: acknowledged together with their ticket."""

    def __init__(self, *, alarms: AlarmService, notifier: Notifier) -> None:
        self._alarms = alarms
        self._notifier = notifier

    async def open_by_hand(
        self, session: WriteSession, scope: Scope, body: TicketIn, *, source: str, now: datetime
    ) -> Ticket:
        """A ticket a person opens; NotFound for a site out of scope."""
        site = await customers.get_site(session, scope, body.site)
        new = NewTicket(
            kind=body.kind,
            customer_id=site.customer_id,
            site_id=site.id,
            severity=body.severity,
            title_en=body.title,
            title_zh=body.title_zh or body.title,
            description=body.description,
            device=body.device,
            due_at=body.due_at,
        )
        row = await open_ticket(session, new, Doer.of(scope.principal, source), now=now)
        _audit(session, scope, "opened", row, body.model_dump(mode="json"), now)
        return await repository.get_ticket(session, scope, row.id)

    async def open_planned(
        self,
        session: WriteSession,
        scope: Scope,
        *,
        kind: TicketKind,
        customer_id: str,
        site_id: str,
        idempotency_key: str,
        title_en: str,
        title_zh: str,
        description: str = "",
        device: str = "",
        severity: Severity = Severity.INFO,
        due_at: datetime | None = None,
        now: datetime,
    ) -> Ticket:
        """A ticket a plan makes. The same key a second time gives the ticket that is there."""
        known = await repository.by_source_key(session, idempotency_key)
        if known is not None:
            return known
        new = NewTicket(
            kind=kind,
            customer_id=customer_id,
            site_id=site_id,
            severity=severity,
            title_en=title_en,
            title_zh=title_zh,
            description=description,
            device=device,
            source_key=idempotency_key,
            due_at=due_at,
        )
        return await open_ticket(session, new, Doer.of(scope.principal, "plan"), now=now)

    async def act(
        self,
        session: WriteSession,
        scope: Scope,
        ticket_id: str,
        action: Action,
        payload: Mapping[str, Any],
        *,
        source: str,
        now: datetime,
    ) -> Ticket:
        """Carry out an action of a person. Conflict, with what is allowed, when the state forbids it."""
        found = await repository.get_ticket(session, scope, ticket_id)
        if action is Action.ACKNOWLEDGE:
            # The alarms first: their key's lock comes before the ticket's, as when an alarm changes a ticket.
            await self._acknowledge_alarms(session, scope, found.id, str(payload.get("note", "")), source, now)
        await repository.lock_ticket(session, found.id)
        row = await repository.get_ticket(session, scope, found.id)
        if (row.state, action) not in ACTIONS:
            words = ", ".join(allowed(row.state))
            raise Conflict(
                f"ticket {row.number} is {row.state.value}: {action.value} is not allowed, only {words}",
                code="not_allowed_in_state",
            )
        # Several people may do the same thing at once; the second one finds another state and is told so above.
        said = {**payload, **_owner_of(row, action, scope.principal)}
        if action is Action.REOPEN and row.alarm_key_id is not None:
            other = await repository.open_of_key(session, row.alarm_key_id)
            if other is not None:
                raise Conflict(f"ticket {other.number} is open for the same trouble", code="another_open")
        await record(session, row, EVENT_OF[action], said, Doer.of(scope.principal, source), now=now)
        _audit(session, scope, EVENT_OF[action].value, row, said, now)
        return await repository.get_ticket(session, scope, row.id)

    async def assign(
        self, session: WriteSession, scope: Scope, ticket_id: str, owner: str, *, source: str, now: datetime
    ) -> Ticket:
        """Give the ticket to somebody who may work on tickets of its site; BadRequest for anybody else."""
        row = await repository.get_ticket(session, scope, ticket_id)
        user = next((user for user in await people.active_users(session) if user.id == owner), None)
        if user is None or not (its := Scope.of(principal_of_user(user))).may(Permission.TICKETS_WORK):
            raise BadRequest("no active user of this id works on tickets", code="owner_unknown")
        if not its.sees(customer_id=row.customer_id, site_id=row.site_id):
            raise BadRequest("this user does not see the site of the ticket", code="owner_out_of_scope")
        said = {"owner": owner, "name": user.name}
        row = await self.act(session, scope, row.id, Action.ASSIGN, said, source=source, now=now)
        notice = Notice(
            event=f"ticket/{row.id}/{row.last_seq}",
            kind=NoticeKind.TICKET_ASSIGNED,
            customer_id=row.customer_id,
            site_id=row.site_id,
            severity=row.severity,
            title_en=row.title_en,
            title_zh=row.title_zh,
            path=f"/tickets/{row.id}",
            device=row.device,
            ticket_id=row.id,
            number=row.number,
            to=owner,
        )
        await self._notifier.announce(session, notice, now=now)
        return row

    async def resolve_planned(
        self, session: WriteSession, scope: Scope, ticket_id: str, *, note: str, now: datetime
    ) -> None:
        """The work of a plan is done or was skipped: its ticket resolves, unless that happened before."""
        await repository.lock_ticket(session, ticket_id)
        row = await repository.get_ticket(session, Scope.system(), ticket_id)
        if row.state in OPEN_STATES:
            await record(
                session, row, TicketEventKind.RESOLVED, {"note": note}, Doer.of(scope.principal, "plan"), now=now
            )

    async def _acknowledge_alarms(
        self, session: WriteSession, scope: Scope, ticket_id: str, note: str, source: str, now: datetime
    ) -> None:
        for alarm in await repository.alarms_of(session, scope, ticket_id):
            if may_acknowledge(alarm.state):
                await self._alarms.acknowledge(session, scope, alarm.id, note=note, source=source, now=now)


def _owner_of(row: Ticket, action: Action, who: Principal) -> dict[str, str]:
    """Who takes a ticket nobody has owns it from then on."""
    person = who.kind is not PrincipalKind.SYSTEM
    return {"owner": who.id} if person and row.owner_id is None and action in _TAKING else {}


def _audit(session: WriteSession, scope: Scope, verb: str, row: Ticket, new: Mapping[str, Any], now: datetime) -> None:
    audit(
        session,
        now=now,
        actor=scope.principal,
        action=f"tickets.ticket.{verb}",
        entity="ticket",
        entity_id=row.id,
        new=dict(new),
        customer_id=row.customer_id,
        site_id=row.site_id,
    )

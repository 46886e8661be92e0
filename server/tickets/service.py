"""What people and plans do with tickets. Every change is one event in the log; a refused one names what is allowed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from facility.severity import Severity
from server.alarms.lifecycle import may_acknowledge
from server.alarms.repository import lock_keys
from server.alarms.service import AlarmService
from server.customers import repository as customers
from server.db.session import WriteSession
from server.kit.attachments import Attachment, StoredFile, attach
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

ENTITY = "ticket"
# Doing one of these shows that a person has seen the alarm.
_SEES_ALARM = (Action.ACKNOWLEDGE, Action.START, Action.RESOLVE)
_NEEDS_NOTE = (Action.RESOLVE, Action.REOPEN, Action.COMMENT)


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
        await self._tell(session, NoticeKind.TICKET_OPENED, row, now)
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
        row = await _locked(session, scope, ticket_id)
        if (row.state, action) not in ACTIONS:
            words = ", ".join(allowed(row.state))
            raise Conflict(
                f"ticket {row.number} is {row.state.value}: {action.value} is not allowed, only {words}",
                code="not_allowed_in_state",
                errors=[{"state": row.state.value, "allowed": [one.value for one in allowed(row.state)]}],
            )
        if action in _NEEDS_NOTE and not payload.get("note"):
            raise BadRequest(f"{action.value} needs a note", code="note_required")
        said = {**payload, **_owner_of(row, action, scope.principal)}
        if action is Action.REOPEN and row.alarm_key_id is not None:
            other = await repository.open_of_key(session, row.alarm_key_id)
            if other is not None:
                raise Conflict(f"ticket {other.number} is open for the same trouble", code="another_open")
        await record(session, row, EVENT_OF[action], said, Doer.of(scope.principal, source), now=now)
        _audit(session, scope, EVENT_OF[action].value, row, said, now)
        if action in _SEES_ALARM:
            note = str(payload.get("note") or row.number)[:1000]
            await self._acknowledge_alarms(session, scope, row.id, note, source, now)
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
        await self._tell(session, NoticeKind.TICKET_ASSIGNED, row, now, to=owner)
        return row

    async def resolve_planned(
        self, session: WriteSession, scope: Scope, ticket_id: str, *, note: str, now: datetime
    ) -> None:
        """The work of a plan is done or was skipped: its ticket resolves, unless that happened before."""
        row = await _locked(session, scope, ticket_id)
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

    async def attach_file(
        self,
        session: WriteSession,
        scope: Scope,
        ticket_id: str,
        stored: StoredFile,
        *,
        filename: str,
        media_type: str,
        source: str,
        now: datetime,
    ) -> Attachment:
        """Tie a stored file to a ticket, with a line in its log."""
        row = await _locked(session, scope, ticket_id)
        made = attach(
            session,
            stored,
            entity=ENTITY,
            entity_id=row.id,
            customer_id=row.customer_id,
            site_id=row.site_id,
            filename=filename,
            media_type=media_type,
            now=now,
            actor=scope.principal,
        )
        said = {"attachment": made.id, "filename": made.filename, "size": made.size}
        await record(session, row, TicketEventKind.ATTACHED, said, Doer.of(scope.principal, source), now=now)
        return made

    async def _tell(
        self, session: WriteSession, kind: NoticeKind, row: Ticket, now: datetime, *, to: str | None = None
    ) -> None:
        notice = Notice(
            event=f"ticket/{row.id}/{row.last_seq}",
            kind=kind,
            customer_id=row.customer_id,
            site_id=row.site_id,
            severity=row.severity,
            title_en=row.title_en,
            title_zh=row.title_zh,
            path=f"/tickets/{row.id}",
            device=row.device,
            ticket_id=row.id,
            number=row.number,
            to=to,
        )
        await self._notifier.announce(session, notice, now=now)


async def _locked(session: WriteSession, scope: Scope, ticket_id: str) -> Ticket:
    """The ticket as it is now; its alarm's key and itself are locked in the order in which alarms lock them.

    Several people may do the same thing at once: the second one finds another state.
    """
    row = await repository.get_ticket(session, scope, ticket_id)
    if row.alarm_key_id is not None:
        await lock_keys(session, [row.alarm_key_id])
    await repository.lock_ticket(session, row.id)
    return await repository.get_ticket(session, scope, row.id)


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
        entity=ENTITY,
        entity_id=row.id,
        new=dict(new),
        customer_id=row.customer_id,
        site_id=row.site_id,
    )

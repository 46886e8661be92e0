"""Alarms become tickets here: asks the policy, does what it says, tells people. In the alarm's own transaction."""

import logging
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from facility.alarms import CENTRE
from server.alarms import repository as alarms
from server.alarms.watching import AlarmSnapshot, TicketRef
from server.db.session import ReadSession, WriteSession, after_commit
from server.kit.scope import Scope
from server.notify.notices import Notice, NoticeKind
from server.notify.service import Notifier
from server.tickets import repository
from server.tickets.metrics import TicketMetrics
from server.tickets.models import Ticket
from server.tickets.policy import OpenTicket, PastTicket, TicketDecision, TicketPolicy, decide, decide_hold
from server.tickets.states import OPEN_STATES, TicketEventKind, TicketKind
from server.tickets.writing import Doer, NewTicket, add_alarm, open_ticket, record, summary_of

log = logging.getLogger(__name__)

_ALARM = Doer(CENTRE, "", "alarm")
_JOB = Doer("system", "", "job")
# Tickets resolved in one run of the job, so that a run stays a short transaction.
MOST_RESOLVED = 200
_D, _K = TicketDecision, TicketEventKind


class TicketLinks:
    """Implements `server.alarms.watching.TicketFinder`."""

    async def tickets_of(self, session: ReadSession, alarm_ids: list[str]) -> dict[str, TicketRef]:
        return await repository.tickets_of(session, alarm_ids)


class AlarmTickets:
    """Implements `server.alarms.watching.AlarmObserver`."""

    def __init__(self, *, notifier: Notifier, metrics: TicketMetrics, policy: TicketPolicy | None = None) -> None:
        self._notifier = notifier
        self._metrics = metrics
        self.policy = policy or TicketPolicy()

    async def on_change(
        self, session: WriteSession, before: AlarmSnapshot | None, after: AlarmSnapshot, now: datetime
    ) -> None:
        newest = await repository.newest_of_key(session, after.key_id)
        if newest is not None and newest.state not in OPEN_STATES:
            # A person may have opened an older one again.
            newest = await repository.open_of_key(session, after.key_id) or newest
        covers = newest is not None and await repository.covers(session, newest.id, after.id)
        ticket, past = _views(newest, covers)
        decisions = decide(
            before,
            after,
            ticket=ticket,
            past=past,
            key_end=None if after.active else await alarms.end_of_key(session, after.key_id),
            policy=self.policy,
            now=now,
        )
        for decision in decisions:
            after_commit(session, self._metrics.decisions.labels(decision.value).inc)
            newest = await self._do(session, decision, newest, after, now)

    async def _do(
        self,
        session: WriteSession,
        decision: TicketDecision,
        row: Ticket | None,
        alarm: AlarmSnapshot,
        now: datetime,
    ) -> Ticket | None:
        """Carry one decision out; returns the ticket the next one is about."""
        if decision in (_D.OPENED_NEW, _D.OPENED_LINKED):
            return await self._open(session, decision, row, alarm, now)
        if row is None:
            return None
        says = _about(alarm, decision)
        if decision in (_D.APPENDED_TO_OPEN, _D.NOTED_ON_PAST):
            worse = alarm.worst_severity.worse_than(row.severity) and decision is _D.APPENDED_TO_OPEN
            await add_alarm(session, row, alarm.id)
            kind = _K.ALARM_ADDED if decision is _D.APPENDED_TO_OPEN else _K.COMMENTED
            await record(session, row, kind, says, _ALARM, now=now)
            if worse:
                await self._tell(session, NoticeKind.TICKET_WORSENED, row, alarm, now)
        elif decision is _D.SEVERITY_RAISED:
            await record(session, row, _K.ALARM_WORSENED, says, _ALARM, now=now)
            await self._tell(session, NoticeKind.TICKET_WORSENED, row, alarm, now)
        elif decision is _D.REOPENED:
            await add_alarm(session, row, alarm.id)
            await record(session, row, _K.REOPENED, says, _ALARM, now=now)
            await self._tell(session, NoticeKind.TICKET_REOPENED, row, alarm, now)
        elif decision is _D.FLAPPING:
            await record(session, row, _K.COMMENTED, says, _ALARM, now=now)
            await self._tell(session, NoticeKind.ALARM_CAME, row, alarm, now, flapping=True)
        elif decision is _D.ACK_NOTED:
            body = {**says, "by": alarm.acked_by, "name": alarm.acked_name, "note": alarm.ack_note}
            await record(session, row, _K.ALARM_ACKNOWLEDGED, body, _ALARM, now=now)
        elif decision is _D.HELD:
            resolves_at = (now + self.policy.hold).isoformat()
            await record(session, row, _K.ALARM_RECOVERED, {**says, "resolves_at": resolves_at}, _ALARM, now=now)
        elif decision is _D.TAKEN_BY_PERSON:
            await record(session, row, _K.ALARM_RECOVERED, says, _ALARM, now=now)
        elif decision is _D.NOT_RECOVERED:
            await record(session, row, _K.ALARM_ENDED, says, _ALARM, now=now)
        return row

    async def _open(
        self,
        session: WriteSession,
        decision: TicketDecision,
        past: Ticket | None,
        alarm: AlarmSnapshot,
        now: datetime,
    ) -> Ticket:
        subject = f" ({alarm.key.subject})" if alarm.key.subject else ""
        new = NewTicket(
            kind=TicketKind.CORRECTIVE,
            customer_id=alarm.customer_id,
            site_id=alarm.site_id,
            severity=alarm.worst_severity,
            title_en=f"{alarm.device_en}{subject}: {alarm.rule_en}",
            title_zh=f"{alarm.device_zh}{subject}:{alarm.rule_zh}",
            device=alarm.key.device,
            rule=alarm.key.rule,
            subject=alarm.key.subject,
            alarm_key_id=alarm.key_id,
            previous_id=past.id if past is not None else None,
            payload=_about(alarm, decision),
        )
        row = await open_ticket(session, new, _ALARM, now=now)
        await add_alarm(session, row, alarm.id)
        await self._tell(session, NoticeKind.TICKET_OPENED, row, alarm, now)
        said = {"ticket": row.number, "alarm": str(alarm.key), "decision": decision.value}
        after_commit(session, partial(log.info, "ticket opened", extra=said))
        return row

    async def _tell(
        self,
        session: WriteSession,
        kind: NoticeKind,
        row: Ticket,
        alarm: AlarmSnapshot,
        now: datetime,
        *,
        flapping: bool = False,
    ) -> None:
        notice = Notice(
            # That it flaps is told once in a ticket's life.
            event=f"ticket/{row.id}/{'flapping' if flapping else row.last_seq}",
            kind=kind,
            flapping=flapping,
            customer_id=row.customer_id,
            site_id=row.site_id,
            severity=row.severity,
            title_en=row.title_en,
            title_zh=row.title_zh,
            path=f"/tickets/{row.id}",
            room=alarm.room,
            device=alarm.key.device,
            metric=alarm.metric,
            value=alarm.value,
            limit=alarm.limit,
            since=alarm.raised_at,
            ticket_id=row.id,
            number=row.number,
            alarm_id=alarm.id,
        )
        await self._notifier.announce(session, notice, now=now)

    async def resolve_recovered(self, session: WriteSession, now: datetime) -> None:
        """Job: tickets nobody took, whose alarm has been gone for the hold, resolve themselves."""
        due = await repository.due_to_resolve(session, Scope.system(), now, limit=MOST_RESOLVED)
        await alarms.lock_keys(session, {row.alarm_key_id for row in due if row.alarm_key_id is not None})
        for found in due:
            if found.alarm_key_id is None:
                continue
            row = await repository.open_of_key(session, found.alarm_key_id)
            if row is None:
                continue
            decision = decide_hold(
                taken=summary_of(row).taken,
                auto_resolve_at=row.auto_resolve_at,
                key_active=await alarms.end_of_key(session, found.alarm_key_id) is None,
                now=now,
            )
            if decision is not TicketDecision.AUTO_RESOLVED:
                continue
            after_commit(session, self._metrics.decisions.labels(decision.value).inc)
            note = {"decision": decision.value, "note": "", "held_s": int(self.policy.hold.total_seconds())}
            await record(session, row, _K.AUTO_RESOLVED, note, _JOB, now=now)
            await self._tell_resolved(session, row, now)

    async def _tell_resolved(self, session: WriteSession, row: Ticket, now: datetime) -> None:
        notice = Notice(
            event=f"ticket/{row.id}/{row.last_seq}",
            kind=NoticeKind.TICKET_AUTO_RESOLVED,
            customer_id=row.customer_id,
            site_id=row.site_id,
            severity=row.severity,
            title_en=row.title_en,
            title_zh=row.title_zh,
            path=f"/tickets/{row.id}",
            device=row.device,
            ticket_id=row.id,
            number=row.number,
        )
        await self._notifier.announce(session, notice, now=now)


def _views(row: Ticket | None, covers: bool) -> tuple[OpenTicket | None, PastTicket | None]:
    if row is None:
        return None, None
    if row.state in OPEN_STATES:
        return OpenTicket(row.severity, summary_of(row).taken, covers), None
    over = [at for at in (row.resolved_at, row.closed_at) if at is not None]
    return None, PastTicket(max(over), row.severity)


def _about(alarm: AlarmSnapshot, decision: TicketDecision) -> Mapping[str, Any]:
    """What a ticket's log keeps of an alarm."""
    return {
        "decision": decision.value,
        "alarm": alarm.id,
        "severity": alarm.worst_severity.value,
        "level": alarm.level,
        "metric": alarm.metric,
        "value": alarm.value,
        "limit": alarm.limit,
        "raised_at": alarm.raised_at.isoformat(),
        "ended_at": None if alarm.ended_at is None else alarm.ended_at.isoformat(),
        "end_reason": None if alarm.end_reason is None else alarm.end_reason.value,
        "arrival": alarm.arrival.value,
    }

"""Alarms that have no ticket are told by themselves."""

from datetime import datetime

from server.alarms.lifecycle import Arrival
from server.alarms.watching import AlarmSnapshot, TicketFinder
from server.db.session import WriteSession
from server.notify.notices import Notice, NoticeKind
from server.notify.service import Notifier


class AlarmNotices:
    """Implements `server.alarms.watching.AlarmObserver`; told after tickets, whose own messages are enough."""

    def __init__(self, *, notifier: Notifier, tickets: TicketFinder) -> None:
        self._notifier = notifier
        self._tickets = tickets

    async def on_change(
        self, session: WriteSession, before: AlarmSnapshot | None, after: AlarmSnapshot, now: datetime
    ) -> None:
        came = before is None or before.muted_because != after.muted_because
        worse = before is not None and after.worst_severity.worse_than(before.worst_severity)
        if not (came or worse or after.began_flapping) or after.muted_because is not None:
            return
        if after.id in await self._tickets.tickets_of(session, [after.id]):
            return
        over = after.arrival is Arrival.CLEARED_BEFORE_ARRIVAL
        notice = Notice(
            event=f"alarm/{after.id}/{'flapping' if after.began_flapping else after.worst_severity.value}",
            kind=NoticeKind.ALARM_WAS_OVER if over else NoticeKind.ALARM_CAME,
            customer_id=after.customer_id,
            site_id=after.site_id,
            severity=after.worst_severity,
            title_en=f"{after.device_en}: {after.rule_en}",
            title_zh=f"{after.device_zh}:{after.rule_zh}",
            path=f"/alarms/{after.id}",
            room=after.room,
            device=after.key.device,
            metric=after.metric,
            value=after.value,
            limit=after.limit,
            since=after.raised_at,
            alarm_id=after.id,
            flapping=after.began_flapping and not over,
        )
        await self._notifier.announce(session, notice, now=now)

"""Alarms that have no ticket are told by themselves."""

from datetime import datetime, timedelta
from enum import StrEnum

from server.alarms import repository
from server.alarms.lifecycle import Arrival
from server.alarms.watching import AlarmSnapshot, TicketFinder, snapshot_of
from server.db.session import WriteSession
from server.notify.notices import Notice, NoticeKind
from server.notify.service import Notifier


class News(StrEnum):
    """What a change of an alarm is to people, and why."""

    CAME = "came"
    WORSE = "worse"
    FLAPPING = "flapping"
    UNCHANGED = "unchanged"
    MUTED = "muted"
    CAME_BACK = "came_back"  # so soon that it was not over for those who were told


TOLD = frozenset({News.CAME, News.WORSE, News.FLAPPING})


def news(before: AlarmSnapshot | None, after: AlarmSnapshot, *, older: AlarmSnapshot | None, hold: timedelta) -> News:
    """What to tell of a change. older: the occurrence of its key before it; hold: for how long one must be gone to be
    over, as with tickets.
    """
    if after.muted_because is not None:
        return News.MUTED
    if after.began_flapping:
        return News.FLAPPING
    if before is not None and after.worst_severity.worse_than(before.worst_severity):
        return News.WORSE
    if before is not None:
        return News.UNCHANGED if before.muted_because is None else News.CAME
    if older is None or older.muted_because is not None or older.ended_at is None:
        return News.CAME
    if after.raised_at - older.ended_at >= hold:
        return News.CAME
    return News.CAME if after.worst_severity.worse_than(older.worst_severity) else News.CAME_BACK


class AlarmNotices:
    """Implements `server.alarms.watching.AlarmObserver`; told after tickets, whose own messages are enough."""

    def __init__(self, *, notifier: Notifier, tickets: TicketFinder, hold: timedelta) -> None:
        self._notifier = notifier
        self._tickets = tickets
        self._hold = hold

    async def on_change(
        self, session: WriteSession, before: AlarmSnapshot | None, after: AlarmSnapshot, now: datetime
    ) -> None:
        row = await repository.next_older(session, after.key_id, after.id) if before is None else None
        older = None if row is None else snapshot_of(row)
        if news(before, after, older=older, hold=self._hold) not in TOLD:
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

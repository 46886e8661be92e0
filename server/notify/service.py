"""Decides who is told and queues the messages; the sending happens after the commit, from the outbox."""

from datetime import datetime

from facility.clock import to_ms
from facility.ids import new_id
from facility.severity import Severity
from server.db.session import WriteSession, after_commit
from server.kit.context import Kit
from server.kit.outbox import enqueue
from server.kit.scope import Scope
from server.notify import repository, texts
from server.notify.handover import due_at
from server.notify.metrics import NotifyMetrics
from server.notify.models import Notification, NotifySetting
from server.notify.notices import Notice, NoticeKind
from server.notify.recipients import MINUTE, MOST_A_MINUTE, NotificationState, Wanted, is_told, roll_up_at
from server.people import repository as people
from server.people.auth import principal_of_user
from server.people.models import User

TOPIC = "notify.send"


class Notifier:
    """Queues messages in the transaction of what they tell of."""

    def __init__(self, kit: Kit, metrics: NotifyMetrics) -> None:
        self._kit = kit
        self._metrics = metrics

    async def announce(self, session: WriteSession, notice: Notice, *, now: datetime) -> int:
        """Tell everybody who wants to know; returns how many. An event told before is told to nobody again."""
        users = [user for user in await people.active_users(session) if user.notify_url]
        if not users:
            return 0
        settings = await repository.settings_of(session, [user.id for user in users])
        told = await repository.told(session, notice.event)
        count = 0
        for user in users:
            wants = is_told(
                principal_of_user(user),
                settings.get(user.id),
                customer_id=notice.customer_id,
                site_id=notice.site_id,
                severity=notice.severity,
                to=notice.to,
            )
            if wants and user.id not in told:
                await self._queue(session, user, notice, now)
                count += 1
        if count:
            after_commit(session, self._kit.wake_outbox)
        return count

    async def _queue(self, session: WriteSession, user: User, notice: Notice, now: datetime) -> None:
        critical = notice.severity is Severity.CRITICAL
        given = await repository.recent(session, user.id, now - MINUTE, critical=critical)
        row = _row(
            user,
            notice,
            title=texts.title_of(notice, user.language)[:500],
            body=texts.body_of(
                notice, language=user.language, zone=user.zone, public_url=self._kit.config.http.public_url
            ),
            now=now,
        )
        if given >= MOST_A_MINUTE:
            row.state = NotificationState.ROLLED_UP
            row.rolled_into = await self._roll_up(session, user, notice, now)
        session.add(row)
        await session.flush()
        state = "queued" if row.rolled_into is None else row.state.value
        after_commit(session, self._metrics.notifications.labels(state).inc)
        if row.rolled_into is None:
            due = due_at(notice.kind, notice.since, now)
            payload = {"notification": row.id}
            await enqueue(session, topic=TOPIC, payload=payload, now=now, due_at=due, key=f"notify/{row.id}")

    async def _roll_up(self, session: WriteSession, user: User, notice: Notice, now: datetime) -> str:
        """The message that stands for those held back in this minute; its text is written when it is sent."""
        due_at = roll_up_at(now)
        event = f"rollup/{due_at.isoformat()}"
        row = await repository.by_event(session, event, user.id)
        if row is None:
            row = _row(user, notice, title="", body="", now=now)
            row.event, row.kind, row.ticket_id, row.alarm_id = event, NoticeKind.ROLL_UP, None, None
            session.add(row)
            await session.flush()
            payload = {"notification": row.id}
            await enqueue(session, topic=TOPIC, payload=payload, now=now, due_at=due_at, key=f"notify/{row.id}")
        return row.id


def _row(user: User, notice: Notice, *, title: str, body: str, now: datetime) -> Notification:
    return Notification(
        id=new_id(to_ms(now)),
        customer_id=notice.customer_id,
        site_id=notice.site_id,
        user_id=user.id,
        event=notice.event,
        kind=notice.kind,
        severity=notice.severity,
        ticket_id=notice.ticket_id,
        alarm_id=notice.alarm_id,
        title=title,
        body=body,
        state=NotificationState.PENDING,
        attempts=0,
        created_at=now,
    )


async def set_wanted(session: WriteSession, scope: Scope, wanted: Wanted, *, now: datetime) -> NotifySetting:
    """What the caller wants to be told from now on."""
    row = await repository.setting(session, scope.principal.id)
    if row is None:
        row = NotifySetting(user_id=scope.principal.id, wanted=wanted, updated_at=now)
        session.add(row)
    row.wanted, row.updated_at = wanted, now
    await session.flush()
    return row

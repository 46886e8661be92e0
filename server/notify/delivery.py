"""Sends queued messages through Apprise: in threads, bounded in number and time, at least once.

A channel that keeps failing becomes an alarm of the centre; the first message that goes through ends it.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import apprise

from facility.items import target_of
from server.alarms.centre import CentreAlarms
from server.alarms.told import told_of
from server.kit.context import Kit
from server.kit.outbox import MAX_ATTEMPTS, OutboxItem, PermanentError
from server.notify import repository, texts
from server.notify.handover import HandOver, Mark, hand_over
from server.notify.metrics import NotifyMetrics
from server.notify.models import Notification
from server.notify.notices import NoticeKind
from server.notify.recipients import NotificationState

log = logging.getLogger(__name__)

# Apprise itself gives up on a silent peer after 4 s to connect and 4 s to read; this also bounds one that drips.
SEND_SECONDS = 20.0
AT_ONCE = 4
# With the outbox's back-off the fourth failure is about 70 s after the first: weather has passed by then.
ALARM_AFTER = 4


class DeliveryError(Exception):
    """The channel did not take the message; it is tried again."""


class Delivery:
    """The outbox handler of `notify.send`."""

    def __init__(self, kit: Kit, *, alarms: CentreAlarms, metrics: NotifyMetrics) -> None:
        self._kit = kit
        self._alarms = alarms
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="notify")

    async def send(self, item: OutboxItem) -> None:
        """One attempt. Raises DeliveryError to be tried again, PermanentError when that cannot help."""
        notification_id: str = item.payload["notification"]
        async with self._kit.db.read() as session:
            row = await repository.for_sending(session, notification_id)
            counts = await repository.rolled_into(session, notification_id)
            alarm_id = None if row is None else row.alarm_id
            on_site = [] if alarm_id is None else await told_of(session, alarm_id)
        if row is None or row.state is not NotificationState.PENDING:
            return
        user = row.user
        title, body = row.title, row.body
        if row.kind is NoticeKind.ROLL_UP:
            title, body = texts.roll_up(counts, language=user.language, public_url=self._kit.config.http.public_url)
        if not user.active or not user.notify_url:
            await self._note(row, NotificationState.SKIPPED, item.attempt, title, body, "the person has no channel")
            return
        marks = [Mark(each.channel, each.target, each.severity, each.at) for each in on_site]
        verdict, mark = hand_over(row.kind, row.severity, target_of(user.notify_url), marks)
        if mark is not None:
            line = texts.told_on_site(mark, language=user.language, zone=user.zone)
            if verdict is HandOver.ALREADY_TOLD:
                await self._note(row, NotificationState.SKIPPED, item.attempt, title, body, line)
                return
            body = f"{body}\n{line}"
        error = await self._try(user.notify_url, title, body)
        if error is None:
            await self._note(row, NotificationState.SENT, item.attempt, title, body, None)
            return
        dead = isinstance(error, PermanentError) or item.attempt >= MAX_ATTEMPTS
        state = NotificationState.DEAD if dead else NotificationState.PENDING
        await self._note(row, state, item.attempt, title, body, str(error))
        raise error

    async def _try(self, url: str, title: str, body: str) -> Exception | None:
        """What went wrong, without the URL: it holds credentials."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(SEND_SECONDS):
                return await loop.run_in_executor(self._threads, _send, url, title, body)
        except TimeoutError:
            return DeliveryError(f"the channel did not answer within {SEND_SECONDS:.0f} s")

    async def _note(
        self,
        row: Notification,
        state: NotificationState,
        attempt: int,
        title: str,
        body: str,
        error: str | None,
    ) -> None:
        """Record the attempt; raise or end the alarm of the channel in the same transaction."""
        now: datetime = self._kit.clock.now()
        async with self._kit.db.write() as session:
            fresh = await repository.fresh(session, row.id)
            if fresh is None or fresh.state is not NotificationState.PENDING:
                return
            fresh.state, fresh.attempts, fresh.last_error = state, attempt, error
            fresh.title, fresh.body = title[:500], body
            if state is NotificationState.SENT:
                fresh.sent_at = now
                await self._alarms.channel_works(session, login=row.user.login, now=now)
            elif state is NotificationState.DEAD or (error is not None and attempt >= ALARM_AFTER):
                await self._alarms.channel_failed(
                    session, customer_id=row.customer_id, site_id=row.site_id, login=row.user.login, now=now
                )
        outcome = "retry" if state is NotificationState.PENDING else state.value
        self._metrics.notifications.labels(outcome).inc()


def _send(url: str, title: str, body: str) -> Exception | None:
    channel = apprise.Apprise()
    if not channel.add(url):
        return PermanentError("the notify URL is none that Apprise understands")
    # Apprise refuses an empty body, and a notice without facts has none.
    if channel.notify(title=title, body=body or title):
        return None
    return DeliveryError(f"the {url.partition(':')[0]} channel did not take the message")

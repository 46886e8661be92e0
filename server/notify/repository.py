"""All queries of notifications and settings."""

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from facility.severity import Severity
from server.customers.models import Site
from server.db.session import ReadSession, WriteSession
from server.kit.paging import Order, PageRequest, fetch_page
from server.kit.scope import Scope, scoped
from server.notify.models import Notification, NotifySetting
from server.notify.recipients import NotificationState, Wanted

NOTIFICATIONS = Order("notifications.created", Notification.created_at, Notification.id, descending=True)


async def settings_of(session: ReadSession, user_ids: Collection[str]) -> dict[str, Wanted]:
    """What these people set for themselves; who set nothing is absent."""
    query = sa.select(NotifySetting).where(NotifySetting.user_id.in_(sorted(user_ids)))
    return {row.user_id: row.wanted for row in await session.scalars(query)}


async def setting(session: ReadSession, user_id: str) -> NotifySetting | None:
    return await session.get(NotifySetting, user_id)


async def told(session: ReadSession, event: str) -> set[str]:
    """The users an event was told to before. Not scoped: an event belongs to one ticket or alarm."""
    return set(await session.scalars(sa.select(Notification.user_id).where(Notification.event == event)))


async def recent(session: ReadSession, user_id: str, since: datetime, *, critical: bool) -> int:
    """How many messages a person was given since then, critical ones or the others; roll-ups are not counted."""
    query = sa.select(sa.func.count(Notification.id)).where(
        Notification.user_id == user_id,
        Notification.created_at > since,
        Notification.state != NotificationState.ROLLED_UP,
        Notification.event.not_like("rollup/%"),
    )
    same = Notification.severity == Severity.CRITICAL
    return await session.scalar(query.where(same if critical else sa.not_(same))) or 0


async def by_event(session: ReadSession, event: str, user_id: str) -> Notification | None:
    return await session.scalar(
        sa.select(Notification).where(Notification.event == event, Notification.user_id == user_id)
    )


async def for_sending(session: ReadSession, notification_id: str) -> Notification | None:
    """The notification with its user loaded. Not scoped: for the outbox."""
    query = sa.select(Notification).where(Notification.id == notification_id).options(joinedload(Notification.user))
    return await session.scalar(query)


async def rolled_into(session: ReadSession, roll_up_id: str) -> dict[Severity, int]:
    """How many messages a roll-up stands for, by severity."""
    query = sa.select(Notification.severity, sa.func.count(Notification.id))
    query = query.where(Notification.rolled_into == roll_up_id).group_by(Notification.severity)
    return {Severity(severity): int(count) for severity, count in await session.execute(query)}


async def fresh(session: WriteSession, notification_id: str) -> Notification | None:
    return await session.get(Notification, notification_id, populate_existing=True, with_for_update=True)


async def list_notifications(
    session: ReadSession,
    scope: Scope,
    page: PageRequest,
    *,
    user: str | None = None,
    state: NotificationState | None = None,
    ticket: str | None = None,
    site: str | None = None,
) -> tuple[Sequence[Notification], str | None]:
    """Youngest first, with user and site loaded. `site` is an id or code."""
    query = scoped(sa.select(Notification), Notification, scope)
    query = query.options(joinedload(Notification.user), joinedload(Notification.site))
    if site is not None:
        query = query.join(Notification.site).where(sa.or_(Site.id == site, Site.code == site))
    for column, wanted in (
        (Notification.user_id, user),
        (Notification.state, state),
        (Notification.ticket_id, ticket),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    return await fetch_page(session, query, order=NOTIFICATIONS, page=page)

"""The calendar: orders that exist, and days on which there will be one."""

from collections.abc import Sequence
from datetime import date, datetime

from server.db.session import ReadSession
from server.kit.problems import BadRequest
from server.kit.scope import Scope
from server.maintenance import repository
from server.maintenance.generator import schedule_of
from server.maintenance.models import OrderState
from server.maintenance.schedule import projected
from server.maintenance.schemas import CalendarEvent

# Six weeks are a month's page, a quarter is the widest view.
MAX_DAYS = 100
# Some 1.5 MB of JSON; more is no calendar that anybody reads.
MAX_EVENTS = 5000


async def events_between(
    session: ReadSession, scope: Scope, *, first: date, last: date, site: str | None, now: datetime
) -> Sequence[CalendarEvent]:
    """By due time. BadRequest for more than `MAX_DAYS` or `MAX_EVENTS`."""
    if not 0 <= (last - first).days < MAX_DAYS:
        raise BadRequest(f"`from` is at most {MAX_DAYS - 1} days before `to`", code="range")
    orders = await repository.orders_between(session, scope, first=first, last=last, site=site, limit=MAX_EVENTS + 1)
    events = [
        CalendarEvent(
            plan_id=order.plan_id,
            order_id=order.id,
            ticket_id=order.ticket_id,
            site_id=order.site_id,
            site=order.site.code,
            title_en=order.title_en,
            title_zh=order.title_zh,
            due_on=order.due_on,
            due_at=order.due_at,
            state=order.state,
            overdue=order.state is OrderState.OPEN and order.overdue_at <= now,
        )
        for order in orders
    ]
    plans = await repository.active_plans(session, scope, site=site)
    made = await repository.made_of(session, scope, plans)
    for plan in plans:
        if len(events) > MAX_EVENTS:
            raise BadRequest(f"more than {MAX_EVENTS} events: ask for one site or fewer days", code="too_many_events")
        events += [
            CalendarEvent(
                plan_id=plan.id,
                order_id=None,
                ticket_id=None,
                site_id=plan.site_id,
                site=plan.site.code,
                title_en=plan.title_en,
                title_zh=plan.title_zh,
                due_on=due.due_on,
                due_at=due.due_at,
                state="planned",
                overdue=False,
            )
            for due in projected(schedule_of(plan), made[plan.id], first=first, last=last)
        ]
    return sorted(events, key=lambda event: (event.due_at, event.plan_id))

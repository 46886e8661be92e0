"""All queries of maintenance. Every one takes a Scope; a row outside it is not found."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import defer, joinedload

from server.assets.models import AssetCategory
from server.db.session import ReadSession, WriteSession
from server.kit.paging import Order as By
from server.kit.paging import PageRequest, fetch_page
from server.kit.problems import NotFound
from server.kit.scope import Scope, scoped
from server.maintenance.models import Order, OrderState, Plan
from server.maintenance.schedule import Made

PLANS = By("maintenance_plans.title", Plan.title_en, Plan.id)
ORDERS = By("maintenance_orders.due", Order.due_at, Order.id)
# Plans whose past is read in one query; PostgreSQL takes 32,767 parameters, SQLite 32,766.
CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """`since` and `until` are due days, inclusive; `overdue` is judged at `now`."""

    site: str | None = None
    plan: str | None = None
    ticket: str | None = None
    states: Sequence[OrderState] = ()
    since: date | None = None
    until: date | None = None
    overdue: bool | None = None


async def get_plan(session: ReadSession, scope: Scope, plan_id: str) -> Plan:
    """With its site."""
    query = scoped(sa.select(Plan).where(Plan.id == plan_id), Plan, scope).options(joinedload(Plan.site))
    row = await session.scalar(query)
    if row is None:
        raise NotFound("maintenance plan", plan_id)
    return row


async def list_plans(
    session: ReadSession,
    scope: Scope,
    page: PageRequest,
    *,
    site: str | None,
    asset: str | None,
    category: AssetCategory | None,
    active: bool | None,
) -> tuple[Sequence[Plan], str | None]:
    query = scoped(sa.select(Plan), Plan, scope).options(joinedload(Plan.site))
    for column, value in (
        (Plan.site_id, site),
        (Plan.asset_id, asset),
        (Plan.category, category),
        (Plan.active, active),
    ):
        if value is not None:
            query = query.where(column == value)
    return await fetch_page(session, query, order=PLANS, page=page)


async def active_plans(session: ReadSession, scope: Scope, *, site: str | None = None) -> Sequence[Plan]:
    """With their sites and without their checklists, in the order they were made."""
    query = scoped(sa.select(Plan).where(Plan.active.is_(True)), Plan, scope)
    query = query.options(joinedload(Plan.site), defer(Plan.checklist, raiseload=True))
    if site is not None:
        query = query.where(Plan.site_id == site)
    return (await session.scalars(query.order_by(Plan.id))).all()


async def lock_plan(session: WriteSession, scope: Scope, plan_id: str) -> Plan:
    """The plan as it is now, held until the end of the transaction: one generator or editor at a time."""
    query = scoped(sa.select(Plan).where(Plan.id == plan_id), Plan, scope).options(joinedload(Plan.site))
    found = await session.scalar(query.with_for_update(of=Plan), execution_options={"populate_existing": True})
    if found is None:
        raise NotFound("maintenance plan", plan_id)
    return found


async def settle(session: WriteSession, plan: Plan, day: date) -> None:
    """Note that everything up to `day` is answered. Past the ORM: the plan's version is for people's changes."""
    await session.execute(sa.update(Plan).where(Plan.id == plan.id).values(settled_on=day))


async def made_of(session: ReadSession, scope: Scope, plans: Iterable[Plan]) -> Mapping[str, Made]:
    """What was made of each plan so far, by plan id."""
    wanted = [plan.id for plan in plans]
    days: dict[str, set[date]] = defaultdict(set)
    open_on: dict[str, date] = {}
    counted_from: dict[str, date] = {}
    for start in range(0, len(wanted), CHUNK):
        chunk = wanted[start : start + CHUNK]
        mine = scoped(sa.select(Order.plan_id), Order, scope).where(Order.plan_id.in_(chunk))
        after = mine.join(Plan, Plan.id == Order.plan_id).where(Order.due_on > Plan.settled_on)
        for plan_id, due_on in await session.execute(after.add_columns(Order.due_on)):
            days[plan_id].add(due_on)
        newest = mine.add_columns(sa.func.max(Order.due_on)).where(Order.state == OrderState.OPEN)
        open_on |= {row[0]: row[1] for row in await session.execute(newest.group_by(Order.plan_id))}
        counted = mine.add_columns(sa.func.max(Order.counted_from)).where(Order.counted_from.is_not(None))
        counted_from |= {row[0]: row[1] for row in await session.execute(counted.group_by(Order.plan_id))}
    return {
        key: Made(days=frozenset(days[key]), open_on=open_on.get(key), counted_from=counted_from.get(key))
        for key in wanted
    }


async def get_order(session: ReadSession, scope: Scope, order_id: str) -> Order:
    """With its site."""
    query = scoped(sa.select(Order).where(Order.id == order_id), Order, scope).options(joinedload(Order.site))
    row = await session.scalar(query)
    if row is None:
        raise NotFound("maintenance order", order_id)
    return row


async def lock_order(session: WriteSession, scope: Scope, order_id: str) -> Order:
    """The order as it is now, held until the end of the transaction: the second of two people finds it done."""
    query = scoped(sa.select(Order).where(Order.id == order_id), Order, scope).options(joinedload(Order.site))
    row = await session.scalar(query.with_for_update(of=Order), execution_options={"populate_existing": True})
    if row is None:
        raise NotFound("maintenance order", order_id)
    return row


async def list_orders(
    session: ReadSession, scope: Scope, page: PageRequest, *, wanted: OrderFilter, now: datetime
) -> tuple[Sequence[Order], str | None]:
    """With their sites, by due time."""
    query = scoped(sa.select(Order), Order, scope).options(joinedload(Order.site))
    for column, value in (
        (Order.site_id, wanted.site),
        (Order.plan_id, wanted.plan),
        (Order.ticket_id, wanted.ticket),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.states:
        query = query.where(Order.state.in_(wanted.states))
    if wanted.overdue is not None:
        overdue = sa.and_(Order.state == OrderState.OPEN, Order.overdue_at <= now)
        query = query.where(overdue if wanted.overdue else sa.not_(overdue))
    if wanted.since is not None:
        query = query.where(Order.due_on >= wanted.since)
    if wanted.until is not None:
        query = query.where(Order.due_on <= wanted.until)
    return await fetch_page(session, query, order=ORDERS, page=page)


async def orders_between(
    session: ReadSession, scope: Scope, *, first: date, last: date, site: str | None, limit: int
) -> Sequence[Order]:
    """With their sites, by due time; at most `limit`."""
    query = scoped(sa.select(Order), Order, scope).options(joinedload(Order.site))
    query = query.where(Order.due_on.between(first, last))
    if site is not None:
        query = query.where(Order.site_id == site)
    return (await session.scalars(query.order_by(Order.due_at, Order.id).limit(limit))).all()


async def outcomes(
    session: ReadSession, scope: Scope, *, first: date, last: date, site: str | None, now: datetime
) -> Sequence[tuple[int, int, OrderState, bool | None, bool, int]]:
    """How many orders of each month of due days are in which state: year, month, state, on time, overdue, count."""
    year, month = sa.extract("year", Order.due_on), sa.extract("month", Order.due_on)
    overdue = Order.overdue_at <= now
    mine = scoped(sa.select(year), Order, scope).where(Order.due_on.between(first, last))
    if site is not None:
        mine = mine.where(Order.site_id == site)
    query = mine.add_columns(month, Order.state, Order.on_time, overdue, sa.func.count())
    rows = await session.execute(query.group_by(year, month, Order.state, Order.on_time, overdue))
    return [(int(r[0]), int(r[1]), r[2], r[3], bool(r[4]), r[5]) for r in rows]

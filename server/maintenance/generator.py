"""Orders from plans: the job, and the making of one order with its ticket, in one transaction.

Running twice is running once: the days are answered by `schedule`, and UNIQUE(plan, due_on) refuses what slips past it.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from facility.clock import to_ms
from facility.ids import new_id
from facility.severity import Severity
from server.assets import repository as assets
from server.assets.models import Asset
from server.db.session import WriteSession
from server.kit.scope import Scope
from server.maintenance import repository
from server.maintenance.checklist import MAX_ASSETS, AssetName, Item, checklist_of
from server.maintenance.metrics import MaintenanceMetrics
from server.maintenance.models import Order, OrderState, Plan, SkipReason
from server.maintenance.recurrence import FixedRule, FloatingRule, Rule, RuleError
from server.maintenance.schedule import Due, DueReason, Schedule, due_orders
from server.tickets.service import TicketService
from server.tickets.states import TicketKind

log = logging.getLogger(__name__)

# Orders made in one run: some 20 ms each with their tickets, and a run is one transaction of the only SQLite writer.
MOST_MADE = 50

_SKIPS = {DueReason.MISSED: SkipReason.MISSED, DueReason.SUPERSEDED: SkipReason.SUPERSEDED}
# Planned work comes below everything that is broken.
SEVERITY = Severity.INFO


def rule_of(plan: Plan) -> Rule:
    if plan.rrule is not None:
        return FixedRule(rrule=plan.rrule, dtstart=plan.dtstart)
    assert plan.every is not None
    assert plan.step is not None
    return FloatingRule(every=plan.every, step=plan.step, dtstart=plan.dtstart)


def schedule_of(plan: Plan) -> Schedule:
    """`plan.site` is loaded: its zone is the one clock of the plan."""
    return Schedule(
        rule=rule_of(plan),
        zone=ZoneInfo(plan.site.zone),
        lead_days=plan.lead_days,
        tolerance_days=plan.tolerance_days,
        catch_up=plan.catch_up,
        settled_on=plan.settled_on,
    )


class Generator:
    """Makes orders and opens their tickets. A run ends after the plan with which `most` orders are reached."""

    def __init__(self, *, tickets: TicketService, metrics: MaintenanceMetrics, most: int = MOST_MADE) -> None:
        self._tickets = tickets
        self._metrics = metrics
        self._most = most

    async def run(self, session: WriteSession, now: datetime) -> None:
        """Job: make what is due of the active plans; what is left over comes with the next run.

        One plan that cannot be followed stops no other.
        """
        count = 0
        scope = Scope.system()
        plans = await repository.active_plans(session, scope)
        made = await repository.made_of(session, scope, plans)
        for plan in plans:
            try:
                waiting = due_orders(schedule_of(plan), made[plan.id], now)
            except RuleError as error:
                self._metrics.failures.inc()
                log.error("plan cannot be followed: correct its rule", extra={"plan": plan.id, "error": str(error)})
                continue
            if waiting:
                count += len(await self.make_due(session, scope, plan.id, now=now))
            if count >= self._most:
                log.info("more orders in the next run", extra={"made": count})
                return

    async def make_due(self, session: WriteSession, scope: Scope, plan_id: str, *, now: datetime) -> list[Order]:
        """Make what is due of one plan, oldest first. The plan is locked and looked at anew."""
        plan = await repository.lock_plan(session, scope, plan_id)
        if not plan.active:
            return []
        past = (await repository.made_of(session, scope, [plan]))[plan.id]
        dues = due_orders(schedule_of(plan), past, now)
        if not dues:
            return []
        targets, left_out = await self._targets(session, scope, plan)
        orders = [await self._make(session, scope, plan, due, targets, left_out, now) for due in dues]
        if plan.rrule is not None:
            await repository.settle(session, plan, dues[-1].due_on)
        return orders

    async def _targets(self, session: WriteSession, scope: Scope, plan: Plan) -> tuple[Sequence[Asset], bool]:
        """What the plan is about today, and whether there was more than an order takes."""
        if plan.asset_id is not None:
            asset = await assets.present_asset(session, scope, plan.asset_id)
            return ([] if asset is None else [asset]), False
        assert plan.category is not None
        found = await assets.assets_of_category(
            session, scope, site_id=plan.site_id, category=plan.category, limit=MAX_ASSETS + 1
        )
        return found[:MAX_ASSETS], len(found) > MAX_ASSETS

    async def _make(
        self,
        session: WriteSession,
        scope: Scope,
        plan: Plan,
        due: Due,
        targets: Sequence[Asset],
        left_out: bool,
        now: datetime,
    ) -> Order:
        skip = _SKIPS.get(due.reason)
        if skip is None and not targets:
            skip = SkipReason.NO_ASSETS
        single = targets[0] if len(targets) == 1 else None
        title_en = plan.title_en if single is None else f"{plan.title_en}: {single.name_en}"
        title_zh = plan.title_zh if single is None else f"{plan.title_zh}:{single.name_zh}"
        template = [Item.model_validate(item) for item in plan.checklist]
        names = [AssetName(id=asset.id, name_en=asset.name_en, name_zh=asset.name_zh) for asset in targets]
        checklist = checklist_of(template, names, plan_version=plan.version, truncated=left_out)
        ticket_id = None
        if skip is None:
            ticket = await self._tickets.open_planned(
                session,
                scope,
                kind=TicketKind.PREVENTIVE,
                customer_id=plan.customer_id,
                site_id=plan.site_id,
                idempotency_key=f"maintenance/{plan.id}/{due.due_on}",
                title_en=title_en,
                title_zh=title_zh,
                device=(single.device or "") if single is not None else "",
                severity=SEVERITY,
                due_at=due.due_at,
                now=now,
            )
            ticket_id = ticket.id
        order = Order(
            id=new_id(to_ms(now)),
            customer_id=plan.customer_id,
            site_id=plan.site_id,
            plan_id=plan.id,
            title_en=title_en,
            title_zh=title_zh,
            due_on=due.due_on,
            due_at=due.due_at,
            overdue_at=due.overdue_at,
            reason=due.reason,
            state=OrderState.OPEN if skip is None else OrderState.SKIPPED,
            ticket_id=ticket_id,
            checklist=checklist.model_dump(mode="json"),
            results=None,
            failed_items=0,
            note="",
            completed_at=None,
            completed_by=None,
            on_time=None,
            skip_reason=skip,
            counted_from=None if skip is None else due.due_on,
            created_at=now,
            updated_at=now,
            site=plan.site,
        )
        session.add(order)
        await session.flush()
        self._metrics.orders.labels(due.reason.value if skip is not SkipReason.NO_ASSETS else skip.value).inc()
        return order

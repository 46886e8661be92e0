"""What people do with orders: complete them, or skip them with a reason. Either ends the order's ticket."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from server.db.session import WriteSession
from server.kit.audit import audit
from server.kit.problems import BadRequest, Conflict
from server.kit.scope import Scope
from server.maintenance import repository
from server.maintenance.checklist import Checklist, judge
from server.maintenance.models import Order, OrderState
from server.maintenance.schedule import local_day
from server.maintenance.schemas import Completion, Skip
from server.tickets.service import TicketService

# Problems shown of one completion; the rest show up when these are mended.
MAX_PROBLEMS = 100


class Orders:
    """Ends orders, together with their tickets and in one transaction with them."""

    def __init__(self, *, tickets: TicketService) -> None:
        self._tickets = tickets

    async def complete(
        self, session: WriteSession, scope: Scope, order_id: str, body: Completion, *, now: datetime
    ) -> Order:
        """Record the results. BadRequest with a path for each value that is missing or of the wrong type or unit."""
        order = await self._open_order(session, scope, order_id)
        performed_at = body.performed_at or now
        if performed_at > now:
            raise BadRequest("performed_at has not come yet", code="performed_at")
        judged = judge(Checklist.model_validate(order.checklist), body.results)
        if judged.problems:
            raise BadRequest(
                f"{len(judged.problems)} values are missing or wrong",
                code="checklist",
                errors=[problem.shown() for problem in judged.problems[:MAX_PROBLEMS]],
            )
        order.state = OrderState.DONE
        order.results = {key: result.model_dump(mode="json") for key, result in judged.results.items()}
        order.failed_items = judged.failed
        order.note = body.note
        order.completed_at = performed_at
        order.completed_by = scope.principal.id
        order.on_time = performed_at < order.overdue_at
        order.counted_from = local_day(performed_at, ZoneInfo(order.site.zone))
        failed = f", {judged.failed} items failed" if judged.failed else ""
        said = {"state": order.state.value, "failed_items": judged.failed, "on_time": order.on_time}
        await self._end(session, scope, order, "completed", said, note=f"maintenance done{failed}", now=now)
        return order

    async def skip(self, session: WriteSession, scope: Scope, order_id: str, body: Skip, *, now: datetime) -> Order:
        """Leave the work out, and say why. A floating plan counts on from the day it was due."""
        order = await self._open_order(session, scope, order_id)
        order.state = OrderState.SKIPPED
        order.skip_reason = body.reason
        order.note = body.note
        order.completed_by = scope.principal.id
        order.counted_from = order.due_on
        said = {"state": order.state.value, "skip_reason": body.reason.value, "note": body.note}
        note = f"maintenance skipped: {body.reason.value}" + (f" ({body.note})" if body.note else "")
        await self._end(session, scope, order, "skipped", said, note=note, now=now)
        return order

    async def _open_order(self, session: WriteSession, scope: Scope, order_id: str) -> Order:
        order = await repository.lock_order(session, scope, order_id)
        if order.state is not OrderState.OPEN:
            raise Conflict(f"the order is {order.state.value} already", code="not_open")
        return order

    async def _end(
        self,
        session: WriteSession,
        scope: Scope,
        order: Order,
        verb: str,
        said: dict[str, Any],
        *,
        note: str,
        now: datetime,
    ) -> None:
        order.updated_at = now
        await session.flush()
        audit(
            session,
            now=now,
            actor=scope.principal,
            action=f"maintenance.order.{verb}",
            entity="maintenance_order",
            entity_id=order.id,
            old={"state": OrderState.OPEN.value},
            new=said,
            customer_id=order.customer_id,
            site_id=order.site_id,
        )
        if order.ticket_id is not None:
            await self._tickets.resolve_planned(session, scope, order.ticket_id, note=note, now=now)

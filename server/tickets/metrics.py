"""What tickets export of themselves."""

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from server.db.session import WriteSession
from server.kit.scope import Scope
from server.tickets import repository


class TicketMetrics:
    """Decisions are counted as they are made; the gauge is refreshed by a job: a scrape asks no database."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.decisions = Counter(
            "coldaisle_server_ticket_decisions_total",
            "What alarms meant for tickets, by decision",
            ("decision",),
            registry=registry,
        )
        self.open = Gauge(
            "coldaisle_server_open_tickets", "Tickets not yet resolved, by state", ("state",), registry=registry
        )

    async def refresh(self, session: WriteSession, now: datetime) -> None:
        for state, count in (await repository.count_by_state(session, Scope.system())).items():
            self.open.labels(state.value).set(count)

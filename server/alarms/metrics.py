"""What alarms export of themselves."""

from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge

from server.alarms import repository
from server.db.session import WriteSession
from server.kit.scope import Scope


class AlarmMetrics:
    """`coldaisle_server_active_alarms{severity}`, refreshed by a job: a scrape asks no database."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.active = Gauge(
            "coldaisle_server_active_alarms", "Alarms that are active, by severity", ("severity",), registry=registry
        )

    async def refresh(self, session: WriteSession, now: datetime) -> None:
        for severity, count in (await repository.active_by_severity(session, Scope.system())).items():
            self.active.labels(severity.value).set(count)

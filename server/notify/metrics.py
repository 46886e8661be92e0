"""What notify exports of itself."""

from prometheus_client import CollectorRegistry, Counter


class NotifyMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.notifications = Counter(
            "coldaisle_server_notifications_total",
            "Messages to people, by what became of them",
            ("outcome",),
            registry=registry,
        )

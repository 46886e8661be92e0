"""What maintenance counts for /metrics."""

from prometheus_client import CollectorRegistry, Counter


class MaintenanceMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.orders = Counter(
            "coldaisle_server_maintenance_orders_total",
            "Orders made from plans, by reason; missed and superseded days are recorded as skipped",
            ("reason",),
            registry=registry,
        )
        self.failures = Counter(
            "coldaisle_server_maintenance_plan_failures_total",
            "Plans that could not be followed in a run of the generator",
            registry=registry,
        )

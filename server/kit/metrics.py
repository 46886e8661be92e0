"""The server's own metrics: one registry per program, handed in; nothing is global."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """What the foundations count. A domain declares its own in its `metrics.py` on `registry`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self.requests = Counter(
            "coldaisle_server_requests_total",
            "HTTP requests by route template and status",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "coldaisle_server_request_seconds",
            "Time to answer an HTTP request",
            ("method", "route"),
            registry=self.registry,
        )
        self.logins = Counter(
            "coldaisle_server_logins_total", "Sign-ins by outcome", ("outcome",), registry=self.registry
        )
        self.job_runs = Counter(
            "coldaisle_server_job_runs_total", "Job runs by outcome", ("job", "outcome"), registry=self.registry
        )
        self.outbox = Counter(
            "coldaisle_server_outbox_items_total",
            "Side effects handled, by topic and outcome",
            ("topic", "outcome"),
            registry=self.registry,
        )
        self.outbox_waiting = Gauge(
            "coldaisle_server_outbox_waiting_items", "Side effects not yet done", registry=self.registry
        )

    def exposition(self) -> bytes:
        """The text of `GET /metrics`."""
        return generate_latest(self.registry)

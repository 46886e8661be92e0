"""What ingest counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class IngestMetrics:
    """On the server's registry; label values are the words of the wire."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.blocks = Counter(
            "coldaisle_server_ingest_blocks_total",
            "Blocks by kind, verdict and reason",
            ("kind", "verdict", "reason"),
            registry=registry,
        )
        self.values = Counter(
            "coldaisle_server_ingest_values_total", "Readings in blocks stored for the first time", registry=registry
        )
        self.refused = Counter(
            "coldaisle_server_ingest_refused_items_total",
            "Items of committed blocks that were not taken",
            ("kind", "reason"),
            registry=registry,
        )
        self.let_go = Counter(
            "coldaisle_server_ingest_quarantine_let_go_total",
            "Blocks and items in quarantine that newer ones pushed out: of the same agent, or of all",
            ("bound",),
            registry=registry,
        )
        self.dropped = Counter(
            "coldaisle_server_ingest_dropped_messages_total",
            "Messages not looked at; the sender sends them again",
            ("reason",),
            registry=registry,
        )
        self.clashes = Counter(
            "coldaisle_server_ingest_clashes_total",
            "Transactions that another one was in the way of",
            ("db",),
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "coldaisle_server_ingest_batch_seconds", "From taking a batch to its commit", registry=registry
        )
        self.lag = Gauge(
            "coldaisle_server_ingest_lag_seconds", "Age of the newest reading of the last batch", registry=registry
        )
        self.queue = Gauge("coldaisle_server_ingest_queue_messages", "Messages waiting", registry=registry)
        self.connected = Gauge("coldaisle_server_ingest_connected", "1 while the broker is there", registry=registry)

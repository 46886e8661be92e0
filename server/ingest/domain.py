"""How the ingest domain presents itself to the composition root."""

from collections.abc import Sequence
from datetime import timedelta

from facility.clock import to_ms
from facility.ids import new_id
from server.fleet.watch import AgentWatcher
from server.history.rolling import keep_of
from server.history.store import History
from server.ingest import repository
from server.ingest.component import Ingest
from server.ingest.endpoints import router
from server.ingest.metrics import IngestMetrics
from server.ingest.processor import Processor
from server.ingest.protocols import AlarmSink
from server.kit.context import Domain, Kit
from server.kit.jobs import Job

JOBS = (Job("ingest.prune", timedelta(minutes=10), repository.prune),)


def build(kit: Kit, *, history: History, alarms: AlarmSink, watchers: Sequence[AgentWatcher]) -> Domain:
    """Without a broker in the settings nothing is taken in; the quarantine can still be read."""
    config = kit.config.mqtt
    if config.host is None:
        return Domain(name="ingest", api=[router], jobs=JOBS)
    metrics = IngestMetrics(kit.metrics.registry)
    processor = Processor(
        db=kit.db,
        history=history,
        alarms=alarms,
        clock=kit.clock,
        metrics=metrics,
        keep=keep_of(kit.config.retention),
        auto_enrol_zone=kit.config.default_zone if config.auto_enrol else None,
    )
    ingest = Ingest(
        config=config,
        processor=processor,
        db=kit.db,
        watchers=watchers,
        clock=kit.clock,
        metrics=metrics,
        identifier=f"{config.client_id}-{new_id(to_ms(kit.clock.now()))}",
        folder=kit.config.data_dir,
    )
    return Domain(name="ingest", api=[router], jobs=JOBS, ingest_components=[ingest])

"""How the ingest domain presents itself to the composition root."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from facility.clock import to_ms
from facility.ids import new_id
from server.db.session import WriteSession, after_commit
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


def prune_job(metrics: IngestMetrics | None) -> Job:
    """metrics: of a server that takes blocks in."""

    async def run(session: WriteSession, now: datetime) -> None:
        gone = await repository.prune(session, now)
        if metrics is not None:
            after_commit(session, partial(metrics.let_go.labels("all").inc, gone))

    return Job("ingest.prune", timedelta(minutes=10), run)


def build(kit: Kit, *, history: History, alarms: AlarmSink, watchers: Sequence[AgentWatcher]) -> Domain:
    """Without a broker in the settings nothing is taken in; the quarantine can still be read."""
    config = kit.config.mqtt
    if config.host is None:
        return Domain(name="ingest", api=[router], jobs=[prune_job(None)])
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
    return Domain(name="ingest", api=[router], jobs=[prune_job(metrics)], ingest_components=[ingest])

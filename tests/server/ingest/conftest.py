"""A processor on a built server, and a sink for alarms that keeps what it was given."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from facility.items import AlarmItem
from facility.wire import Answer, RejectedItem, RejectReason, Verdict
from server.app import Server
from server.config import RetentionConfig
from server.db.session import WriteSession, after_commit
from server.fleet import repository as fleet_repository
from server.fleet import service as fleet
from server.fleet.models import Agent, AgentCatalog, Point
from server.fleet.refs import AgentRef, SiteRef
from server.fleet.schemas import AgentIn
from server.history.domain import open_database
from server.history.rolling import keep_of
from server.history.sql import read_states
from server.history.stores import SqlStore
from server.ingest.inbox import Message
from server.ingest.metrics import IngestMetrics
from server.ingest.models import Quarantined
from server.ingest.processor import Processor
from server.ingest.repository import list_quarantine
from server.kit.paging import PageRequest
from server.kit.scope import Scope
from tests.server.factories import World
from tests.server.ingest.wire_by_hand import Sender, catalog


@dataclass
class Sink:
    """Keeps every item that is committed; refuses events of `refused_device`; raises for `poison_device`."""

    taken: list[tuple[str, AlarmItem]] = field(default_factory=list)
    refused_device: str = "refused"
    poison_device: str = "poison"

    async def apply(
        self, session: WriteSession, *, site: SiteRef, agent: AgentRef, items: Sequence[AlarmItem], now: datetime
    ) -> list[RejectedItem]:
        refused = []
        for position, item in enumerate(items):
            device = item.event.device if item.event is not None else ""
            if device == self.poison_device:
                raise ValueError("this event breaks the sink")
            if device == self.refused_device:
                refused.append(RejectedItem(f"[{position}]", RejectReason.UNKNOWN_DEVICE, "told so"))
            else:
                after_commit(session, partial(self.taken.append, (agent.code, item)))
        return refused


@dataclass
class Station:
    """A processor with its stores and its sink."""

    server: Server
    world: World
    store: SqlStore
    sink: Sink
    metrics: IngestMetrics
    processor: Processor

    def another(self, *, auto_enrol: bool = False) -> Processor:
        """A second worker on the same databases."""
        return Processor(
            db=self.server.db,
            history=SqlStore(self.store.db),
            alarms=self.sink,
            clock=self.world.clock,
            metrics=self.metrics,
            keep=keep_of(RetentionConfig()),
            auto_enrol_zone="Asia/Shanghai" if auto_enrol else None,
        )

    async def take(self, *sent: tuple[str, bytes, int]) -> list[Answer]:
        """What the processor answers to these messages, in order of sequence numbers."""
        replies = await self.processor.take([Message(topic, payload) for topic, payload, _ in sent])
        return sorted((reply.answer for reply in replies), key=lambda answer: answer.seq)

    async def sender(self, code: str = "edge1") -> Sender:
        """A new agent of the home site."""
        async with self.server.db.write() as session:
            body = AgentIn(site=self.world.home.site.id, code=code)
            await fleet.create_agent(session, Scope.system(), body, now=self.world.clock.now())
        return Sender("home", code)

    async def point(self, device: str, metric: str = "room.temperature", subject: str = "") -> Point:
        """A point of the home site."""
        async with self.server.db.read() as session:
            site_id = self.world.home.site.id
            found = await fleet_repository.find_point(session, Scope.system(), site_id, device, metric, subject)
        assert found is not None
        return found

    async def values(self, device: str, metric: str = "room.temperature") -> list[tuple[int, float | None]]:
        """(taken_at, value) of everything history holds of a point."""
        point = await self.point(device, metric)
        return [(row.at, row.value) for row in await self.store.raw(point.id, 0, 2**62, limit=1_000_000)]

    async def hold_ms(self, device: str) -> int:
        """How long the newest value of a device's temperature stands, by what history was told last."""
        point = await self.point(device)
        async with self.store.db.read() as session:
            return (await read_states(await session.connection(), [point.id]))[point.id].hold_ms

    async def agent(self, code: str = "edge1") -> Agent:
        async with self.server.db.read() as session:
            found = await fleet_repository.find_agent(session, Scope.system(), "home", code)
        assert found is not None
        return found

    async def digests(self, code: str = "edge1") -> set[str]:
        """Of every catalog of an agent that is here."""
        agent = await self.agent(code)
        async with self.server.db.read() as session:
            query = sa.select(AgentCatalog.digest).where(AgentCatalog.agent_id == agent.id)
            return set(await session.scalars(query))

    async def quarantined(self) -> list[Quarantined]:
        async with self.server.db.read() as session:
            rows, _ = await list_quarantine(session, PageRequest(limit=500), site=None, agent=None, reason=None)
        return list(rows)

    async def catalogued(self, code: str = "edge1", **points: str) -> tuple[Sender, str]:
        """A sender whose catalog is taken (device=metric, by default th1), and the digest the server knows it by."""
        sender = await self.sender(code)
        devices = {device: [(metric, "")] for device, metric in (points or {"th1": "room.temperature"}).items()}
        (answer,) = await self.take(sender.next("catalog", [catalog(devices, room="hall")]))
        assert (answer.verdict, answer.rejected) == (Verdict.COMMITTED, ())
        return sender, (await self.agent(code)).catalog_digest

    def counted(self, name: str, **labels: str) -> float:
        return self.server.kit.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
async def station(server: Server, world: World) -> AsyncIterator[Station]:
    async with open_database(server.kit.config, server.db) as db:
        metrics = IngestMetrics(server.kit.metrics.registry)
        sink = Sink()
        made: Any = Station(server, world, SqlStore(db), sink, metrics, None)  # type: ignore[arg-type]
        made.processor = made.another()
        yield made

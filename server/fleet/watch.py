"""Asking for silence: an agent of which nothing came for three health periods is lost, whatever its last will said."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from server.db.session import WriteSession
from server.fleet import repository
from server.fleet.listening import Ears, Hearing, ears, spans
from server.fleet.models import AgentStatus
from server.fleet.refs import AgentRef, SiteRef
from server.kit.jobs import Job
from server.kit.scope import Scope

log = logging.getLogger(__name__)

# Agents report their health each 60 s (DESIGN of the wire); one or two lost reports are weather.
HEALTH_PERIOD = timedelta(seconds=60)
MISSED_PERIODS = 3
GRACE = HEALTH_PERIOD * MISSED_PERIODS
# One job run is one transaction: a whole region going dark is worked off in parts.
AT_ONCE = 200


class AgentWatcher(Protocol):
    """Who wants to know that an agent is lost or back; called in the transaction that records it."""

    async def agent_lost(self, session: WriteSession, *, agent: AgentRef, since: datetime, now: datetime) -> None:
        """`since` is when the last block came."""

    async def agent_returned(self, session: WriteSession, *, agent: AgentRef, now: datetime) -> None: ...

    async def agent_retired(self, session: WriteSession, *, agent: AgentRef, now: datetime) -> None: ...


@dataclass(frozen=True, slots=True)
class AgentWatchers:
    """All of them, in the order in which they are told."""

    all: tuple[AgentWatcher, ...]


class BrokerWatcher(Protocol):
    """Who wants to know that no ingest worker hears the broker; told again and again while it lasts."""

    async def broker_lost(self, session: WriteSession, *, site: SiteRef, since: datetime, now: datetime) -> None:
        """`site` is where the oldest agent is: an alarm belongs to some site."""

    async def broker_heard(self, session: WriteSession, *, now: datetime) -> None: ...


def silence_job(watchers: Sequence[AgentWatcher], brokers: Sequence[BrokerWatcher] = ()) -> Job:
    """Marks agents silent and tells the watchers, once per silence.

    Silence counts from when an ingest worker began to listen: a centre that was down itself, or cut off from the
    broker, has heard nothing of anybody, and that says nothing of the agents. Without any worker the job's own first
    run begins the count.
    """
    first_look: datetime | None = None

    async def run(session: WriteSession, now: datetime) -> None:
        nonlocal first_look
        first_look = first_look or now
        found = ears(await spans(session), first_look=first_look, now=now)
        await _tell_of_broker(session, found, brokers, now)
        before = now - GRACE
        if found.hearing not in (Hearing.LISTENING, Hearing.NO_INGEST) or found.since > before:
            return
        held = {row.id for row in await repository.agents_seen_before(session, Scope.system(), before, limit=AT_ONCE)}
        if not held:
            return
        # Before their alarms, as whoever hears of them does; one may be heard while that is waited for.
        await repository.lock_agents(session, held)
        still = await repository.agents_seen_before(session, Scope.system(), before, limit=AT_ONCE)
        rows = [row for row in still if row.id in held]
        found_silent: list[tuple[AgentRef, datetime]] = []
        for row in rows:
            since = row.last_seen_at or row.status_since
            row.status, row.status_since = AgentStatus.SILENT, now
            agent = repository.agent_ref(row)
            found_silent.append((agent, since))
            log.warning(
                "agent silent", extra={"site": agent.site.code, "agent": agent.code, "since": since.isoformat()}
            )
            await repository.forget_communication(session, row.id)
        await session.flush()
        # Once all are marked: whether a whole site is silent is not to depend on the order.
        for agent, since in found_silent:
            for watcher in watchers:
                await watcher.agent_lost(session, agent=agent, since=since, now=now)

    return Job("fleet.silence", timedelta(seconds=15), run)


async def _tell_of_broker(session: WriteSession, found: Ears, brokers: Sequence[BrokerWatcher], now: datetime) -> None:
    if found.hearing is Hearing.LISTENING:
        for broker in brokers:
            await broker.broker_heard(session, now=now)
    elif found.hearing is Hearing.DEAF:
        oldest = await repository.oldest_agent(session, Scope.system())
        if oldest is None:
            return
        for broker in brokers:
            await broker.broker_lost(session, site=repository.agent_ref(oldest).site, since=found.since, now=now)

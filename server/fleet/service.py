"""What fleet does and answers for other domains. Functions: there is no state to hold."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from msgspec import UNSET

from facility.clock import from_ms, to_ms
from facility.ids import is_slug, new_id
from facility.items import EventItem, HealthItem
from facility.wire import AgentState, Status
from server.customers import repository as customers
from server.customers import service as customers_service
from server.customers.models import Site
from server.customers.schemas import CustomerIn, SiteIn
from server.db.session import ReadSession, WriteSession
from server.fleet import repository
from server.fleet.drops import THINNED, with_drops
from server.fleet.models import Agent, AgentEvent, AgentStatus, Device, Point, Rule
from server.fleet.refs import AgentRef
from server.fleet.schemas import AgentIn
from server.fleet.texts import clip, without_nul
from server.fleet.watch import AgentWatcher
from server.kit.audit import audit
from server.kit.problems import BadRequest, Conflict, NotFound
from server.kit.scope import Scope

# Where sites that enrol themselves go: the demo, and a first look.
ENROLLED_CUSTOMER = "enrolled"
_EVENT_SCHEMA = 1
# What came before one of these was said does not contradict it.
_GONE = (AgentStatus.OFFLINE, AgentStatus.STOPPED, AgentStatus.RETIRED)


@dataclass(frozen=True, slots=True)
class DeviceSeen:
    """at: when the newest good value was taken; communication: the newest word, taken at word_at ms, if one came."""

    at: datetime | None
    communication: str | None = None
    word_at: int = 0


async def device(session: ReadSession, scope: Scope, site_id: str, device: str) -> Device:
    """The device known as `device` in a site, with site, room and agent loaded; NotFound outside the scope."""
    row = await repository.find_device(session, scope, site_id, device)
    if row is None:
        raise NotFound("device", device)
    return row


async def points_of(session: ReadSession, scope: Scope, device_id: str) -> list[Point]:
    """The active points of a device (row id), by metric and subject."""
    return [row for row in await repository.points_of_devices(session, scope, [device_id]) if row.active]


async def rules_of(session: ReadSession, scope: Scope, device: Device) -> Sequence[Rule]:
    """The rules judged for a device now, with levels and thresholds."""
    return await repository.rules_of_agent(session, scope, device.agent_id, rules=device.rules or [], active=True)


async def rule(
    session: ReadSession, scope: Scope, agent_id: str, rule: str, revision: str | None = None
) -> Rule | None:
    """A rule as an agent judged it: of that revision, or the present one. None when it was never announced."""
    rows = await repository.rules_of_agent(session, scope, agent_id, rules=[rule])
    if revision is not None:
        return next((row for row in rows if row.revision == revision), None)
    return next((row for row in rows if row.active), None)


async def create_agent(session: WriteSession, scope: Scope, body: AgentIn, *, now: datetime) -> Agent:
    """Announce an agent before it connects; its blocks are refused (retry) until then."""
    site = await customers.get_site(session, scope, body.site)
    if await repository.find_agent(session, Scope.system(), site.code, body.code) is not None:
        raise Conflict(f"agent code {body.code!r} is taken in this site", code="code_taken")
    row = _new_agent(site, body.code, now)
    session.add(row)
    await session.flush()
    audit(
        session,
        now=now,
        actor=scope.principal,
        action="fleet.agent.created",
        entity="agent",
        entity_id=row.id,
        new=body.model_dump(),
        customer_id=row.customer_id,
        site_id=row.site_id,
    )
    return await repository.get_agent(session, scope, row.id)


async def retire_agent(
    session: WriteSession, scope: Scope, agent_id: str, *, watchers: Sequence[AgentWatcher], now: datetime
) -> Agent:
    """Nothing is to come of an agent any more: its devices and rules are retired, its alarms end, its silence is none.

    Conflict while it is online. One that speaks again all the same is back with the next catalog it sends.
    """
    row = await repository.get_agent(session, scope, agent_id)
    if row.status is AgentStatus.RETIRED:
        return row
    if row.status is AgentStatus.ONLINE:
        raise Conflict(f"agent {row.code!r} is online: stop it first", code="agent_online")
    old = row.status
    row.status, row.status_since = AgentStatus.RETIRED, now
    # So that its next catalog is taken up even if it is the same. Its losses stay: totals that began anew would hide
    # those to come behind the total of the last alarm.
    row.catalog_digest = ""
    await repository.retire_parts(session, row.id, now=now)
    await session.flush()
    for watcher in watchers:
        await watcher.agent_retired(session, agent=repository.agent_ref(row), now=now)
    audit(
        session,
        now=now,
        actor=scope.principal,
        action="fleet.agent.retired",
        entity="agent",
        entity_id=row.id,
        old={"status": old.value},
        new={"status": row.status.value},
        customer_id=row.customer_id,
        site_id=row.site_id,
    )
    return row


def _new_agent(site: Site, code: str, now: datetime) -> Agent:
    return Agent(
        id=new_id(to_ms(now)),
        customer_id=site.customer_id,
        site_id=site.id,
        code=code,
        version="",
        status=AgentStatus.NEVER,
        status_since=now,
        last_seen_at=None,
        clock_offset_ms=None,
        config_digest="",
        catalog_digest="",
        catalog_stream="",
        catalog_seq=0,
        health=None,
        health_at=None,
        drops={},
        created_at=now,
    )


async def enrol(session: WriteSession, *, site_code: str, code: str, zone: str, now: datetime) -> AgentRef:
    """Find or make the site and agent a topic names. Only for installations that say `auto_enrol`."""
    scope = Scope.system()
    if not is_slug(site_code) or not is_slug(code):
        raise BadRequest("site and agent are ids of a-z 0-9 _ -", code="bad_id")
    found = await repository.find_agent(session, scope, site_code, code)
    if found is not None:
        return repository.agent_ref(found)
    site = await customers.site_by_code(session, scope, site_code)
    if site is None:
        customer = await customers.customer_by_code(session, scope, ENROLLED_CUSTOMER)
        if customer is None:
            body = CustomerIn(code=ENROLLED_CUSTOMER, name="Enrolled sites")
            customer = await customers_service.create_customer(session, scope, body, now=now)
        body_site = SiteIn(customer=customer.id, code=site_code, name=site_code, zone=zone)
        site = await customers_service.create_site(session, scope, body_site, now=now)
    row = _new_agent(site, code, now)
    session.add(row)
    await session.flush()
    return AgentRef(row.id, row.code, repository.site_ref(site))


def note_health(row: Agent, item: HealthItem, *, stream: str, now: datetime) -> None:
    """The figures of an agent (its locked row), told in a block of this stream; losses of an older item count, its
    other figures do not."""
    before = item.drops_before if item.drops_before is not UNSET else {}
    thinned = item.thinned if item.thinned is not UNSET else 0
    row.drops = with_drops(row.drops, {**before, stream: {THINNED: thinned, **item.drops}})
    # A clock that is ahead says nothing of what comes after: what arrives later is not older for it.
    at, held = min(from_ms(item.at), now), row.health_at
    if held is not None and min(held, now) > at:
        return
    row.version = clip(item.version, 64)
    row.config_digest = clip(item.config_digest, 64)
    row.health, row.health_at = without_nul(msgspec.to_builtins(item)), at
    row.clock_offset_ms = item.at - to_ms(now)


async def note_events(session: WriteSession, agent: AgentRef, items: Sequence[EventItem], *, now: datetime) -> int:
    """Record events once each; returns how many were new."""
    keys = {f"agent/{agent.id}/{clip(item.id, 100)}": item for item in items}
    known = await repository.known_events(session, list(keys))
    for key, item in keys.items():
        if key in known:
            continue
        session.add(
            AgentEvent(
                id=new_id(to_ms(now)),
                customer_id=agent.site.customer_id,
                site_id=agent.site.id,
                agent_id=agent.id,
                device=clip(item.device, 63),
                at=from_ms(item.at),
                recorded_at=now,
                actor=agent.id,
                source="agent",
                kind=item.kind.value,
                schema_version=_EVENT_SCHEMA,
                payload={clip(name, 100): clip(value, 1000) for name, value in item.detail.items()},
                idempotency_key=key,
            )
        )
    await session.flush()
    return len(keys) - len(known)


async def note_status(session: WriteSession, agent: AgentRef, status: Status, *, now: datetime) -> None:
    """The retained word of an agent or its last will, heard at `now`. It never ends a silence: a retained "online"
    proves no life. Of a will and a goodbye that both came, the goodbye is the agent's own.
    """
    row = await repository.locked_agent(session, agent.id)
    if row is None:
        return
    row.version = clip(status.version, 64)
    follows: tuple[AgentStatus, ...]
    if status.state is AgentState.ONLINE:
        said, follows = AgentStatus.ONLINE, (AgentStatus.NEVER, AgentStatus.OFFLINE, AgentStatus.STOPPED)
    elif status.goodbye:
        said, follows = AgentStatus.STOPPED, (AgentStatus.NEVER, AgentStatus.ONLINE, AgentStatus.OFFLINE)
    else:
        said, follows = AgentStatus.OFFLINE, (AgentStatus.NEVER, AgentStatus.ONLINE)
    if row.status in follows:
        row.status, row.status_since = said, now
        row.last_seen_at = row.last_seen_at or now


async def lock_agents(session: WriteSession, agent_ids: Collection[str]) -> None:
    """Hold these agents (row ids) until the transaction ends, in order of their ids as all who hold several do."""
    await repository.lock_agents(session, agent_ids)


async def note_seen(
    session: WriteSession,
    agents: Mapping[str, datetime],
    devices: Mapping[str, DeviceSeen],
    *,
    watchers: Sequence[AgentWatcher],
    now: datetime,
) -> None:
    """Blocks came from these agents (row ids), then, and readings of these devices (row ids): they live.

    A block that came before the word that its agent is gone does not bring it back.
    """
    await repository.set_seen(session, Agent, agents)
    for row in await repository.not_online(session, agents):
        if row.status in _GONE and agents[row.id] <= row.status_since:
            continue
        was_silent = row.status is AgentStatus.SILENT
        row.status, row.status_since = AgentStatus.ONLINE, now
        if was_silent:
            row.returned_at = now
            for watcher in watchers:
                await watcher.agent_returned(session, agent=repository.agent_ref(row), now=now)
    await repository.set_seen(session, Device, {key: seen.at for key, seen in devices.items() if seen.at is not None})
    words = {
        key: (seen.communication, from_ms(seen.word_at))
        for key, seen in devices.items()
        if seen.communication is not None
    }
    await repository.set_communication(session, words)

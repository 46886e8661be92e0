"""All queries of fleet. Every one takes a Scope; a row outside it is not found."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from facility.states import UNKNOWN
from server.customers.models import Site
from server.db.base import table_of
from server.db.session import ReadSession, WriteSession, locks_rows
from server.fleet.models import Agent, AgentCatalog, AgentEvent, AgentOpening, AgentStatus, Device, Point, Rule
from server.fleet.refs import AgentRef, SiteRef
from server.kit.paging import Order, PageRequest, fetch_page
from server.kit.problems import NotFound
from server.kit.scope import Scope, scoped

AGENTS = Order("agents.code", Agent.code, Agent.id)
DEVICES = Order("devices.device", Device.device, Device.id)
POINTS = Order("points.id", Point.id, Point.id)
EVENTS = Order("agent_events.at", AgentEvent.at, AgentEvent.id, descending=True)
# SQLite takes 32,766 parameters in one statement; lists are asked for in parts well below.
CHUNK = 5000


def site_ref(site: Site) -> SiteRef:
    return SiteRef(site.id, site.code, site.customer_id, site.zone)


def agent_ref(agent: Agent) -> AgentRef:
    """Needs `agent.site` loaded."""
    return AgentRef(agent.id, agent.code, site_ref(agent.site))


async def find_agent(session: ReadSession, scope: Scope, site_code: str, code: str) -> Agent | None:
    """The agent a topic names, with its site loaded."""
    query = sa.select(Agent).join(Agent.site).where(Site.code == site_code, Agent.code == code)
    return await session.scalar(scoped(query.options(joinedload(Agent.site)), Agent, scope))


async def get_agent(session: ReadSession, scope: Scope, agent_id: str) -> Agent:
    query = sa.select(Agent).where(Agent.id == agent_id).options(joinedload(Agent.site))
    row = await session.scalar(scoped(query, Agent, scope))
    if row is None:
        raise NotFound("agent", agent_id)
    return row


async def oldest_agent(session: ReadSession, scope: Scope) -> Agent | None:
    """The agent that was known first, with its site loaded."""
    query = sa.select(Agent).order_by(Agent.created_at, Agent.id).limit(1).options(joinedload(Agent.site))
    return await session.scalar(scoped(query, Agent, scope))


async def topic_codes(session: ReadSession, scope: Scope) -> list[tuple[str, str]]:
    """Codes of site and agent, as they stand in topics, of every agent."""
    columns = cast("sa.Select[Any]", sa.select(Site.code, Agent.code).join(Agent.site).order_by(Agent.id))
    return [(row[0], row[1]) for row in await session.execute(scoped(columns, Agent, scope))]


# A will or a goodbye is no silence yet: an agent that is restarted is back within the minute.
_HEARD = (AgentStatus.ONLINE, AgentStatus.OFFLINE, AgentStatus.STOPPED)


async def agents_seen_before(session: ReadSession, scope: Scope, before: datetime, *, limit: int) -> Sequence[Agent]:
    """Agents not yet called silent of which nothing came since `before`, longest gone first."""
    query = (
        sa.select(Agent)
        .where(
            Agent.status.in_(_HEARD),
            Agent.last_seen_at < before,
        )
        .order_by(Agent.last_seen_at)
        .limit(limit)
        .options(joinedload(Agent.site))
    )
    return (await session.scalars(scoped(query, Agent, scope), execution_options={"populate_existing": True})).all()


async def agents_by_status(session: ReadSession, scope: Scope, wanted: Collection[AgentStatus]) -> Sequence[Agent]:
    query = sa.select(Agent).where(Agent.status.in_(wanted)).order_by(Agent.id)
    return (await session.scalars(scoped(query, Agent, scope))).all()


async def agents_of_sites(session: ReadSession, sites: Collection[str]) -> Sequence[Agent]:
    """Of sites (row ids) that were found in scope, as the database has them now."""
    ordered = sorted(sites)
    parts = [ordered[start : start + CHUNK] for start in range(0, len(ordered), CHUNK)]
    fresh = sa.select(Agent).execution_options(populate_existing=True)
    return [one for part in parts for one in await session.scalars(fresh.where(Agent.site_id.in_(part)))]


async def devices_named(session: ReadSession, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], Device]:
    """By (site row id, device id), of sites that were found in scope."""
    ordered = sorted(names)
    parts = [ordered[start : start + CHUNK] for start in range(0, len(ordered), CHUNK)]
    named = sa.tuple_(Device.site_id, Device.device)
    rows = [one for part in parts for one in await session.scalars(sa.select(Device).where(named.in_(part)))]
    return {(row.site_id, row.device): row for row in rows}


async def sites_heard(session: ReadSession, sites: Collection[str]) -> set[str]:
    """Those of these sites (row ids) of which an agent is heard. Not scoped: for the centre's own alarms."""
    agents = await agents_of_sites(session, sites)
    return {agent.site_id for agent in agents if agent.status in _HEARD}


async def agents_with_drops(session: ReadSession, scope: Scope) -> Sequence[Agent]:
    """Agents that ever told of readings lost or left out, in whatever stream; retired ones too."""
    query = sa.select(Agent).where(sa.cast(Agent.drops, sa.Text) != "{}").options(joinedload(Agent.site))
    return (await session.scalars(scoped(query, Agent, scope))).all()


async def list_agents(
    session: ReadSession, scope: Scope, page: PageRequest, *, site: str | None, status: AgentStatus | None
) -> tuple[Sequence[Agent], str | None]:
    query = scoped(sa.select(Agent), Agent, scope).options(joinedload(Agent.site))
    if site is not None:
        query = query.join(Agent.site).where(sa.or_(Site.id == site, Site.code == site))
    if status is not None:
        query = query.where(Agent.status == status)
    return await fetch_page(session, query, order=AGENTS, page=page)


async def known_catalogs(session: ReadSession, agent_id: str, digests: Sequence[str]) -> set[str]:
    """Which of these catalogs of an agent are here. Not scoped: an agent's row was found in scope before."""
    query = sa.select(AgentCatalog.digest).where(
        AgentCatalog.agent_id == agent_id, AgentCatalog.digest.in_(sorted(set(digests)))
    )
    return set((await session.scalars(query)).all())


_OPENINGS = (
    sa.select(AgentOpening)
    .where(AgentOpening.agent_id == sa.bindparam("agent"))
    .order_by(AgentOpening.number)
    .execution_options(populate_existing=True)
)


async def openings(session: ReadSession, agent_id: str) -> Sequence[AgentOpening]:
    """Of an agent's journal, the first heard of first. Not scoped: an agent's row was found in scope before."""
    return (await session.scalars(_OPENINGS, {"agent": agent_id})).all()


async def catalog(session: ReadSession, agent_id: str, digest: str) -> AgentCatalog | None:
    return await session.get(AgentCatalog, (agent_id, digest))


_DEVICE = (joinedload(Device.site), joinedload(Device.room_row), joinedload(Device.agent))


async def get_device(session: ReadSession, scope: Scope, device_id: str) -> Device:
    query = sa.select(Device).where(Device.id == device_id).options(*_DEVICE)
    row = await session.scalar(scoped(query, Device, scope))
    if row is None:
        raise NotFound("device", device_id)
    return row


async def find_device(session: ReadSession, scope: Scope, site_id: str, device: str) -> Device | None:
    """The device by its identity: site row id and device id."""
    query = sa.select(Device).where(Device.site_id == site_id, Device.device == device).options(*_DEVICE)
    return await session.scalar(scoped(query, Device, scope))


async def devices_of_site(session: ReadSession, scope: Scope, site_id: str) -> dict[str, Device]:
    """All devices of a site, retired ones too, by device id; nothing of them is loaded beyond the row."""
    query = scoped(sa.select(Device).where(Device.site_id == site_id), Device, scope)
    return {row.device: row for row in (await session.scalars(query)).all()}


async def list_devices(
    session: ReadSession,
    scope: Scope,
    page: PageRequest,
    *,
    site: str | None = None,
    room: str | None = None,
    kind: str | None = None,
    agent: str | None = None,
    active: bool | None = True,
) -> tuple[Sequence[Device], str | None]:
    """site and room are ids or codes, agent is an id."""
    query = scoped(sa.select(Device), Device, scope).options(*_DEVICE)
    if site is not None:
        query = query.join(Device.site).where(sa.or_(Site.id == site, Site.code == site))
    if room is not None:
        query = query.where(sa.or_(Device.room_id == room, Device.room == room))
    if kind is not None:
        query = query.where(Device.kind == kind)
    if agent is not None:
        query = query.where(Device.agent_id == agent)
    if active is not None:
        query = query.where(Device.active.is_(active))
    return await fetch_page(session, query, order=DEVICES, page=page)


_POINT = (joinedload(Point.site), joinedload(Point.device))


async def get_point(session: ReadSession, scope: Scope, point_id: str) -> Point:
    """The point with its site and device loaded."""
    query = sa.select(Point).where(Point.id == point_id).options(*_POINT)
    row = await session.scalar(scoped(query, Point, scope))
    if row is None:
        raise NotFound("point", point_id)
    return row


async def find_point(
    session: ReadSession, scope: Scope, site_id: str, device: str, metric: str, subject: str
) -> Point | None:
    query = (
        sa.select(Point)
        .join(Point.device)
        .where(Device.site_id == site_id, Device.device == device, Point.metric == metric, Point.subject == subject)
        .options(*_POINT)
    )
    return await session.scalar(scoped(query, Point, scope))


async def points_of_devices(session: ReadSession, scope: Scope, device_ids: Sequence[str]) -> list[Point]:
    """Every point of these devices, retired ones too, with device and site loaded, by device, metric and subject."""
    found: list[Point] = []
    for start in range(0, len(device_ids), CHUNK):
        query = sa.select(Point).where(Point.device_id.in_(device_ids[start : start + CHUNK])).options(*_POINT)
        found.extend((await session.scalars(scoped(query, Point, scope))).all())
    return sorted(found, key=lambda point: (point.device.device, point.metric, point.subject))


_JUDGED = (
    Point.customer_id,
    Point.site_id,
    Point.id,
    Point.metric,
    Point.subject,
    Device.device,
    Device.agent_id,
    Device.kind,
    Device.zone,
    Device.room,
    Device.room_class,
    Device.labels,
    Device.interval_s,
)


async def points_of_metrics(session: ReadSession, scope: Scope, metrics: Collection[str]) -> Sequence[sa.Row[Any]]:
    """The active points of these metrics on active devices, by site, device, metric and subject: columns of the point,
    and of its device what rules choose and judge by. Rows, no entities: there are thousands of them each few seconds.
    """
    query = (
        cast("sa.Select[Any]", sa.select(*_JUDGED))
        .join(Point.device)
        .where(Point.metric.in_(sorted(metrics)), Point.active, Device.active)
        .order_by(Point.site_id, Device.device, Point.metric, Point.subject)
    )
    rows: Sequence[sa.Row[Any]] = (await session.execute(scoped(query, Point, scope))).all()
    return rows


async def point_index(session: ReadSession, scope: Scope, site_id: str) -> list[tuple[Any, ...]]:
    """(device, metric, subject, point id, device row id, interval_s, heartbeat_s) of every point of a site."""
    columns = (
        Device.device,
        Point.metric,
        Point.subject,
        Point.id,
        Point.device_id,
        Point.interval_s,
        Point.heartbeat_s,
    )
    query = cast("sa.Select[Any]", sa.select(*columns)).join(Point.device).where(Device.site_id == site_id)
    return [tuple(row) for row in (await session.execute(scoped(query, Point, scope))).all()]


async def list_points(
    session: ReadSession,
    scope: Scope,
    page: PageRequest,
    *,
    site: str | None = None,
    device: str | None = None,
    metric: str | None = None,
    room: str | None = None,
    kind: str | None = None,
    active: bool | None = True,
) -> tuple[Sequence[Point], str | None]:
    """site, device and room are row ids or the codes people use."""
    query = scoped(sa.select(Point), Point, scope).join(Point.device).options(*_POINT)
    if site is not None:
        query = query.join(Point.site).where(sa.or_(Site.id == site, Site.code == site))
    if device is not None:
        query = query.where(sa.or_(Device.id == device, Device.device == device))
    if metric is not None:
        query = query.where(Point.metric == metric)
    if room is not None:
        query = query.where(sa.or_(Device.room_id == room, Device.room == room))
    if kind is not None:
        query = query.where(Device.kind == kind)
    if active is not None:
        query = query.where(Point.active.is_(active), Device.active.is_(active))
    return await fetch_page(session, query, order=POINTS, page=page)


async def rules_of_agent(
    session: ReadSession, scope: Scope, agent_id: str, *, rules: Sequence[str] | None = None, active: bool | None = None
) -> Sequence[Rule]:
    query = scoped(sa.select(Rule).where(Rule.agent_id == agent_id), Rule, scope).order_by(Rule.rule, Rule.id)
    if rules is not None:
        query = query.where(Rule.rule.in_(list(rules)))
    if active is not None:
        query = query.where(Rule.active.is_(active))
    return (await session.scalars(query)).all()


async def list_events(
    session: ReadSession,
    scope: Scope,
    page: PageRequest,
    *,
    site: str | None = None,
    agent: str | None = None,
    device: str | None = None,
    kind: str | None = None,
) -> tuple[Sequence[AgentEvent], str | None]:
    query = scoped(sa.select(AgentEvent), AgentEvent, scope)
    if site is not None:
        at_site = sa.select(Site.id).where(sa.or_(Site.id == site, Site.code == site))
        query = query.where(AgentEvent.site_id.in_(at_site))
    if agent is not None:
        query = query.where(AgentEvent.agent_id == agent)
    if device is not None:
        query = query.where(AgentEvent.device == device)
    if kind is not None:
        query = query.where(AgentEvent.kind == kind)
    return await fetch_page(session, query, order=EVENTS, page=page)


async def known_events(session: ReadSession, keys: Sequence[str]) -> set[str]:
    """Which idempotency keys of agent events were recorded before. Not scoped: a key is unique over everything."""
    query = sa.select(AgentEvent.idempotency_key).where(AgentEvent.idempotency_key.in_(keys))
    return set((await session.scalars(query)).all())


async def forget_events(session: WriteSession, before: datetime, *, limit: int) -> int:
    """Delete the oldest agent events; how many. What was learnt late stays as long after it was learnt."""
    old = sa.select(AgentEvent.id).where(AgentEvent.at < before, AgentEvent.recorded_at < before)
    gone = sa.delete(AgentEvent).where(AgentEvent.id.in_(old.order_by(AgentEvent.at).limit(limit)))
    done = await session.execute(gone.returning(AgentEvent.id), execution_options={"synchronize_session": False})
    return len(done.all())


def _later_seen(model: type[Agent] | type[Device]) -> sa.Update:
    rows = table_of(model)
    later = sa.or_(rows.c.last_seen_at.is_(None), rows.c.last_seen_at < sa.bindparam("seen_at"))
    return sa.update(rows).where(rows.c.id == sa.bindparam("row"), later).values(last_seen_at=sa.bindparam("seen_at"))


def _newer_word() -> sa.Update:
    devices = table_of(Device)
    # After an outage live words come first: the backlog's must not undo them.
    newer = sa.or_(devices.c.communication_at.is_(None), devices.c.communication_at < sa.bindparam("said_at"))
    query = sa.update(devices).where(devices.c.id == sa.bindparam("row"), newer)
    return query.values(communication=sa.bindparam("word"), communication_at=sa.bindparam("said_at"))


# Statements of every few seconds are made once: building them anew is a good third of what they cost on SQLite.
_LATER_SEEN = {Agent: _later_seen(Agent), Device: _later_seen(Device)}
_NEWER_WORD = _newer_word()


async def set_seen(session: WriteSession, model: type[Agent] | type[Device], seen: Mapping[str, datetime]) -> None:
    """Move last_seen_at of agents or devices forward, by row id; never back."""
    await _each(session, _LATER_SEEN[model], [{"row": row_id, "seen_at": at} for row_id, at in sorted(seen.items())])


async def set_communication(session: WriteSession, words: Mapping[str, tuple[str, datetime]]) -> None:
    """Each device's communication word with when it was spoken; an older word undoes no newer one."""
    rows: list[dict[str, object]] = [
        {"row": device_id, "word": word, "said_at": at} for device_id, (word, at) in sorted(words.items())
    ]
    await _each(session, _NEWER_WORD, rows)


async def _each(session: WriteSession, query: sa.Update, rows: list[dict[str, object]]) -> None:
    if rows:
        await session.flush()
        await session.execute(query, rows)


_LOCKED_AGENT = (
    sa.select(Agent)
    .where(Agent.id == sa.bindparam("agent"))
    .with_for_update()
    .execution_options(populate_existing=True)
)


async def locked_agent(session: WriteSession, agent_id: str) -> Agent | None:
    """The row as the database has it now, held until the transaction ends."""
    return await session.scalar(_LOCKED_AGENT, {"agent": agent_id})


async def lock_agents(session: WriteSession, agent_ids: Collection[str]) -> None:
    ordered = sorted(agent_ids) if locks_rows(session) else []
    for start in range(0, len(ordered), CHUNK):
        query = sa.select(Agent.id).where(Agent.id.in_(ordered[start : start + CHUNK])).order_by(Agent.id)
        await session.execute(query.with_for_update())


_AGENTS = table_of(Agent)
# Asked each few seconds, and of a fleet that is well the answer is nobody.
_NOT_ONLINE = sa.select(_AGENTS.c.id).where(
    _AGENTS.c.id.in_(sa.bindparam("agents", expanding=True)), _AGENTS.c.status != AgentStatus.ONLINE
)


async def not_online(session: WriteSession, agent_ids: Collection[str]) -> Sequence[Agent]:
    """Those of these agents that count as gone, with their site, as the database has them now."""
    found: list[Agent] = []
    ordered = sorted(agent_ids)
    for start in range(0, len(ordered), CHUNK):
        gone = (await session.scalars(_NOT_ONLINE, {"agents": ordered[start : start + CHUNK]})).all()
        if gone:
            query = sa.select(Agent).where(Agent.id.in_(gone)).order_by(Agent.id).options(joinedload(Agent.site))
            found.extend(await session.scalars(query, execution_options={"populate_existing": True}))
    return found


async def forget_communication(session: WriteSession, agent_id: str) -> None:
    """Of the devices of a silent agent nothing is known; the next word, whenever it was spoken, is news again."""
    query = sa.update(Device).where(Device.agent_id == agent_id, Device.active)
    await session.execute(
        query.values(communication=UNKNOWN, communication_at=None), execution_options={"synchronize_session": False}
    )


async def retire_parts(session: WriteSession, agent_id: str, *, now: datetime) -> None:
    """The devices an agent has, and its rules, are in use no longer."""
    quietly = {"synchronize_session": False}
    gone = {"active": False, "updated_at": now, "communication": UNKNOWN, "communication_at": None}
    devices = sa.update(Device).where(Device.agent_id == agent_id, Device.active)
    await session.execute(devices.values(gone), execution_options=quietly)
    rules = sa.update(Rule).where(Rule.agent_id == agent_id, Rule.active)
    await session.execute(rules.values(active=False), execution_options=quietly)

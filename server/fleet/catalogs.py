"""A catalog becomes devices, points and rules. A part that cannot be one is refused by path, the rest is taken."""

from datetime import datetime
from typing import Any

import msgspec

from facility.catalog import Catalog, CatalogDevice, CatalogPoint, CatalogRule
from facility.clock import to_ms
from facility.ids import is_slug, new_id
from facility.items import MAX_SUBJECT
from facility.metrics import UnknownMetricError, metric
from facility.states import UNKNOWN
from facility.wire import RejectedItem, RejectReason
from server.customers import repository as customers
from server.customers import service as customers_service
from server.customers.schemas import RoomIn
from server.db.session import WriteSession
from server.fleet import repository
from server.fleet.models import Agent, AgentCatalog, AgentOpening, Device, Point, Rule
from server.fleet.ordering import newer
from server.fleet.refs import AgentRef
from server.fleet.texts import clip, without_nul
from server.kit.scope import Scope

# Openings of an agent's journal that are remembered. A block of one that is forgotten would be taken for a new one's:
# by then the agent was started a hundred times since, and no broker holds a message that long.
MOST_OPENINGS = 100
# No agent takes a longer interval in its configuration than a day.
SLOWEST_S = 86_400.0
# Labels kept of a device; people write them by hand.
MOST_LABELS = 50


async def receive(
    session: WriteSession,
    agent: AgentRef,
    catalog: Catalog,
    *,
    stream: str,
    seq: int,
    sent_by: str = "",
    holds: str = "",
    now: datetime,
) -> list[RejectedItem]:
    """Keep a catalog; returns what of it was refused.

    holds: the catalog that holds by the word of the block, "" for this one. It becomes the active one, if nothing newer
    named another.
    """
    digest = catalog.digest()
    if await repository.catalog(session, agent.id, digest) is None:
        body = without_nul(msgspec.to_builtins(catalog))
        session.add(AgentCatalog(agent_id=agent.id, digest=digest, received_at=now, body=body))
        await session.flush()
    refused = faults(catalog)
    row = await repository.locked_agent(session, agent.id)
    if row is not None:
        await activate(session, agent, row, holds or digest, stream=stream, seq=seq, sent_by=sent_by, now=now)
    return refused


async def activate(
    session: WriteSession,
    agent: AgentRef,
    row: Agent,
    digest: str,
    *,
    stream: str,
    seq: int,
    sent_by: str,
    now: datetime,
) -> bool:
    """Make a kept catalog the active one, unless a newer block named another. True when devices may have changed.

    row: the agent's, locked.
    """
    openings = await repository.openings(session, agent.id)
    streams = [opening.stream for opening in openings]
    active = (row.catalog_stream, row.catalog_seq)
    if not newer(stream, seq, sent_by=sent_by, openings=streams, active=active):
        return False
    if stream not in streams:
        number = openings[-1].number + 1 if openings else 1
        session.add(AgentOpening(agent_id=agent.id, stream=stream, number=number))
        for forgotten in openings[: max(0, len(openings) + 1 - MOST_OPENINGS)]:
            await session.delete(forgotten)
    changes = row.catalog_digest != digest
    kept = await repository.catalog(session, agent.id, digest) if changes else None
    if changes and kept is None:
        # A word of it has overtaken it. It would count as old when it comes, had the word left its number here.
        return False
    row.catalog_stream, row.catalog_seq = stream, seq
    if kept is None:
        return False
    catalog = msgspec.convert(kept.body, Catalog)
    row.catalog_digest = digest
    row.version = clip(catalog.agent_version, 64)
    row.config_digest = clip(catalog.config_digest, 64)
    await _apply_devices(session, agent, catalog, now)
    await _apply_rules(session, agent, catalog, now)
    await session.flush()
    return True


async def acquaint(session: WriteSession, agent: AgentRef, digest: str, *, now: datetime) -> None:
    """Make devices known that only a kept catalog names, as retired: readings of its time are still to come."""
    kept = await repository.catalog(session, agent.id, digest)
    if kept is None:
        return
    catalog = msgspec.convert(kept.body, Catalog)
    known = await repository.devices_of_site(session, Scope.system(), agent.site.id)
    found = {
        device.id: device for device in catalog.devices if device.id not in known and _device_fault(device) is None
    }
    rooms = await _rooms(session, agent, found, now)
    made = []
    for device in found.values():
        row = _new_device(agent, device.id, now)
        _describe(row, agent, device, rooms.get(device.room), now)
        row.active = False
        session.add(row)
        made.append((row.id, device))
    await session.flush()
    await _apply_points(session, agent, made, now)
    await session.flush()


def _device_fault(device: CatalogDevice) -> str | None:
    if not is_slug(device.id):
        return f"{device.id[:80]!r} is no device id"
    return _pace_fault(device.interval_s)


def _pace_fault(*seconds: float | None) -> str | None:
    bad = [pace for pace in seconds if pace is not None and not 0 <= pace <= SLOWEST_S]
    return f"{bad[0]:g} s: a pace is 0 to {SLOWEST_S:g} s" if bad else None


def _point_fault(point: CatalogPoint) -> tuple[RejectReason, str] | None:
    if len(point.subject) > MAX_SUBJECT:
        return RejectReason.BAD_ITEM, "the subject is too long"
    try:
        metric(point.metric)
    except UnknownMetricError as error:
        return RejectReason.UNKNOWN_METRIC, str(error)
    pace = _pace_fault(point.interval_s, point.heartbeat_s)
    return None if pace is None else (RejectReason.BAD_ITEM, pace)


def faults(catalog: Catalog) -> list[RejectedItem]:
    """What of a catalog cannot be taken, by path."""
    refused: list[RejectedItem] = []
    for position, device in enumerate(catalog.devices):
        path = f"[0].devices[{position}]"
        fault = _device_fault(device)
        if fault is not None:
            refused.append(RejectedItem(path, RejectReason.BAD_ITEM, fault))
            continue
        for index, point in enumerate(device.points):
            found = _point_fault(point)
            if found is not None:
                refused.append(RejectedItem(f"{path}.points[{index}]", *found))
    return refused


async def _apply_devices(session: WriteSession, agent: AgentRef, catalog: Catalog, now: datetime) -> None:
    scope = Scope.system()
    known = await repository.devices_of_site(session, scope, agent.site.id)
    wanted = {device.id: device for device in catalog.devices if _device_fault(device) is None}
    rooms = await _rooms(session, agent, wanted, now)
    for device in wanted.values():
        row = known.get(device.id)
        if row is None:
            row = known[device.id] = _new_device(agent, device.id, now)
            session.add(row)
        _describe(row, agent, device, rooms.get(device.room), now)
    for row in known.values():
        if row.agent_id == agent.id and row.device not in wanted and row.active:
            row.active, row.updated_at = False, now
    await session.flush()
    await _apply_points(session, agent, [(known[slug].id, device) for slug, device in wanted.items()], now)


def _new_device(agent: AgentRef, device: str, now: datetime) -> Device:
    return Device(
        id=new_id(to_ms(now)),
        customer_id=agent.site.customer_id,
        site_id=agent.site.id,
        device=device,
        communication=UNKNOWN,
        last_seen_at=None,
        created_at=now,
    )


async def _rooms(
    session: WriteSession, agent: AgentRef, devices: dict[str, CatalogDevice], now: datetime
) -> dict[str, str]:
    """Room ids by the code agents say; a code nobody made yet becomes a room."""
    found: dict[str, str] = {}
    for code in sorted({device.room for device in devices.values() if is_slug(device.room)}):
        room = await customers.room_by_code(session, Scope.system(), agent.site.id, code)
        if room is None:
            body = RoomIn(site=agent.site.id, code=code, name=code)
            room = await customers_service.create_room(session, Scope.system(), body, now=now)
        found[code] = room.id
    return found


def _describe(row: Device, agent: AgentRef, device: CatalogDevice, room_id: str | None, now: datetime) -> None:
    row.agent_id = agent.id
    row.kind = clip(device.kind, 63)
    row.name_en, row.name_zh = clip(device.name_en, 200), clip(device.name_zh, 200)
    row.profile, row.profile_revision = clip(device.profile, 200), clip(device.profile_revision, 64)
    row.protocol, row.address = clip(device.protocol, 63), clip(device.address, 200)
    row.vendor, row.model, row.serial = clip(device.vendor, 200), clip(device.model, 200), clip(device.serial, 200)
    row.room, row.room_id = clip(device.room, 63), room_id
    row.zone, row.rack = clip(device.zone, 200), clip(device.rack, 200)
    row.room_class = clip(device.room_class, 63) if isinstance(device.room_class, str) else None
    row.labels = _labels(device)
    row.interval_s = device.interval_s
    row.rules = [clip(rule, 120) for rule in device.rules]
    row.active, row.updated_at = True, now


def _labels(device: CatalogDevice) -> dict[str, str] | None:
    if not isinstance(device.labels, dict):
        return None
    return {clip(name, 63): clip(word, 200) for name, word in list(device.labels.items())[:MOST_LABELS]}


async def _apply_points(
    session: WriteSession, agent: AgentRef, devices: list[tuple[str, CatalogDevice]], now: datetime
) -> None:
    rows = await repository.points_of_devices(session, Scope.system(), [row_id for row_id, _ in devices])
    known = {(row.device_id, row.metric, row.subject): row for row in rows}
    present: set[tuple[str, str, str]] = set()
    partial = {row_id for row_id, device in devices if device.partial is True}
    for row_id, device in devices:
        for point in device.points:
            if _point_fault(point) is not None:
                continue
            key = (row_id, point.metric, clip(point.subject, MAX_SUBJECT))
            present.add(key)
            row = known.get(key)
            if row is None:
                row = known[key] = _new_point(agent, key, now)
                session.add(row)
            row.label_en, row.label_zh = clip(point.label_en, 200), clip(point.label_zh, 200)
            row.interval_s = point.interval_s or device.interval_s
            row.dead_band, row.heartbeat_s, row.active = point.dead_band, point.heartbeat_s, True
    for key, row in known.items():
        # An agent that was started again has yet to hear from the device which points it has.
        if key not in present and key[0] not in partial:
            row.active = False


def _new_point(agent: AgentRef, key: tuple[str, str, str], now: datetime) -> Point:
    return Point(
        id=new_id(to_ms(now)),
        customer_id=agent.site.customer_id,
        site_id=agent.site.id,
        device_id=key[0],
        metric=key[1],
        subject=key[2],
        # Values travel in the register's base unit whatever a catalog calls it.
        unit=metric(key[1]).unit,
        label_en="",
        label_zh="",
        interval_s=0.0,
        dead_band=None,
        heartbeat_s=None,
        active=True,
    )


async def add_point(
    session: WriteSession, agent: AgentRef, *, device_id: str, metric_name: str, subject: str, now: datetime
) -> Point:
    """A point that readings speak of and no catalog announced; a later catalog may describe it."""
    row = _new_point(agent, (device_id, metric_name, subject), now)
    session.add(row)
    await session.flush()
    return row


async def _apply_rules(session: WriteSession, agent: AgentRef, catalog: Catalog, now: datetime) -> None:
    rows = await repository.rules_of_agent(session, Scope.system(), agent.id)
    known = {(row.rule, row.revision): row for row in rows}
    present: set[tuple[str, str]] = set()
    for rule in catalog.rules:
        key = (clip(rule.id, 120), clip(rule.revision, 64))
        present.add(key)
        row = known.get(key)
        if row is None:
            row = known[key] = _new_rule(agent, key, rule, now)
            session.add(row)
        row.title_en, row.title_zh = clip(rule.title_en, 200), clip(rule.title_zh, 200)
        row.source, row.active = clip(rule.source, 500), True
    for key, row in known.items():
        if key not in present:
            row.active = False


def _new_rule(agent: AgentRef, key: tuple[str, str], rule: CatalogRule, now: datetime) -> Rule:
    levels: list[dict[str, Any]] = msgspec.to_builtins(list(rule.levels))
    return Rule(
        id=new_id(to_ms(now)),
        customer_id=agent.site.customer_id,
        site_id=agent.site.id,
        agent_id=agent.id,
        rule=key[0],
        revision=key[1],
        metric=clip(rule.metric, 120),
        levels=levels,
        for_s=rule.for_s,
        clear_for_s=rule.clear_for_s,
    )

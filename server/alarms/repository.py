"""All queries of alarms. Those that people reach take a Scope; a row outside it is not found."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import joinedload

from facility.alarms import CENTRE, AlarmKey, EndReason
from facility.clock import to_ms
from facility.ids import new_id
from facility.reading import COMMUNICATION
from facility.severity import Severity
from server.alarms.lifecycle import AlarmState
from server.alarms.models import Alarm, AlarmEvent, AlarmKeyRow, UnheardAlarm
from server.customers.models import Site
from server.db.session import ReadSession, WriteSession, locks_rows
from server.fleet.models import Device
from server.kit.paging import Order, PageRequest, fetch_page
from server.kit.problems import NotFound
from server.kit.scope import Scope, scoped

ALARMS = Order("alarms.raised", Alarm.raised_at, Alarm.id, descending=True)
# Parameters of one statement stay far below what either database takes.
CHUNK = 200
MOST_EVENTS = 1000
MOST_COUNTED = 1000


# Asked at every change of an alarm, so made once: making a statement is a good third of what it costs on SQLite.
_KEY: sa.BindParameter[str] = sa.bindparam("key")
_ID: sa.BindParameter[str] = sa.bindparam("alarm")
_FRESH = sa.select(Alarm).where(Alarm.id == _ID).execution_options(populate_existing=True)
_ENTRIES = sa.select(AlarmEvent).where(AlarmEvent.alarm_id == _ID).order_by(AlarmEvent.seq)
_OF_KEY = sa.select(Alarm).where(Alarm.key_id == _KEY).limit(1).execution_options(populate_existing=True)
_YOUNGER = _OF_KEY.where(Alarm.id > _ID).order_by(Alarm.id)
_OLDER = _OF_KEY.where(Alarm.id < _ID).order_by(Alarm.id.desc())
_ACTIVE = sa.select(Alarm).where(Alarm.key_id == _KEY, Alarm.active)
_END = sa.select(Alarm.end_reason).where(Alarm.key_id == _KEY).order_by(Alarm.id.desc()).limit(1)
_OF_CENTRE = (
    sa.select(Alarm).where(Alarm.origin == CENTRE, Alarm.rule == sa.bindparam("rule"), Alarm.active).order_by(Alarm.id)
)
_KEYS = sa.select(AlarmKeyRow).where(
    AlarmKeyRow.site_id == sa.bindparam("site"),
    sa.tuple_(AlarmKeyRow.origin, AlarmKeyRow.device, AlarmKeyRow.rule, AlarmKeyRow.subject).in_(
        sa.bindparam("keys", expanding=True)
    ),
)
_OF_SUBJECT = _OF_CENTRE.where(Alarm.subject == sa.bindparam("subject"), Alarm.device == sa.bindparam("device"))


def _parts(keys: Iterable[AlarmKey]) -> list[list[AlarmKey]]:
    ordered = sorted(set(keys), key=str)
    return [ordered[start : start + CHUNK] for start in range(0, len(ordered), CHUNK)]


def _key_of(row: AlarmKeyRow) -> AlarmKey:
    return AlarmKey(row.origin, row.device, row.rule, row.subject)


async def key_ids(
    session: WriteSession, *, customer_id: str, site_id: str, keys: Iterable[AlarmKey], now: datetime
) -> dict[AlarmKey, str]:
    """The ids of these keys of a site, making those that are new. A concurrent maker is waited for, no clash."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    found: dict[AlarmKey, str] = {}
    for part in _parts(keys):
        wanted = {"site": site_id, "keys": [(key.origin, key.device, key.rule, key.subject) for key in part]}
        known = {_key_of(row): row.id for row in await session.scalars(_KEYS, wanted)}
        missing = [key for key in part if key not in known]
        if missing:
            rows = [
                {
                    "id": new_id(to_ms(now)),
                    "customer_id": customer_id,
                    "site_id": site_id,
                    "origin": key.origin,
                    "device": key.device,
                    "rule": key.rule,
                    "subject": key.subject,
                }
                for key in missing
            ]
            await session.execute(insert(AlarmKeyRow).values(rows).on_conflict_do_nothing())
            known = {_key_of(row): row.id for row in await session.scalars(_KEYS, wanted)}
        found.update(known)
    return found


async def lock_keys(session: WriteSession, ids: Collection[str]) -> None:
    """Hold these keys until the transaction ends; always in the same order, so that two holders cannot deadlock."""
    ordered = sorted(ids) if locks_rows(session) else []
    for start in range(0, len(ordered), CHUNK):
        query = (
            sa.select(AlarmKeyRow.id)
            .where(AlarmKeyRow.id.in_(ordered[start : start + CHUNK]))
            .order_by(AlarmKeyRow.id)
            .with_for_update()
        )
        await session.execute(query)


async def fresh(session: WriteSession, alarm_id: str) -> Alarm | None:
    """The row as the database has it now, under the key's lock. Not scoped: ingest and jobs only."""
    return await session.scalar(_FRESH, {"alarm": alarm_id})


async def entries_of(session: ReadSession, alarm_id: str) -> Sequence[AlarmEvent]:
    """The whole log of an occurrence, as recorded."""
    return (await session.scalars(_ENTRIES, {"alarm": alarm_id})).all()


async def revisions_of(session: ReadSession, alarm_id: str, numbers: Collection[int]) -> Sequence[AlarmEvent]:
    """Some revisions of an occurrence, as recorded."""
    query = sa.select(AlarmEvent).where(AlarmEvent.alarm_id == alarm_id, AlarmEvent.revision.in_(sorted(numbers)))
    return (await session.scalars(query.order_by(AlarmEvent.seq))).all()


async def next_younger(session: WriteSession, key_id: str, alarm_id: str) -> Alarm | None:
    return await session.scalar(_YOUNGER, {"key": key_id, "alarm": alarm_id})


async def next_older(session: WriteSession, key_id: str, alarm_id: str) -> Alarm | None:
    return await session.scalar(_OLDER, {"key": key_id, "alarm": alarm_id})


async def active_of_key(session: ReadSession, key_id: str) -> Alarm | None:
    return await session.scalar(_ACTIVE, {"key": key_id})


async def end_of_key(session: ReadSession, key_id: str) -> EndReason | None:
    """How the trouble of a key ended: the reason of its youngest occurrence; None while one is active."""
    if await active_of_key(session, key_id) is not None:
        return None
    return await session.scalar(_END, {"key": key_id})


async def active_of_origin(session: WriteSession, *, site_id: str, origin: str) -> Sequence[Alarm]:
    """Every active occurrence an origin raised at a site, as the database has it. Not scoped: ingest only."""
    query = sa.select(Alarm).where(Alarm.site_id == site_id, Alarm.origin == origin, Alarm.active)
    return (await session.scalars(query, execution_options={"populate_existing": True})).all()


async def superseded_among(
    session: WriteSession, *, site_id: str, origin: str, ids: Collection[str]
) -> Sequence[Alarm]:
    """Those of these occurrences of an origin that count as superseded or retired here, as the database has them."""
    ordered = sorted(ids)
    found: list[Alarm] = []
    for start in range(0, len(ordered), CHUNK):
        query = sa.select(Alarm).where(
            Alarm.site_id == site_id,
            Alarm.origin == origin,
            Alarm.id.in_(ordered[start : start + CHUNK]),
            Alarm.end_reason.in_([EndReason.SUPERSEDED, EndReason.DEVICE_RETIRED]),
        )
        found.extend(await session.scalars(query, execution_options={"populate_existing": True}))
    return found


async def known_among(session: ReadSession, ids: Collection[str]) -> set[str]:
    """Those of these occurrences of which there is a row, whoever raised them. Not scoped: an id is unique."""
    ordered = sorted(ids)
    found: set[str] = set()
    for start in range(0, len(ordered), CHUNK):
        found.update(await session.scalars(sa.select(Alarm.id).where(Alarm.id.in_(ordered[start : start + CHUNK]))))
    return found


async def unheard_of(session: WriteSession, *, site_id: str, origin: str) -> dict[str, UnheardAlarm]:
    """What an origin was heard to hold and never to raise, by occurrence. Not scoped: ingest only."""
    query = sa.select(UnheardAlarm).where(UnheardAlarm.site_id == site_id, UnheardAlarm.origin == origin)
    rows = await session.scalars(query, execution_options={"populate_existing": True})
    return {row.occurrence: row for row in rows}


async def note_unheard(
    session: WriteSession, *, customer_id: str, site_id: str, origin: str, occurrence: str, at: datetime, now: datetime
) -> None:
    """Another worker may have noted it just now."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    row = {"id": new_id(to_ms(now)), "customer_id": customer_id, "site_id": site_id, "origin": origin}
    values = {**row, "occurrence": occurrence, "at": at, "recorded_at": now}
    await session.execute(insert(UnheardAlarm).values(values).on_conflict_do_nothing())


async def forget_unheard(session: WriteSession, *, site_id: str, origin: str, occurrences: Sequence[str]) -> None:
    for start in range(0, len(occurrences), CHUNK):
        query = sa.delete(UnheardAlarm).where(UnheardAlarm.site_id == site_id, UnheardAlarm.origin == origin)
        await session.execute(query.where(UnheardAlarm.occurrence.in_(occurrences[start : start + CHUNK])))


async def active_of_moved(session: ReadSession, *, limit: int) -> Sequence[Alarm]:
    """Active alarms of devices that another agent's catalog took over since. Not scoped: for a job.

    One that came after the catalog may be of an agent whose own catalog is still under way. One that was ended for this
    very catalog and is active again, its agent holds all the same: to end it each time would go on for ever.
    """
    not_yet_ended = sa.or_(Alarm.retired_at.is_(None), Alarm.retired_at < Device.updated_at)
    query = (
        sa.select(Alarm)
        .join(Device, sa.and_(Device.site_id == Alarm.site_id, Device.device == Alarm.device))
        .where(Alarm.active, Alarm.agent_id != Device.agent_id, Alarm.received_at < Device.updated_at, not_yet_ended)
    )
    return (await session.scalars(query.order_by(Alarm.id).limit(limit))).all()


async def active_of_rule(
    session: ReadSession, *, rule: str, subject: str, device: str, site_id: str | None = None
) -> Sequence[Alarm]:
    """Active alarms the centre raised, at one site or at any. Not scoped: for the centre's own alarms."""
    query = _OF_SUBJECT if site_id is None else _OF_SUBJECT.where(Alarm.site_id == site_id)
    return (await session.scalars(query, {"rule": rule, "subject": subject, "device": device})).all()


async def active_of_centre(session: ReadSession, rule: str) -> Sequence[Alarm]:
    """Every active alarm of one of the centre's own rules. Not scoped: for the centre's own alarms."""
    return (await session.scalars(_OF_CENTRE, {"rule": rule})).all()


async def active_of_metric(session: ReadSession, metric: str, *, agents: Collection[str]) -> Sequence[Alarm]:
    """Active alarms about a metric that these agents raised. Not scoped: for the centre's own alarms."""
    ordered = sorted(agents)
    found: list[Alarm] = []
    for start in range(0, len(ordered), CHUNK):
        query = sa.select(Alarm).where(
            Alarm.active, Alarm.metric == metric, Alarm.agent_id.in_(ordered[start : start + CHUNK])
        )
        found.extend(await session.scalars(query.order_by(Alarm.id)))
    return found


async def lost_parts(session: ReadSession, names: Collection[tuple[str, str]]) -> Sequence[Alarm]:
    """Active alarms that a part of these devices (site, device) is lost. Not scoped: they were found in scope."""
    query = sa.select(Alarm).where(
        Alarm.active,
        Alarm.metric == COMMUNICATION,
        Alarm.subject != "",
        Alarm.site_id.in_({site for site, _ in names}),
        Alarm.device.in_({device for _, device in names}),
    )
    return [row for row in await session.scalars(query) if (row.site_id, row.device) in names]


async def newest_of_centre(session: ReadSession, *, site_id: str, device: str, rule: str, subject: str) -> Alarm | None:
    """The youngest occurrence of one of the centre's own keys, active or over."""
    query = sa.select(Alarm).where(
        Alarm.site_id == site_id,
        Alarm.origin == CENTRE,
        Alarm.device == device,
        Alarm.rule == rule,
        Alarm.subject == subject,
    )
    return await session.scalar(query.order_by(Alarm.id.desc()).limit(1))


async def lately_raised(session: ReadSession, *, site_id: str, key: AlarmKey, limit: int) -> Sequence[Alarm]:
    """The youngest occurrences of a key, youngest first. Not scoped: for the centre's own alarms."""
    of_key = AlarmKeyRow.site_id == site_id, AlarmKeyRow.origin == key.origin, AlarmKeyRow.device == key.device
    row = await session.scalar(
        sa.select(AlarmKeyRow.id).where(*of_key, AlarmKeyRow.rule == key.rule, AlarmKeyRow.subject == key.subject)
    )
    query = sa.select(Alarm).where(Alarm.key_id == row).order_by(Alarm.id.desc()).limit(limit)
    return (await session.scalars(query)).all()


@dataclass(frozen=True, slots=True)
class Comings:
    """How often the trouble of a key came, counted up to MOST_COUNTED, with when it did first and last."""

    count: int
    first: datetime
    last: datetime


async def comings_of(session: ReadSession, row: Alarm) -> Comings:
    """Of the key of an alarm that was found in scope."""
    of_key = sa.select(Alarm.raised_at).where(Alarm.key_id == row.key_id).limit(1)
    some = sa.select(Alarm.id).where(Alarm.key_id == row.key_id).limit(MOST_COUNTED).subquery()
    first = await session.scalar(of_key.order_by(Alarm.id))
    last = await session.scalar(of_key.order_by(Alarm.id.desc()))
    count = await session.scalar(sa.select(sa.func.count()).select_from(some))
    return Comings(count or 1, first or row.raised_at, last or row.raised_at)


async def muted_alarms(session: ReadSession, scope: Scope, *, after: str, limit: int) -> Sequence[Alarm]:
    """Muted ones by id, those behind `after` ("" for all)."""
    muted = sa.select(Alarm).where(Alarm.active, Alarm.muted_because.is_not(None), Alarm.id > after)
    return (await session.scalars(scoped(muted.order_by(Alarm.id).limit(limit), Alarm, scope))).all()


async def active_by_severity(session: ReadSession, scope: Scope) -> dict[Severity, int]:
    """How many alarms are active, by severity; severities without any are there with 0."""
    counted = sa.select(Alarm.severity, sa.func.count()).where(Alarm.active).group_by(Alarm.severity)
    query = scoped(cast("sa.Select[Any]", counted), Alarm, scope)
    found = {Severity(row[0]): int(row[1]) for row in await session.execute(query)}
    return {severity: found.get(severity, 0) for severity in Severity}


async def get_alarm(session: ReadSession, scope: Scope, alarm_id: str) -> Alarm:
    """The alarm with its site loaded."""
    query = sa.select(Alarm).where(Alarm.id == alarm_id).options(joinedload(Alarm.site))
    row = await session.scalar(scoped(query, Alarm, scope), execution_options={"populate_existing": True})
    if row is None:
        raise NotFound("alarm", alarm_id)
    return row


async def list_alarms(
    session: ReadSession,
    scope: Scope,
    page: PageRequest,
    *,
    site: str | None = None,
    device: str | None = None,
    rule: str | None = None,
    severities: Collection[Severity] = (),
    states: Collection[AlarmState] = (),
    active: bool | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[Sequence[Alarm], str | None]:
    """Youngest first, with sites loaded. `site` is an id or code; since and until bound `raised_at`, half open."""
    query = scoped(sa.select(Alarm), Alarm, scope).options(joinedload(Alarm.site))
    if site is not None:
        query = query.join(Alarm.site).where(sa.or_(Site.id == site, Site.code == site))
    for column, wanted in ((Alarm.device, device), (Alarm.rule, rule)):
        if wanted is not None:
            query = query.where(column == wanted)
    if severities:
        query = query.where(Alarm.severity.in_(sorted(severities)))
    if states:
        query = query.where(Alarm.state.in_(sorted(states)))
    if active is not None:
        query = query.where(Alarm.active.is_(active))
    if since is not None:
        query = query.where(Alarm.raised_at >= since)
    if until is not None:
        query = query.where(Alarm.raised_at < until)
    return await fetch_page(session, query, order=ALARMS, page=page)


async def events_of(session: ReadSession, scope: Scope, alarm_id: str) -> Sequence[AlarmEvent]:
    """The log for people: oldest first, at most MOST_EVENTS entries."""
    query = sa.select(AlarmEvent).where(AlarmEvent.alarm_id == alarm_id)
    query = query.order_by(AlarmEvent.seq).limit(MOST_EVENTS)
    return (await session.scalars(scoped(query, AlarmEvent, scope))).all()

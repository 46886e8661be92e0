"""Alarm events as an agent would send them, and their delivery."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from facility.alarms import ActiveOccurrence, AlarmEvent, AlarmEventKind, EndReason
from facility.clock import to_ms
from facility.ids import new_id
from facility.items import AlarmItem
from facility.severity import Severity
from facility.wire import RejectedItem
from server.alarms import repository
from server.alarms.models import Alarm
from server.alarms.service import AlarmService
from server.kit.paging import PageRequest
from server.kit.scope import Scope
from tests.server.factories import World
from tests.server.finding import service_of
from tests.server.fleet.making import make_agent


def raised(at: datetime, *, device: str = "th-01", severity: Severity = Severity.MAJOR) -> AlarmEvent:
    ms = to_ms(at)
    return AlarmEvent(
        occurrence=new_id(ms),
        revision=1,
        kind=AlarmEventKind.RAISED,
        origin="edge1",
        device=device,
        rule="room-hot",
        subject="",
        metric="room.temperature",
        level="hi",
        severity=severity,
        at=ms,
        value=28.4,
        limit=28.0,
        reason="limit_exceeded",
        rule_revision="r1",
    )


def updated(event: AlarmEvent, severity: Severity) -> AlarmEvent:
    kind = AlarmEventKind.UPDATED
    return replace(event, revision=event.revision + 1, kind=kind, severity=severity, value=33.0, at=event.at + 60_000)


def ended(event: AlarmEvent, reason: EndReason = EndReason.RECOVERED) -> AlarmEvent:
    kind = AlarmEventKind.ENDED
    return replace(event, revision=event.revision + 1, kind=kind, reason=reason, value=25.0, at=event.at + 60_000)


def item(event: AlarmEvent) -> AlarmItem:
    return AlarmItem(event=event)


def snapshot(at: datetime, *held: AlarmEvent) -> AlarmItem:
    """What the agent holds active at `at`."""
    entries = (ActiveOccurrence(e.occurrence, e.revision, e.device, e.rule, e.subject) for e in held)
    return AlarmItem(snapshot=tuple(entries), at=to_ms(at))


async def deliver(world: World, *items: AlarmItem, service: AlarmService | None = None) -> Sequence[RejectedItem]:
    """One block of the home site's agent, in one transaction; returns what was refused."""
    agent = await make_agent(world, world.home)
    service = service or service_of(world.server, AlarmService)
    async with world.server.db.write() as session:
        return await service.apply(session, site=agent.site, agent=agent, items=items, now=world.clock.now())


async def alarms(world: World, **wanted: object) -> list[Alarm]:
    """All alarms, youngest first."""
    async with world.server.db.read() as session:
        page = PageRequest(limit=500)
        rows, _ = await repository.list_alarms(session, Scope.system(), page, **wanted)  # type: ignore[arg-type]
        return list(rows)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)

"""Takes what happened to alarms and makes one state of it, whatever the order of arrival.

Every change happens under the lock on the alarm's key (a row lock on PostgreSQL, the single writer on SQLite), in the
transaction of the block, the request or the job that brought it; observers act in the same transaction.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from msgspec import UNSET

from facility.alarms import CENTRE, AlarmEvent, AlarmEventKind, AlarmKey, EndReason
from facility.clock import to_ms
from facility.ids import new_id
from facility.items import AlarmItem
from facility.severity import Severity
from facility.wire import RejectedItem
from server.alarms import repository, told
from server.alarms.centre_rules import CentreRule
from server.alarms.incoming import fault_of, snapshots_of
from server.alarms.lifecycle import Value, may_acknowledge, retirement
from server.alarms.log import CentreKind, write_centre
from server.alarms.models import Alarm
from server.alarms.origin import Origin
from server.alarms.snapshots import Snapshots
from server.alarms.taking import Taking
from server.alarms.watching import AlarmObserver, Muter, snapshot_of
from server.db.session import WriteSession
from server.fleet.refs import AgentRef, SiteRef
from server.kit.audit import audit
from server.kit.problems import Conflict
from server.kit.scope import Scope

log = logging.getLogger(__name__)

# Muted alarms looked at in one run of the job, so that a run stays a short transaction; the next goes on from there.
MOST_REJUDGED = 500
_CENTRE_LEVEL = "state"


class AlarmService:
    """The one writer of alarms. Observers are told in the order given; the first muter with a reason wins."""

    def __init__(
        self,
        *,
        observers: Sequence[AlarmObserver] = (),
        muters: Sequence[Muter] = (),
        titles: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        """titles: of the rules judged at the centre, in English and Chinese, by id."""
        self._taking = Taking(observers=observers, muters=muters, titles=titles or {})
        self._snapshots = Snapshots(self._taking)
        self._rejudged = ""  # the muted alarm that the last run ended with

    async def apply(
        self, session: WriteSession, *, site: SiteRef, agent: AgentRef, items: Sequence[AlarmItem], now: datetime
    ) -> list[RejectedItem]:
        """Take events and snapshots of an agent; returns those refused, with their position as path `[i]`.

        Events of one occurrence count as one change, so that what came and went within a block is told as such.
        """
        snapshots, refused = snapshots_of(items, now=now)
        events: dict[str, list[tuple[int, AlarmEvent]]] = {}
        for position, item in enumerate(items):
            if item.event is None:
                continue
            fault = fault_of(item.event, origin=agent.code, now=now)
            if fault is not None:
                refused.append(RejectedItem(f"[{position}]", *fault))
                continue
            events.setdefault(item.event.occurrence, []).append((position, item.event))
        origin = Origin(site.customer_id, site.id, agent.code, agent.id)
        unheard = await self._snapshots.unheard(session, origin, snapshots, raised=events.keys(), now=now)
        named = {event.key for found in events.values() for _, event in found}
        named |= {AlarmKey(agent.code, entry.device, entry.rule, entry.subject) for _, entry in unheard.values()}
        keys = await self._taking.keys(session, origin, named, now)
        doubtful = await self._snapshots.doubtful(session, origin, [held for _, held in snapshots])
        await repository.lock_keys(session, {*keys.values(), *(row.key_id for row in doubtful)})
        for occurrence, found in sorted(events.items()):
            refused += await self._taking.take(session, origin, keys, occurrence, found, now)
        for at, held in sorted(snapshots, key=lambda pair: pair[0]):
            await self._snapshots.compare(session, origin, at, held, now)
        for _, entry in sorted(unheard.items()):
            await self._snapshots.stand_in(session, origin, keys, entry, now)
        for position, item in enumerate(items):
            if item.snapshot is not None and item.told is not UNSET:
                refused += await told.note(
                    session,
                    item.told,
                    customer_id=site.customer_id,
                    site_id=site.id,
                    origin=agent.code,
                    position=position,
                    now=now,
                )
        return sorted(refused, key=lambda item: int(item.path[1:].partition("]")[0]))

    async def acknowledge(
        self, session: WriteSession, scope: Scope, alarm_id: str, *, note: str, source: str, now: datetime
    ) -> Alarm:
        """A person has seen it. Conflict when it is seen already, or over and seen."""
        row = await repository.get_alarm(session, scope, alarm_id)
        await repository.lock_keys(session, [row.key_id])
        row = await repository.get_alarm(session, scope, alarm_id)
        if not may_acknowledge(row.state):
            raise Conflict(f"the alarm is {row.state.value}: there is nothing to acknowledge", code="not_ackable")
        before = snapshot_of(row)
        write_centre(
            session,
            row,
            CentreKind.ACKNOWLEDGED,
            {
                "revision": row.revision,
                "severity": row.severity.value,
                "name": scope.principal.name[:200],
                "note": note,
            },
            at=now,
            actor=scope.principal.id,
            source=source,
            now=now,
        )
        audit(
            session,
            now=now,
            actor=scope.principal,
            action="alarms.alarm.acknowledged",
            entity="alarm",
            entity_id=row.id,
            new={"note": note},
            customer_id=row.customer_id,
            site_id=row.site_id,
        )
        await self._taking.settle(session, row, before, now)
        return row

    async def judged_here(
        self, session: WriteSession, *, customer_id: str, site_id: str, events: Sequence[AlarmEvent], now: datetime
    ) -> None:
        """Take events of the centre's own rules about a site, in order."""
        origin = Origin(customer_id, site_id, CENTRE, None)
        keys = await self._taking.keys(session, origin, {event.key for event in events}, now)
        await repository.lock_keys(session, set(keys.values()))
        found: dict[str, list[tuple[int, AlarmEvent]]] = {}
        for position, event in enumerate(events):
            found.setdefault(event.occurrence, []).append((position, event))
        for occurrence, of_it in found.items():
            await self._taking.take(session, origin, keys, occurrence, of_it, now)

    async def forget_judged_here(self, session: WriteSession, found: Sequence[Alarm], now: datetime) -> None:
        """End what the centre's own rules hold active: nobody knows its state any more."""
        await self._end_centre(session, sorted(found, key=lambda row: (row.rule, row.id)), now, EndReason.SUPERSEDED)

    async def raise_centre(
        self,
        session: WriteSession,
        *,
        customer_id: str,
        site_id: str,
        rule: CentreRule,
        device: str,
        subject: str = "",
        severity: Severity | None = None,
        value: Value = None,
        limit: Value = None,
        reason: str = "",
        now: datetime,
    ) -> str:
        """Raise one of the centre's own alarms; returns the occurrence. Raising what is active changes nothing.

        severity: where it is not the rule's own.
        """
        origin = Origin(customer_id, site_id, CENTRE, None)
        key = AlarmKey(CENTRE, device, rule.id, subject)
        keys = await self._taking.keys(session, origin, {key}, now)
        await repository.lock_keys(session, keys.values())
        active = await repository.active_of_key(session, keys[key])
        if active is not None:
            return active.id
        event = AlarmEvent(
            occurrence=new_id(to_ms(now)),
            revision=1,
            kind=AlarmEventKind.RAISED,
            origin=CENTRE,
            device=device,
            rule=rule.id,
            subject=subject,
            metric="",
            level=_CENTRE_LEVEL,
            severity=severity or rule.severity,
            at=to_ms(now),
            value=value,
            limit=limit,
            reason=reason or rule.id,
            rule_revision="",
        )
        await self._taking.take(session, origin, keys, event.occurrence, [(0, event)], now)
        return event.occurrence

    async def end_centre(
        self, session: WriteSession, *, site_id: str, rule: CentreRule, device: str, subject: str = "", now: datetime
    ) -> bool:
        """End it as recovered; False when it was not active."""
        found = await repository.active_of_rule(session, rule=rule.id, subject=subject, site_id=site_id, device=device)
        return await self._end_centre(session, found, now) > 0

    async def end_centre_everywhere(
        self, session: WriteSession, *, rule: CentreRule, device: str, subject: str, now: datetime
    ) -> int:
        """End it at every site where it is active; returns at how many."""
        found = await repository.active_of_rule(session, rule=rule.id, subject=subject, device=device)
        return await self._end_centre(session, found, now)

    async def update_centre(
        self,
        session: WriteSession,
        alarm: Alarm,
        *,
        value: Value,
        severity: Severity | None = None,
        reason: str = "",
        swings: int = 0,
        now: datetime,
    ) -> None:
        """A new value or severity of one of the centre's own alarms; nothing when it is over by now."""
        await repository.lock_keys(session, [alarm.key_id])
        row = await repository.fresh(session, alarm.id)
        if row is not None and row.active:
            kind = AlarmEventKind.UPDATED
            await self._revise(session, row, kind, value, reason or row.rule, now, severity=severity, swings=swings)

    async def retire(self, session: WriteSession, found: Sequence[Alarm], now: datetime) -> None:
        """End what agents hold of devices that are theirs no longer; a later snapshot that holds it is believed."""
        await repository.lock_keys(session, {row.key_id for row in found})
        for alarm in found:
            row = await repository.fresh(session, alarm.id)
            if row is not None and row.active:
                before = snapshot_of(row)
                row.retired_at = retirement(now, seen_at=row.seen_at)
                await self._taking.settle(session, row, before, now)

    async def retire_centre(
        self, session: WriteSession, *, site_id: str, device: str, rules: Collection[str], now: datetime
    ) -> None:
        """End what the centre itself holds about an agent that is no more."""
        for rule in sorted(rules):
            active = await repository.active_of_centre(session, rule)
            found = [row for row in active if (row.site_id, row.device) == (site_id, device)]
            await self._end_centre(session, found, now, EndReason.DEVICE_RETIRED)

    async def _end_centre(
        self, session: WriteSession, found: Sequence[Alarm], now: datetime, reason: EndReason = EndReason.RECOVERED
    ) -> int:
        await repository.lock_keys(session, {row.key_id for row in found})
        ended = 0
        for alarm in found:
            row = await repository.fresh(session, alarm.id)
            if row is not None and row.active:
                await self._revise(session, row, AlarmEventKind.ENDED, None, reason.value, now)
                ended += 1
        return ended

    async def _revise(
        self,
        session: WriteSession,
        row: Alarm,
        kind: AlarmEventKind,
        value: Value,
        reason: str,
        now: datetime,
        *,
        severity: Severity | None = None,
        swings: int = 0,
    ) -> None:
        """The next revision of an alarm the centre raised, under its key's lock."""
        event = AlarmEvent(
            occurrence=row.id,
            revision=row.revision + 1,
            kind=kind,
            origin=CENTRE,
            device=row.device,
            rule=row.rule,
            subject=row.subject,
            metric=row.metric,
            level=row.level,
            severity=severity or row.severity,
            at=to_ms(now),
            value=value,
            limit=row.limit_value,
            reason=reason,
            rule_revision="",
            swings=swings or UNSET,
        )
        origin = Origin(row.customer_id, row.site_id, CENTRE, None)
        await self._taking.take(session, origin, {event.key: row.key_id}, row.id, [(0, event)], now)

    async def rejudge_mutes(self, session: WriteSession, now: datetime) -> None:
        """Job: an alarm whose mute has ended is told to the observers as if it came now."""
        rows = await repository.muted_alarms(session, Scope.system(), after=self._rejudged, limit=MOST_REJUDGED)
        self._rejudged = rows[-1].id if len(rows) == MOST_REJUDGED else ""
        await repository.lock_keys(session, {row.key_id for row in rows})
        for found in rows:
            row = await repository.fresh(session, found.id)
            if row is not None and row.active:
                await self._taking.settle(session, row, snapshot_of(row), now)

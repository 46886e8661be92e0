"""Holds what an agent says it holds against what is active here, in both directions."""

import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from facility.alarms import ActiveOccurrence, AlarmKey
from server.alarms import repository
from server.alarms.lifecycle import judges
from server.alarms.models import Alarm, UnheardAlarm
from server.alarms.origin import Origin
from server.alarms.stand_in import MOST_AT_ONCE, overdue, stand_in
from server.alarms.taking import Taking
from server.alarms.watching import snapshot_of
from server.db.session import WriteSession, locks_rows
from server.fleet import service as fleet
from server.kit.scope import Scope

log = logging.getLogger(__name__)

# What an agent that came never again held.
KEEP = timedelta(days=30)

Snapshot = tuple[datetime, Sequence[ActiveOccurrence]]


class Snapshots:
    def __init__(self, taking: Taking) -> None:
        self._taking = taking

    async def doubtful(
        self, session: WriteSession, origin: Origin, snapshots: Sequence[Sequence[ActiveOccurrence]]
    ) -> list[Alarm]:
        """The alarms whose state a snapshot may contradict, where their keys are to be locked."""
        if not snapshots or not locks_rows(session):
            return []
        held = {entry.occurrence for snapshot in snapshots for entry in snapshot}
        active = await repository.active_of_origin(session, site_id=origin.site_id, origin=origin.code)
        back = await repository.superseded_among(session, site_id=origin.site_id, origin=origin.code, ids=held)
        return [*active, *back]

    async def compare(
        self, session: WriteSession, origin: Origin, at: datetime, held: Sequence[ActiveOccurrence], now: datetime
    ) -> None:
        """What an agent does not hold at `at` ended without our hearing of it; what it holds has not been superseded.

        What began after the snapshot was made, or just before, is not judged by it.
        """
        ids = {entry.occurrence for entry in held}
        for row in await repository.active_of_origin(session, site_id=origin.site_id, origin=origin.code):
            if row.id in ids or not judges(at, row.raised_at):
                continue
            before = snapshot_of(row)
            row.orphaned_at = at if row.orphaned_at is None else max(row.orphaned_at, at)
            await self._taking.settle(session, row, before, now)
        for row in await repository.superseded_among(session, site_id=origin.site_id, origin=origin.code, ids=ids):
            if row.active or (row.seen_at is not None and row.seen_at >= at):
                continue
            if await repository.active_of_key(session, row.key_id) is not None:
                log.warning("snapshot holds two of a key", extra={"alarm": row.id, "origin": origin.code})
                continue
            before = snapshot_of(row)
            row.seen_at = at
            await self._taking.settle(session, row, before, now)

    async def unheard(
        self,
        session: WriteSession,
        origin: Origin,
        snapshots: Sequence[Snapshot],
        *,
        raised: Collection[str],
        now: datetime,
    ) -> dict[str, tuple[datetime, ActiveOccurrence]]:
        """What they hold, the centre has no word of, and should have by now; with the newest snapshot's time.

        raised: occurrences of which the same block speaks. Remembers when the others were held first.
        """
        overdue_ones: dict[str, tuple[datetime, ActiveOccurrence]] = {}
        for at, held in sorted(snapshots, key=lambda snapshot: snapshot[0]):
            entries = {entry.occurrence: entry for entry in held if entry.occurrence not in raised}
            strange = entries.keys() - await repository.known_among(session, entries.keys())
            first = await repository.unheard_of(session, site_id=origin.site_id, origin=origin.code)
            gone = [name for name, row in first.items() if name not in strange and row.at <= at]
            await repository.forget_unheard(session, site_id=origin.site_id, origin=origin.code, occurrences=gone)
            overdue_ones = {name: found for name, found in overdue_ones.items() if name in strange}
            for name in sorted(strange):
                row = first.get(name)
                if row is None:
                    await repository.note_unheard(
                        session,
                        customer_id=origin.customer_id,
                        site_id=origin.site_id,
                        origin=origin.code,
                        occurrence=name,
                        at=at,
                        now=now,
                    )
                    continue
                row.at = max(row.at, at)
                if overdue(row.recorded_at, now) and len(overdue_ones) < MOST_AT_ONCE:
                    overdue_ones[name] = (at, entries[name])
        return overdue_ones

    async def stand_in(
        self,
        session: WriteSession,
        origin: Origin,
        keys: dict[AlarmKey, str],
        found: tuple[datetime, ActiveOccurrence],
        now: datetime,
    ) -> None:
        """Make an alarm of an entry, under its key's lock, unless it came meanwhile."""
        at, entry = found
        if await repository.fresh(session, entry.occurrence) is not None:
            return
        key = AlarmKey(origin.code, entry.device, entry.rule, entry.subject)
        if await repository.active_of_key(session, keys[key]) is not None:
            log.warning("snapshot holds two of a key", extra={"alarm": entry.occurrence, "origin": origin.code})
            return
        rule = None
        if origin.agent_id is not None:
            rule = await fleet.rule(session, Scope.system(), origin.agent_id, entry.rule)
        event = stand_in(
            entry,
            origin=origin.code,
            at=at,
            metric="" if rule is None else rule.metric,
            levels=None if rule is None else rule.levels,
        )
        log.warning("raise of an alarm is missing", extra={"alarm": entry.occurrence, "key": str(key)})
        await self._taking.take(session, origin, keys, entry.occurrence, [(0, event)], now, seen_at=at)


async def prune(session: WriteSession, now: datetime) -> None:
    """Job."""
    await session.execute(sa.delete(UnheardAlarm).where(UnheardAlarm.recorded_at < now - KEEP))

"""Records what is new of one occurrence, folds it, and tells the observers. Under the lock on the alarm's key."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from facility.alarms import CENTRE, AlarmEvent, AlarmEventKind, AlarmKey
from facility.wire import RejectedItem, RejectReason
from rules.judges import Reason
from server.alarms import repository
from server.alarms.changes import log_changes
from server.alarms.folding import refold
from server.alarms.incoming import revision_of
from server.alarms.lifecycle import STAND_IN, Arrival, Revision
from server.alarms.log import History, history_of, write_revision
from server.alarms.models import Alarm
from server.alarms.naming import names_of
from server.alarms.origin import Origin
from server.alarms.watching import AlarmObserver, AlarmSnapshot, Muter, muted_because, snapshot_of
from server.db.session import WriteSession


class Taking:
    """Observers are told in the order given; the first muter with a reason wins."""

    def __init__(
        self, *, observers: Sequence[AlarmObserver], muters: Sequence[Muter], titles: Mapping[str, tuple[str, str]]
    ) -> None:
        self._observers = tuple(observers)
        self._muters = tuple(muters)
        self._titles = titles

    async def keys(
        self, session: WriteSession, origin: Origin, keys: set[AlarmKey], now: datetime
    ) -> dict[AlarmKey, str]:
        return await repository.key_ids(
            session, customer_id=origin.customer_id, site_id=origin.site_id, keys=keys, now=now
        )

    async def take(
        self,
        session: WriteSession,
        origin: Origin,
        keys: dict[AlarmKey, str],
        occurrence: str,
        found: Sequence[tuple[int, AlarmEvent]],
        now: datetime,
        *,
        seen_at: datetime | None = None,
    ) -> list[RejectedItem]:
        """Record the new revisions of one occurrence, under its key's lock. seen_at: of the snapshot they stand for."""
        row = await repository.fresh(session, occurrence)
        key_id = keys[found[0][1].key] if row is None else row.key_id
        history = history_of([] if row is None else await repository.entries_of(session, occurrence))
        refused: list[RejectedItem] = []
        new: dict[int, Revision] = {}
        for position, event in found:
            revision = revision_of(event)
            known = history.revisions.get(event.revision) or new.get(event.revision)
            if keys[event.key] != key_id:
                detail = "the occurrence is known under another key"
                refused.append(RejectedItem(f"[{position}]", RejectReason.BAD_ITEM, detail))
            elif known is None:
                new[event.revision] = revision
            elif known != revision:
                detail = f"revision {event.revision} is known with other content"
                refused.append(RejectedItem(f"[{position}]", RejectReason.BAD_ITEM, detail))
        if not new:
            return refused
        before = None if row is None else snapshot_of(row)
        if row is None:
            row = await self._begin(session, origin, key_id, found[0][1], new, now)
            row.seen_at = seen_at
        elif not history.revisions.keys() - {STAND_IN}:
            row.metric = found[0][1].metric
        for number, revision in sorted(new.items()):
            source = CENTRE if row.origin == CENTRE or number == STAND_IN else "agent"
            write_revision(session, row, revision, source=source, now=now)
        history = replace(history, revisions={**history.revisions, **new})
        await self._order(session, row, history, now)
        flaps = any(revision.reason == Reason.FLAPPING for revision in new.values())
        await self.settle(session, row, before, now, history=history, flaps=flaps)
        return refused

    async def _begin(
        self,
        session: WriteSession,
        origin: Origin,
        key_id: str,
        event: AlarmEvent,
        new: dict[int, Revision],
        now: datetime,
    ) -> Alarm:
        """The row of a new occurrence, not yet active: the one it follows must be ended first."""
        names = await names_of(
            session,
            site_id=origin.site_id,
            agent_id=origin.agent_id,
            origin=origin.code,
            device=event.device,
            rule=event.rule,
            subject=event.subject,
            revision=event.rule_revision,
            titles=self._titles,
        )
        over = any(revision.kind is AlarmEventKind.ENDED for revision in new.values())
        row = Alarm(
            id=event.occurrence,
            customer_id=origin.customer_id,
            site_id=origin.site_id,
            key_id=key_id,
            agent_id=origin.agent_id,
            origin=origin.code,
            device=event.device,
            rule=event.rule,
            subject=event.subject,
            metric=event.metric,
            device_en=names.device_en,
            device_zh=names.device_zh,
            rule_en=names.rule_en,
            rule_zh=names.rule_zh,
            room=names.room,
            arrival=Arrival.CLEARED_BEFORE_ARRIVAL if over else Arrival.LIVE,
            received_at=now,
            succeeded_at=None,
            last_seq=0,
        )
        refold(row, History(new, [], None))
        row.active = False
        session.add(row)
        await session.flush()
        return row

    async def _order(self, session: WriteSession, row: Alarm, history: History, now: datetime) -> None:
        """An agent holds one occurrence of a key at a time: the coming of a younger one is the end of the older."""
        # Neither can be the row itself: its changes are written with those of settling it, in one statement.
        with session.no_autoflush:
            younger = await repository.next_younger(session, row.key_id, row.id)
            older = await repository.next_older(session, row.key_id, row.id)
        row.succeeded_at = None if younger is None else younger.raised_at
        if older is None:
            return
        before = snapshot_of(older)
        older.succeeded_at = history.began_at
        if all(revision.kind is not AlarmEventKind.ENDED for revision in history.revisions.values()):
            # A snapshot held the older one no earlier than this began: the key has one that is active, and it is this.
            older.seen_at = None
        await self.settle(session, older, before, now)

    async def settle(
        self,
        session: WriteSession,
        row: Alarm,
        before: AlarmSnapshot | None,
        now: datetime,
        *,
        history: History | None = None,
        flaps: bool = False,
    ) -> None:
        """Fold, judge the mute, write, tell. before: None for what is new here; history: its log, where it is known."""
        why = refold(row, history or history_of(await repository.entries_of(session, row.id)))
        if row.active or before is None:
            row.muted_because = await muted_because(self._muters, session, snapshot_of(row), now)
        log_changes(session, row, before, now)
        await session.flush()
        after = replace(snapshot_of(row, why), began_flapping=flaps)
        if before is not None and replace(before, why=why) == after:
            return
        for observer in self._observers:
            await observer.on_change(session, before, after, now)

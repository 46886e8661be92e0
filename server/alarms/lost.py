"""`agent-lost` grows with the silence, and an agent that comes and goes is told of once as that.

Suggested by the standards for alarm management: minor when polls are missed, major after 15 minutes, critical after an
hour for a whole site. A site of which no agent is heard is never less than major: nobody watches it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from facility.alarms import CENTRE, AlarmKey
from facility.severity import Severity
from rules.judges import Reason
from rules.parts import Flap
from server.alarms import repository
from server.alarms.centre_rules import AGENT_LOST
from server.alarms.lifecycle import FIRST
from server.alarms.log import history_of
from server.alarms.losses import UPDATE_EVERY
from server.alarms.models import Alarm
from server.alarms.service import AlarmService
from server.db.session import WriteSession, after_commit
from server.fleet import repository as fleet
from server.fleet.listening import Hearing, ears, spans
from server.fleet.models import Agent, AgentStatus
from server.fleet.refs import AgentRef
from server.fleet.watch import GRACE


@dataclass(frozen=True, slots=True)
class Escalation:
    """After what silence a lost agent is worse; critical only where no agent of its site is heard."""

    major: timedelta = timedelta(minutes=15)
    critical: timedelta = timedelta(hours=1)


def severity_of(silent_for: timedelta, *, whole_site: bool, escalation: Escalation) -> Severity:
    if whole_site and silent_for >= escalation.critical:
        return Severity.CRITICAL
    return Severity.MAJOR if whole_site or silent_for >= escalation.major else Severity.MINOR


def flaps(raised: Sequence[datetime], flap: Flap, *, now: datetime) -> bool:
    """Whether one more raise is once too often."""
    within = timedelta(milliseconds=flap.within)
    return sum(now - at < within for at in raised) + 1 >= flap.changes


def is_calm(agent: Agent, flap: Flap, *, now: datetime) -> bool:
    """Whether it is there and was not silent for long enough; a connection that breaks for a moment is no silence."""
    back_since = agent.returned_at or agent.status_since
    return agent.status is AgentStatus.ONLINE and now - back_since >= timedelta(milliseconds=flap.hold)


@dataclass(frozen=True, slots=True)
class Untold:
    """Losses of an agent whose alarm stands that its log does not tell yet; value: since when the newest."""

    losses: int
    value: str


class LostAgents:
    """Raises, worsens and ends `agent-lost`. One that stands is told of at most each UPDATE_EVERY: its log is kept."""

    def __init__(self, alarms: AlarmService, *, escalation: Escalation | None = None) -> None:
        self._alarms = alarms
        self._escalation = escalation or Escalation()
        self._untold: dict[str, Untold] = {}  # by alarm; a restart forgets those of the last minutes

    async def lost(self, session: WriteSession, *, agent: AgentRef, since: datetime, now: datetime) -> None:
        """It has just been found silent."""
        site = agent.site
        key = AlarmKey(CENTRE, agent.code, AGENT_LOST.id)
        raised = await repository.lately_raised(session, site_id=site.id, key=key, limit=AGENT_LOST.flap.changes)
        value = since.isoformat(timespec="seconds")
        if raised and raised[0].active:
            row = raised[0]
            if await _swings(session, row) is not None:
                held = self._untold.get(row.id, Untold(0, ""))
                await self._tell(session, row, Untold(held.losses + 1, value), now)
            return
        often = flaps([row.raised_at for row in raised], AGENT_LOST.flap, now=now)
        heard = await fleet.sites_heard(session, [site.id])
        await self._alarms.raise_centre(
            session,
            customer_id=site.customer_id,
            site_id=site.id,
            rule=AGENT_LOST,
            device=agent.code,
            severity=severity_of(GRACE, whole_site=site.id not in heard, escalation=self._escalation),
            value=value,
            reason=Reason.FLAPPING if often else "",
            now=now,
        )

    async def returned(self, session: WriteSession, *, agent: AgentRef, now: datetime) -> None:
        """It is heard. What flaps stands until it has been heard for long enough."""
        rows = await repository.active_of_rule(
            session, rule=AGENT_LOST.id, subject="", device=agent.code, site_id=agent.site.id
        )
        if all([await _swings(session, row) is None for row in rows]):
            await self._alarms.end_centre(session, site_id=agent.site.id, rule=AGENT_LOST, device=agent.code, now=now)

    async def look(self, session: WriteSession, now: datetime) -> None:
        """Job: worsens what lasts, as far as the centre listened; ends what flapped and is calm."""
        rows = await repository.active_of_centre(session, AGENT_LOST.id)
        self._untold = {row.id: self._untold[row.id] for row in rows if row.id in self._untold}
        if not rows:
            return
        own = ears(await spans(session), first_look=now, now=now)
        sites = sorted({row.site_id for row in rows})
        lost = {(row.site_id, row.device) for row in rows}
        # Agents before keys, as ingest and the job that finds them silent do; and the keys in their one order.
        before = await fleet.agents_of_sites(session, sites)
        await fleet.lock_agents(session, {one.id for one in before if (one.site_id, one.code) in lost})
        await repository.lock_keys(session, {row.key_id for row in rows})
        agents = {(one.site_id, one.code): one for one in await fleet.agents_of_sites(session, sites)}
        heard = await fleet.sites_heard(session, sites)
        for row in rows:
            agent = agents.get((row.site_id, row.device))
            if agent is None:
                continue
            if row.id in self._untold:
                await self._tell(session, row, self._untold[row.id], now)
            if is_calm(agent, AGENT_LOST.flap, now=now):
                await self._alarms.end_centre(session, site_id=row.site_id, rule=AGENT_LOST, device=row.device, now=now)
            if agent.status is not AgentStatus.SILENT or own.hearing not in (Hearing.LISTENING, Hearing.NO_INGEST):
                continue
            since = agent.status_since
            if own.hearing is Hearing.LISTENING:
                since = max(since, own.since)
            whole_site = row.site_id not in heard
            severity = severity_of(GRACE + (now - since), whole_site=whole_site, escalation=self._escalation)
            if severity.worse_than(row.severity):
                await self._alarms.update_centre(
                    session,
                    row,
                    value=row.value,
                    severity=severity,
                    reason=Reason.ESCALATED,
                    swings=await _swings(session, row) or 0,
                    now=now,
                )

    async def _tell(self, session: WriteSession, row: Alarm, untold: Untold, now: datetime) -> None:
        """In its log, once that is due; else it waits for the next look."""
        if now - row.updated_at < UPDATE_EVERY:
            after_commit(session, partial(self._untold.__setitem__, row.id, untold))
            return
        swings = (await _swings(session, row) or 0) + untold.losses
        await self._alarms.update_centre(session, row, value=untold.value, swings=swings, now=now)
        after_commit(session, partial(self._told, row.id))

    def _told(self, alarm_id: str) -> None:
        self._untold.pop(alarm_id, None)


async def _swings(session: WriteSession, row: Alarm) -> int | None:
    """How often it was lost again while it stood flapping, as its newest revision tells; None when it does not."""
    revisions = history_of(await repository.revisions_of(session, row.id, (FIRST, row.revision))).revisions
    return revisions[row.revision].swings if revisions[FIRST].reason == Reason.FLAPPING else None

"""`agent-lost` grows with the silence, and an agent that comes and goes is told of once as that.

Suggested by the standards for alarm management: minor when polls are missed, major after 15 minutes, critical after an
hour for a whole site. A site of which no agent is heard is never less than major: nobody watches it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from facility.alarms import CENTRE, AlarmKey
from facility.severity import Severity
from rules.judges import Reason
from rules.parts import Flap
from server.alarms import repository
from server.alarms.centre_rules import AGENT_LOST
from server.alarms.log import history_of
from server.alarms.models import Alarm
from server.alarms.service import AlarmService
from server.db.session import WriteSession
from server.fleet import repository as fleet
from server.fleet.listening import Hearing, ears, spans
from server.fleet.models import AgentStatus
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


class LostAgents:
    """Raises, worsens and ends `agent-lost`."""

    def __init__(self, alarms: AlarmService, *, escalation: Escalation | None = None) -> None:
        self._alarms = alarms
        self._escalation = escalation or Escalation()

    async def lost(self, session: WriteSession, *, agent: AgentRef, since: datetime, now: datetime) -> None:
        """It has just been found silent."""
        site = agent.site
        key = AlarmKey(CENTRE, agent.code, AGENT_LOST.id)
        raised = await repository.lately_raised(session, site_id=site.id, key=key, limit=AGENT_LOST.flap.changes)
        value = since.isoformat(timespec="seconds")
        if raised and raised[0].active:
            swings = await _stands_flapping(session, raised[0])
            if swings is not None:
                await self._alarms.update_centre(session, raised[0], value=value, swings=swings + 1, now=now)
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
        if all([await _stands_flapping(session, row) is None for row in rows]):
            await self._alarms.end_centre(session, site_id=agent.site.id, rule=AGENT_LOST, device=agent.code, now=now)

    async def look(self, session: WriteSession, now: datetime) -> None:
        """Job: worsens what lasts, as far as the centre listened; ends what flapped and is calm."""
        rows = await repository.active_of_centre(session, AGENT_LOST.id)
        if not rows:
            return
        own = ears(await spans(session), first_look=now, now=now)
        sites = sorted({row.site_id for row in rows})
        heard = await fleet.sites_heard(session, sites)
        agents = {(one.site_id, one.code): one for one in await fleet.agents_of_sites(session, sites)}
        calm = timedelta(milliseconds=AGENT_LOST.flap.hold)
        for row in rows:
            agent = agents.get((row.site_id, row.device))
            if agent is None:
                continue
            if agent.status is AgentStatus.ONLINE and now - agent.status_since >= calm:
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
                    session, row, value=row.value, severity=severity, reason=Reason.ESCALATED, now=now
                )


async def _stands_flapping(session: WriteSession, row: Alarm) -> int | None:
    """How often it was back while it stood flapping; None when it does not."""
    revisions = history_of(await repository.entries_of(session, row.id)).revisions.values()
    if all(revision.reason != Reason.FLAPPING for revision in revisions):
        return None
    return max(revision.swings for revision in revisions)

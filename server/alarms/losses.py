"""Lost and refused data become alarms of the centre. Jobs that look at the state, so a restart forgets nothing."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from server.alarms import repository
from server.alarms.centre_rules import BLOCK_QUARANTINED, READINGS_DROPPED
from server.alarms.service import AlarmService
from server.db.session import ReadSession, WriteSession
from server.fleet import repository as fleet
from server.fleet.drops import by_reason
from server.fleet.models import Agent, AgentStatus
from server.kit.scope import Scope

# (site code, agent code, a reason) of agents that had something put into quarantine since a time.
Quarantine = Callable[[ReadSession, datetime], Awaitable[Sequence[tuple[str, str, str]]]]

# What does not go on for this long is over: long enough that a fault of each poll is one alarm.
QUIET = timedelta(hours=1)
# A running loss is a new revision at most this often; agents report every minute.
UPDATE_EVERY = timedelta(minutes=10)
_MAX_SUBJECT = 120


class Losses:
    """Raises and ends `readings-dropped` (per agent and reason) and `block-quarantined` (per agent)."""

    def __init__(self, alarms: AlarmService, *, quarantine: Quarantine) -> None:
        self._alarms = alarms
        self._quarantine = quarantine

    async def look(self, session: WriteSession, now: datetime) -> None:
        """Job."""
        for agent in await fleet.agents_with_drops(session, Scope.system()):
            if agent.status is AgentStatus.RETIRED:
                continue
            for reason, total in sorted(by_reason(agent.drops).items()):
                await self._dropped(session, agent, reason[:_MAX_SUBJECT], float(total), now)
        for row in await repository.active_of_centre(session, READINGS_DROPPED.id):
            if now - row.updated_at >= QUIET:
                await self._alarms.end_centre(
                    session,
                    site_id=row.site_id,
                    rule=READINGS_DROPPED,
                    device=row.device,
                    subject=row.subject,
                    now=now,
                )
        await self._quarantined(session, now)

    async def _dropped(self, session: WriteSession, agent: Agent, reason: str, total: float, now: datetime) -> None:
        """What went since the newest alarm: totals only grow, and the alarm bears the one it was said with."""
        last = await repository.newest_of_centre(
            session, site_id=agent.site_id, device=agent.code, rule=READINGS_DROPPED.id, subject=reason
        )
        known = float(last.value) if last is not None and isinstance(last.value, int | float) else 0.0
        if total > known:
            if last is None or not last.active:
                await self._alarms.raise_centre(
                    session,
                    customer_id=agent.customer_id,
                    site_id=agent.site_id,
                    rule=READINGS_DROPPED,
                    device=agent.code,
                    subject=reason,
                    value=total,
                    now=now,
                )
            elif now - last.updated_at >= UPDATE_EVERY:
                await self._alarms.update_centre(session, last, value=total, now=now)

    async def _quarantined(self, session: WriteSession, now: datetime) -> None:
        bad: set[tuple[str, str]] = set()
        for site, code, reason in await self._quarantine(session, now - QUIET):
            agent = await fleet.find_agent(session, Scope.system(), site, code)
            if agent is None or agent.status is AgentStatus.RETIRED:
                continue
            bad.add((agent.site_id, agent.code))
            await self._alarms.raise_centre(
                session,
                customer_id=agent.customer_id,
                site_id=agent.site_id,
                rule=BLOCK_QUARANTINED,
                device=agent.code,
                value=reason,
                now=now,
            )
        for row in await repository.active_of_centre(session, BLOCK_QUARANTINED.id):
            if (row.site_id, row.device) not in bad:
                await self._alarms.end_centre(
                    session, site_id=row.site_id, rule=BLOCK_QUARANTINED, device=row.device, now=now
                )

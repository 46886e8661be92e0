"""The centre's own alarms, for those who notice what they are about."""

from datetime import datetime

from server.alarms import repository
from server.alarms.centre_rules import (
    AGENT_LOST,
    BLOCK_QUARANTINED,
    BROKER_LOST,
    NOTIFY_CHANNEL_FAILED,
    READINGS_DROPPED,
    SITE_DARK,
)
from server.alarms.lost import Escalation, LostAgents
from server.alarms.service import AlarmService
from server.db.session import WriteSession
from server.fleet.refs import AgentRef, SiteRef

# What stands where a device would, for what concerns the server's own channels.
NOTIFY_DEVICE = "notify"
BROKER_DEVICE = "broker"
# Of the centre's own alarms those whose device is an agent.
ABOUT_AGENTS = frozenset(rule.id for rule in (AGENT_LOST, SITE_DARK, READINGS_DROPPED, BLOCK_QUARANTINED))
# Looked at in one run of the job, so that a run stays a short transaction.
MOST_MOVED = 500


class CentreAlarms:
    """Implements `server.fleet.watch.AgentWatcher`; the device of an agent's alarm is the agent's code."""

    def __init__(self, alarms: AlarmService, *, escalation: Escalation | None = None) -> None:
        self._alarms = alarms
        self.lost_agents = LostAgents(alarms, escalation=escalation)

    async def agent_lost(self, session: WriteSession, *, agent: AgentRef, since: datetime, now: datetime) -> None:
        await self.lost_agents.lost(session, agent=agent, since=since, now=now)

    async def agent_returned(self, session: WriteSession, *, agent: AgentRef, now: datetime) -> None:
        await self.lost_agents.returned(session, agent=agent, now=now)

    async def agent_retired(self, session: WriteSession, *, agent: AgentRef, now: datetime) -> None:
        """What it holds, and what the centre holds about it."""
        found = await repository.active_of_origin(session, site_id=agent.site.id, origin=agent.code)
        await self._alarms.retire(session, found, now)
        await self._alarms.retire_centre(session, site_id=agent.site.id, device=agent.code, rules=ABOUT_AGENTS, now=now)

    async def end_moved(self, session: WriteSession, now: datetime) -> None:
        """Job: a device that another agent polls now has no alarm of the one before."""
        await self._alarms.retire(session, await repository.active_of_moved(session, limit=MOST_MOVED), now)

    async def broker_lost(self, session: WriteSession, *, site: SiteRef, since: datetime, now: datetime) -> None:
        """Implements `server.fleet.watch.BrokerWatcher`: one alarm, in place of one for each agent."""
        await self._alarms.raise_centre(
            session,
            customer_id=site.customer_id,
            site_id=site.id,
            rule=BROKER_LOST,
            device=BROKER_DEVICE,
            value=since.isoformat(timespec="seconds"),
            now=now,
        )

    async def broker_heard(self, session: WriteSession, *, now: datetime) -> None:
        await self._alarms.end_centre_everywhere(session, rule=BROKER_LOST, device=BROKER_DEVICE, subject="", now=now)

    async def channel_failed(
        self, session: WriteSession, *, customer_id: str, site_id: str, login: str, now: datetime
    ) -> None:
        """Messages to a person's channel fail again and again."""
        await self._alarms.raise_centre(
            session,
            customer_id=customer_id,
            site_id=site_id,
            rule=NOTIFY_CHANNEL_FAILED,
            device=NOTIFY_DEVICE,
            subject=login,
            now=now,
        )

    async def channel_works(self, session: WriteSession, *, login: str, now: datetime) -> None:
        await self._alarms.end_centre_everywhere(
            session, rule=NOTIFY_CHANNEL_FAILED, device=NOTIFY_DEVICE, subject=login, now=now
        )

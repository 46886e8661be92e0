"""A site that ran on its UPS's battery and then fell silent has probably gone dark: critical at once.

At once is when the broker publishes the agent's last will, or the centre finds it silent. A goodbye is told apart: an
agent that is restarted for service while the UPS is on battery raises nothing. Where it does not come back it is silent
after three health periods, and then nobody watches a site on its battery, whoever stopped the agent: a machine that
its UPS shut down in order said goodbye, too.

An on-battery alarm that comes after the will is no proof of darkness yet: a broker that was restarted brings both, of
an agent that is back. Signs of life are noted every few seconds, so that is waited for.

Found in the state by a job, so neither the order in which the alarm and the silence arrive nor a restart matters.
"""

from datetime import datetime, timedelta

from server.alarms import repository
from server.alarms.centre_rules import SITE_DARK
from server.alarms.models import Alarm
from server.alarms.service import AlarmService
from server.db.session import WriteSession
from server.fleet import repository as fleet
from server.fleet.models import Agent, AgentStatus
from server.kit.scope import Scope

# The metric and state in which a UPS says that the mains are gone (facility's register).
ON_BATTERY = ("ups.output.source", "battery")
# Signs of life reach the database each 5 s (server.ingest.component.SEEN_EVERY_S): twice that.
_NOTED_WITHIN = timedelta(seconds=10)
_GONE = (AgentStatus.OFFLINE, AgentStatus.SILENT)
# What is raised stays while the agent is away, even if it comes and says goodbye again.
_AWAY = (*_GONE, AgentStatus.STOPPED)


class SiteDark:
    """Raises `site-dark` for an agent that is gone while it holds an active on-battery alarm; its return ends it."""

    def __init__(self, alarms: AlarmService) -> None:
        self._alarms = alarms

    async def look(self, session: WriteSession, now: datetime) -> None:
        """Job."""
        away = await fleet.agents_by_status(session, Scope.system(), _AWAY)
        gone = {agent.id: agent for agent in away if agent.status in _GONE}
        metric, state = ON_BATTERY
        for alarm in await repository.active_of_metric(session, metric, agents=list(gone)):
            agent = gone.get(alarm.agent_id or "")
            if agent is None or alarm.value != state or _may_be_back(agent, alarm, now):
                continue
            await self._alarms.raise_centre(
                session,
                customer_id=agent.customer_id,
                site_id=agent.site_id,
                rule=SITE_DARK,
                device=agent.code,
                value=alarm.device,
                now=now,
            )
        still = {(agent.site_id, agent.code) for agent in away}
        for row in await repository.active_of_centre(session, SITE_DARK.id):
            if (row.site_id, row.device) not in still:
                await self._alarms.end_centre(session, site_id=row.site_id, rule=SITE_DARK, device=row.device, now=now)


def _may_be_back(agent: Agent, alarm: Alarm, now: datetime) -> bool:
    """The alarm came after the will, just now: whether its agent lives is not noted yet."""
    since_will = agent.status is AgentStatus.OFFLINE and alarm.received_at > agent.status_since
    return since_will and now - alarm.received_at < _NOTED_WITHIN

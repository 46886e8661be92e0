"""How the alarms domain presents itself to the composition root."""

from datetime import timedelta

from rules.model import RuleSet
from server.alarms import snapshots, told
from server.alarms.centre import CentreAlarms
from server.alarms.dark import SiteDark
from server.alarms.endpoints import router
from server.alarms.evaluate import CentreRules
from server.alarms.losses import Losses, Quarantine
from server.alarms.metrics import AlarmMetrics
from server.alarms.service import AlarmService
from server.alarms.watching import TicketFinder
from server.history.store import History
from server.kit.context import Domain, Kit
from server.kit.jobs import Job


def build(
    kit: Kit,
    *,
    service: AlarmService,
    centre: CentreAlarms,
    tickets: TicketFinder,
    quarantine: Quarantine,
    rules: RuleSet,
    history: History,
) -> Domain:
    losses = Losses(service, quarantine=quarantine)
    dark = SiteDark(service)
    rules_here = CentreRules(service, rules=rules, history=history)
    metrics = AlarmMetrics(kit.metrics.registry)
    return Domain(
        name="alarms",
        api=[router],
        jobs=[
            Job("alarms.rejudge_mutes", timedelta(seconds=30), service.rejudge_mutes),
            Job("alarms.evaluate", timedelta(seconds=10), rules_here.look),
            Job("alarms.losses", timedelta(seconds=30), losses.look),
            Job("alarms.site_dark", timedelta(seconds=5), dark.look),
            Job("alarms.moved", timedelta(seconds=30), centre.end_moved),
            Job("alarms.agent_lost", timedelta(seconds=15), centre.lost_agents.look),
            Job("alarms.told", timedelta(hours=6), told.prune),
            Job("alarms.unheard", timedelta(hours=6), snapshots.prune),
            Job("alarms.figures", timedelta(seconds=15), metrics.refresh),
        ],
        services={AlarmService: service, TicketFinder: tickets},
    )

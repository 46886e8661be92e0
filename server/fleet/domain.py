"""How the fleet domain presents itself to the composition root."""

from collections.abc import Sequence

from server.fleet.endpoints import router
from server.fleet.jobs import expiry_job
from server.fleet.watch import AgentWatcher, AgentWatchers, BrokerWatcher, silence_job
from server.kit.context import Domain, Kit


def build(kit: Kit, *, watchers: Sequence[AgentWatcher], brokers: Sequence[BrokerWatcher]) -> Domain:
    return Domain(
        name="fleet",
        api=[router],
        jobs=[silence_job(watchers, brokers), expiry_job(kit.config.retention.events)],
        services={AgentWatchers: AgentWatchers(tuple(watchers))},
    )

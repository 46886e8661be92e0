"""How the pages present themselves to the composition root."""

from server.kit.context import Domain, Kit
from server.web import assets as static
from server.web import series
from server.web.pages import account, agents, alarms, assets, devices, maintenance, overview, session, tickets


def build(kit: Kit) -> Domain:
    return Domain(
        name="web",
        pages=[
            static.router,
            session.sign_in_router,
            session.router,
            account.router,
            overview.router,
            devices.router,
            agents.router,
            alarms.router,
            tickets.router,
            assets.router,
            maintenance.router,
            maintenance.json_router,
            series.router,
        ],
    )

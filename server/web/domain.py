"""How the pages present themselves to the composition root."""

from server.kit.context import Domain, Kit
from server.web import assets, series
from server.web.pages import account, devices, overview, session


def build(kit: Kit) -> Domain:
    return Domain(
        name="web",
        pages=[
            assets.router,
            session.sign_in_router,
            session.router,
            account.router,
            overview.router,
            devices.router,
            series.router,
        ],
    )

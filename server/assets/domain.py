"""How the assets domain presents itself to the composition root."""

from server.assets.endpoints import router
from server.kit.context import Domain, Kit


def build(kit: Kit) -> Domain:
    return Domain(name="assets", api=[router])

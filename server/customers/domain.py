"""How the customers domain presents itself to the composition root."""

from server.customers.endpoints import router
from server.kit.context import Domain, Kit


def build(kit: Kit) -> Domain:
    return Domain(name="customers", api=[router])

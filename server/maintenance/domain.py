"""How the maintenance domain presents itself to the composition root."""

from datetime import timedelta

from server.kit.context import Domain, Kit
from server.kit.jobs import Job
from server.maintenance.catalogue import Catalogue, load_catalogue
from server.maintenance.endpoints import router
from server.maintenance.generator import Generator
from server.maintenance.metrics import MaintenanceMetrics
from server.maintenance.orders import Orders
from server.tickets.service import TicketService


def build(kit: Kit, *, tickets: TicketService) -> Domain:
    generator = Generator(tickets=tickets, metrics=MaintenanceMetrics(kit.metrics.registry))
    return Domain(
        name="maintenance",
        api=[router],
        jobs=[Job("maintenance.generate", timedelta(minutes=1), generator.run)],
        services={Orders: Orders(tickets=tickets), Generator: generator, Catalogue: load_catalogue()},
    )

"""How the tickets domain presents itself to the composition root."""

from datetime import timedelta

from server.kit.context import Domain, Kit
from server.kit.jobs import Job
from server.tickets.alarms import AlarmTickets
from server.tickets.endpoints import router
from server.tickets.metrics import TicketMetrics
from server.tickets.service import TicketService


def build(kit: Kit, *, service: TicketService, alarm_tickets: AlarmTickets, metrics: TicketMetrics) -> Domain:
    return Domain(
        name="tickets",
        api=[router],
        jobs=[
            Job("tickets.resolve_recovered", timedelta(seconds=30), alarm_tickets.resolve_recovered),
            Job("tickets.figures", timedelta(seconds=15), metrics.refresh),
        ],
        services={TicketService: service},
    )

"""How the notify domain presents itself to the composition root."""

from server.alarms.centre import CentreAlarms
from server.kit.context import Domain, Kit
from server.notify.delivery import Delivery
from server.notify.endpoints import router
from server.notify.metrics import NotifyMetrics
from server.notify.service import TOPIC, Notifier


def build(kit: Kit, *, notifier: Notifier, alarms: CentreAlarms, metrics: NotifyMetrics) -> Domain:
    delivery = Delivery(kit, alarms=alarms, metrics=metrics)
    return Domain(name="notify", api=[router], outbox={TOPIC: delivery.send}, services={Notifier: notifier})

"""What rules are told of the devices the centre knows."""

from collections.abc import Iterable
from typing import Any

from facility.items import MAX_METERED_S
from facility.reading import PointKey
from rules.facts import DeviceFacts
from server.fleet.models import Agent


def metered(agent: Agent) -> tuple[float, float]:
    """Seconds between two sendings of readings, and between two samples of a point, by the agent's last health."""
    health = agent.health or {}
    return _span(health.get("readings_every_s")), _span(health.get("spacing_s"))


def _span(told: object) -> float:
    """Seconds of a metered link. What no agent can have stood may stand in the row of one heard of long ago."""
    return float(told) if isinstance(told, int | float) and 0 <= told <= MAX_METERED_S else 0.0


def facts_of(device: Any, points: Iterable[PointKey], *, spacing_s: float) -> DeviceFacts:
    """A device by a row of `server.fleet.repository.points_of_metrics`; spacing_s: of its agent's metered link."""
    return DeviceFacts(
        id=device.device,
        kind=device.kind,
        zone=device.zone,
        room=device.room,
        room_class=device.room_class or "",
        labels=device.labels or {},
        points=tuple(points),
        interval_s=max(device.interval_s, spacing_s),
        complete=True,
    )

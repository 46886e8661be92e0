"""What a room looks like at a glance: devices with live state and figures, put together from rows at hand. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from facility.reading import Quality
from facility.severity import Severity, worst
from facility.states import UNKNOWN
from server.alarms.models import Alarm
from server.customers.models import Room, Site
from server.fleet.models import Device, Point
from server.history.schemas import LatestOut

# The figures of a device's tile, in this order, at most MOST_VALUES of those it has.
KEY_METRICS = (
    "ups.output.source",
    "ups.output.load",
    "ups.battery.charge",
    "ups.battery.runtime",
    "crac.state",
    "crac.return_air.temperature",
    "crac.supply_air.temperature",
    "room.temperature",
    "room.humidity",
    "room.pressure.differential",
    "air.pressure.barometric",
    "leak.state",
    "smoke.state",
    "door.state",
    "power.load",
)
MOST_VALUES = 3
# The figures of a room: metric and the zone that has a figure of its own.
FIGURES = (
    ("room.temperature", "cold-aisle"),
    ("room.temperature", "hot-aisle"),
    ("room.temperature", ""),
    ("room.humidity", ""),
    ("room.pressure.differential", ""),
    ("air.pressure.barometric", ""),
    ("ups.output.load", ""),
    ("ups.battery.charge", ""),
)
_SPLIT = {"cold-aisle", "hot-aisle"}
# The low end matters for a battery, the high end for what heats up.
_LOWEST = {"ups.battery.charge", "room.pressure.differential"}


@dataclass(frozen=True, slots=True)
class Tile:
    """A device: `look` is the class of its frame: a severity, lost, silent or calm.

    unknown: it is away, by itself or with its agent: what is in alarm is so as far as is known.
    """

    device: Device
    look: str
    severity: Severity | None
    alarms: int
    values: list[LatestOut]
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A room's figure over its sensors, in base units; `shown` is the end that matters, `count` how many sensors."""

    metric: str
    zone: str
    shown: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class RoomView:
    site: Site
    room: Room | None
    severity: Severity | None
    figures: list[Figure]
    tiles: list[Tile]
    zone_counts: Mapping[str, int] = field(default_factory=dict)


def stale_after(point: Point) -> timedelta:
    """A live value older than this is not shown as live: three polls missed, or a heartbeat and a half."""
    seconds = point.heartbeat_s * 1.5 if point.heartbeat_s else max(point.interval_s * 3, 30.0)
    return timedelta(seconds=seconds)


def fresh(value: LatestOut, point: Point, now: datetime) -> bool:
    return value.quality is Quality.GOOD and value.value is not None and now - value.taken_at <= stale_after(point)


def key_points(points: Iterable[Point]) -> list[Point]:
    """The points a glance needs: the main value of each key metric, without its phases and outlets."""
    wanted = set(KEY_METRICS)
    return [point for point in points if point.active and point.metric in wanted]


def rooms_of(
    sites: Sequence[Site],
    rooms: Sequence[Room],
    devices: Sequence[Device],
    points: Sequence[Point],
    latest: Sequence[LatestOut],
    alarms: Sequence[Alarm],
    now: datetime,
    *,
    away: Collection[str] = (),
) -> list[RoomView]:
    """Rooms with devices in them, those in trouble first, then by site and code; devices in no room come last.

    away: agents (row ids) of which nothing is heard.
    """
    by_id = {point.id: point for point in points}
    values: dict[str, list[LatestOut]] = defaultdict(list)
    for value in latest:
        if fresh(value, by_id[value.point], now):
            values[value.device_id].append(value)
    troubled: dict[tuple[str, str], list[Severity]] = defaultdict(list)
    for alarm in alarms:
        troubled[alarm.site_id, alarm.device].append(alarm.severity)
    site_by_id = {site.id: site for site in sites}
    room_by_id = {room.id: room for room in rooms}
    found: dict[tuple[str, str | None], list[Device]] = defaultdict(list)
    for device in devices:
        found[device.site_id, device.room_id].append(device)
    views = []
    for (site_id, room_id), members in found.items():
        if site_id not in site_by_id:
            continue
        tiles = [
            _tile(device, values[device.id], troubled.get((site_id, device.device), []), device.agent_id in away)
            for device in sorted(members, key=lambda device: device.device)
        ]
        severities = [tile.severity for tile in tiles if tile.severity is not None]
        views.append(
            RoomView(
                site=site_by_id[site_id],
                room=room_by_id.get(room_id or ""),
                severity=worst(severities) if severities else None,
                figures=_figures(members, values),
                tiles=sorted(tiles, key=_order),
            )
        )
    return sorted(
        views,
        key=lambda view: (
            view.room is None,
            view.severity.rank if view.severity else 9,
            -len(view.tiles),
            view.site.code,
            view.room.code if view.room else "",
        ),
    )


def _order(tile: Tile) -> tuple[int, str, str]:
    looks = {"critical": 0, "major": 1, "lost": 2, "minor": 3, "info": 4, "silent": 5}
    return (looks.get(tile.look, 9), tile.device.kind, tile.device.device)


def _tile(device: Device, values: Sequence[LatestOut], severities: Sequence[Severity], away: bool) -> Tile:
    severity = worst(list(severities)) if severities else None
    look = "calm"
    if severity is not None:
        look = severity.value
    elif device.communication == "lost":
        look = "lost"
    elif away or not values or device.communication == UNKNOWN:
        look = "silent"
    return Tile(
        device, look, severity, len(severities), _main_values(values), unknown=away or device.communication == "lost"
    )


def _main_values(values: Sequence[LatestOut]) -> list[LatestOut]:
    """One value per key metric: without a subject if there is one, else the first by subject."""
    best: dict[str, LatestOut] = {}
    for value in sorted(values, key=lambda value: (value.subject != "", value.subject)):
        best.setdefault(value.metric, value)
    return [best[metric] for metric in KEY_METRICS if metric in best][:MOST_VALUES]


def _figures(devices: Sequence[Device], values: Mapping[str, Sequence[LatestOut]]) -> list[Figure]:
    collected: dict[tuple[str, str], list[float]] = defaultdict(list)
    for device in devices:
        zone = device.zone if device.zone in _SPLIT else ""
        for value in values.get(device.id, ()):
            if isinstance(value.value, float):
                key = zone if value.metric == "room.temperature" else ""
                collected[value.metric, key].append(value.value)
    figures = []
    for metric, zone in FIGURES:
        numbers = collected.get((metric, zone))
        if numbers:
            low, high = min(numbers), max(numbers)
            shown = low if metric in _LOWEST else high
            if metric == "room.humidity":
                shown = sum(numbers) / len(numbers)
            figures.append(Figure(metric, zone, shown, low, high, len(numbers)))
    return figures

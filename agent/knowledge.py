"""What the agent knows it has: the catalog for the centre and the facts for the rules, from the devices' own points.

Some points are known only after a device was walked. A new one changes both; to keep a starting site from writing a
catalog for each of its devices, a change is published once nothing new came for a moment.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Protocol

from msgspec import UNSET

from agent import VERSION
from agent.journal import fits
from agent.site import Site, SiteDevice
from collectors.convert import PointInfo
from facility.catalog import Catalog, CatalogDevice, CatalogPoint
from facility.metrics import metric
from facility.reading import PointKey, Reading
from rules.engine import Engine

log = logging.getLogger(__name__)

Say = Callable[[str, dict[str, str]], None]

# The first polls of a site come within one interval; a catalog every two seconds meanwhile is enough.
SETTLE_S = 2.0


class KnowsPoints(Protocol):
    """What is asked of a device's poller."""

    complete: bool

    @property
    def forgotten(self) -> int: ...

    def points(self) -> list[PointInfo]: ...


def points_of(pollers: Mapping[str, KnowsPoints]) -> dict[str, list[PointKey]]:
    """The points known so far, by device."""
    return {
        device: [PointKey(device, point.metric, point.subject) for point in poller.points()]
        for device, poller in pollers.items()
    }


def complete_of(pollers: Mapping[str, KnowsPoints]) -> set[str]:
    """The devices whose points are all known."""
    return {device for device, poller in pollers.items() if poller.complete}


def catalog_of(site: Site, pollers: Mapping[str, KnowsPoints], engine: Engine) -> Catalog:
    """The catalog of a site as it is known now."""
    # A revision is a hash of the whole profile, and a site has many devices of few profiles.
    profiles = {device.profile.id: device.profile for device in site.devices}
    revisions = {key: profile.revision for key, profile in profiles.items()}
    return Catalog(
        agent_version=VERSION,
        config_digest=site.loaded.digest,
        devices=tuple(
            _device(site, device, revisions[device.profile.id], pollers[device.id], engine) for device in site.devices
        ),
        rules=tuple(engine.describe()),
    )


def _device(site: Site, device: SiteDevice, revision: str, poller: KnowsPoints, engine: Engine) -> CatalogDevice:
    config, profile, polled = device.config, device.profile, device.polled
    return CatalogDevice(
        id=config.id,
        kind=device.kind,
        name_en=config.name.en,
        name_zh=config.name.zh,
        profile=profile.id,
        profile_revision=revision,
        protocol=profile.protocol,
        address=str(polled.target),
        vendor=profile.vendor,
        model=profile.model,
        room=config.room or "",
        zone=config.zone,
        rack=config.rack,
        interval_s=polled.interval_s,
        points=tuple(
            CatalogPoint(
                metric=point.metric,
                subject=point.subject,
                unit=metric(point.metric).unit,
                label_en=point.en,
                label_zh=point.zh,
                interval_s=polled.interval_s,
            )
            for point in poller.points()
        ),
        rules=engine.rules_for(config.id),
        partial=UNSET if poller.complete else True,
        room_class=site.room_class(config.room) or UNSET,
        labels=config.labels or UNSET,
    )


class TooLarge(StrEnum):
    """What became of a catalog that no block can hold."""

    WITHOUT_POINTS = "without_points"  # of its devices and rules alone: the centre learns the points from readings
    NOT_SENT = "not_sent"  # readings name no catalog: the centre takes those of the devices it knows


def carried(catalog: Catalog, say: Say) -> Catalog | None:
    """What the wire carries of a catalog: all, else all but the points, else nothing. What is left out is said."""
    if fits(catalog):
        return catalog
    less = replace(catalog, devices=tuple(replace(device, points=(), partial=True) for device in catalog.devices))
    found, reason = (less, TooLarge.WITHOUT_POINTS) if fits(less) else (None, TooLarge.NOT_SENT)
    points = sum(len(device.points) for device in catalog.devices)
    detail = {"reason": reason.value, "devices": str(len(catalog.devices)), "points": str(points)}
    log.error("the catalog is too large for the wire", extra=detail)
    say("catalog_too_large", detail)
    return found


class Watcher:
    """Notices readings of points that nobody knew, and devices that have answered in full."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str, str]] = set()
        self._complete: set[str] = set()
        self._forgotten = 0
        self._new = 0
        self._last = (0, 0)

    def knows(self, pollers: Mapping[str, KnowsPoints]) -> None:
        """What these have is published. What was seen and is none of theirs (the agent's own words) stays no news."""
        for keys in points_of(pollers).values():
            self._known.update((key.device, key.metric, key.subject) for key in keys)
        self._complete = complete_of(pollers)
        self._new, self._last = 0, (0, 0)

    def seen(self, readings: Sequence[Reading]) -> None:
        for reading in readings:
            key = (reading.device, reading.metric, reading.subject)
            if key not in self._known:
                self._known.add(key)
                self._new += 1

    def settled(self, pollers: Mapping[str, KnowsPoints]) -> bool:
        """Whether there is news, and none came since this was asked before; or points were forgotten.

        A point that was forgotten is news when it returns.
        """
        forgotten = sum(poller.forgotten for poller in pollers.values())
        if forgotten != self._forgotten:
            self._forgotten = forgotten
            self._known.clear()
            return True
        now = (self._new, len(complete_of(pollers) - self._complete))
        last, self._last = self._last, now
        return now == last and now != (0, 0)

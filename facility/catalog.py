"""The catalog: what an agent has. From it the centre learns devices, points and thresholds.

So the centre needs neither profile files nor the rule library, and a chart can draw the threshold an alarm was judged
by. Its digest is the name blocks refer to it by.
"""

import hashlib
from dataclasses import dataclass, field

import msgspec

from facility.severity import Severity


@dataclass(frozen=True, slots=True)
class CatalogPoint:
    """A point as the agent reads it. Unit is the base unit's symbol of the register; interval in seconds.

    dead_band and heartbeat_s are None unless report by exception is on for the point.
    """

    metric: str
    subject: str = ""
    unit: str = "1"
    label_en: str = ""
    label_zh: str = ""
    interval_s: float = 0.0
    dead_band: float | None = None
    heartbeat_s: float | None = None


@dataclass(frozen=True, slots=True)
class CatalogDevice:
    """A device with its profile and where it stands. Names, rooms and racks are attributes: only `id` is identity.

    partial: True while the device has not answered in full since the agent started, so that it may have more points
    than are listed; left out otherwise. room_class and labels are what rules may choose devices by (`rules.facts`),
    left out where nobody said any.
    """

    id: str
    kind: str
    name_en: str = ""
    name_zh: str = ""
    profile: str = ""
    profile_revision: str = ""
    protocol: str = ""
    address: str = ""
    vendor: str = ""
    model: str = ""
    serial: str = ""
    room: str = ""
    zone: str = ""
    rack: str = ""
    interval_s: float = 0.0
    points: tuple[CatalogPoint, ...] = ()
    rules: tuple[str, ...] = ()
    partial: bool | msgspec.UnsetType = msgspec.UNSET
    room_class: str | msgspec.UnsetType = msgspec.UNSET
    labels: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class CatalogLevel:
    """A level of a rule. side: high, low, state, rate or absent; limit: a number in base units, or words."""

    id: str
    side: str
    severity: Severity
    limit: float | str | None
    clear: float | None = None


@dataclass(frozen=True, slots=True)
class CatalogRule:
    """A rule as the agent judges it, for people and charts: titles, levels, delays and the source of its thresholds."""

    id: str
    revision: str
    metric: str
    title_en: str
    title_zh: str
    source: str
    levels: tuple[CatalogLevel, ...]
    for_s: float = 0.0
    clear_for_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything an agent has at one moment. `agent_version` is the program's, `config_digest` its configuration's."""

    agent_version: str
    config_digest: str = ""
    devices: tuple[CatalogDevice, ...] = ()
    rules: tuple[CatalogRule, ...] = field(default=())

    def digest(self) -> str:
        """32 hex digits naming this content: equal catalogs have equal digests, whatever process made them."""
        body = msgspec.json.encode(self, order="deterministic")
        return hashlib.blake2b(body, digest_size=16).hexdigest()

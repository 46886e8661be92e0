"""What the API takes and shows of fleet. Sites and devices appear under the names people and agents use."""

from datetime import datetime
from typing import Any

from server.fleet.drops import by_reason, thinned
from server.fleet.models import Agent, AgentStatus, Device, Point, Rule
from server.kit.schemas import Body, Shown, Slug


class AgentIn(Body):
    site: str
    code: Slug


class AgentOut(Shown):
    id: str
    code: str
    site: str
    site_id: str
    version: str
    status: AgentStatus
    status_since: datetime
    last_seen_at: datetime | None
    clock_offset_ms: int | None
    config_digest: str
    catalog_digest: str
    health_at: datetime | None
    health: dict[str, Any]
    drops: dict[str, int]
    thinned: int

    @classmethod
    def of(cls, row: Agent) -> "AgentOut":
        return cls(
            id=row.id,
            code=row.code,
            site=row.site.code,
            site_id=row.site_id,
            version=row.version,
            status=row.status,
            status_since=row.status_since,
            last_seen_at=row.last_seen_at,
            clock_offset_ms=row.clock_offset_ms,
            config_digest=row.config_digest,
            catalog_digest=row.catalog_digest,
            health_at=row.health_at,
            health=row.health or {},
            drops=by_reason(row.drops),
            thinned=thinned(row.drops),
        )


class RuleOut(Shown):
    rule: str
    revision: str
    metric: str
    title_en: str
    title_zh: str
    source: str
    levels: list[dict[str, Any]]
    for_s: float
    clear_for_s: float

    @classmethod
    def of(cls, row: Rule) -> "RuleOut":
        return cls.model_validate(row)


class DeviceOut(Shown):
    """`id` is the row's, `device` the identity within the site."""

    id: str
    device: str
    site: str
    site_id: str
    agent: str
    agent_id: str
    kind: str
    name_en: str
    name_zh: str
    profile: str
    protocol: str
    address: str
    vendor: str
    model: str
    serial: str
    room: str
    room_id: str | None
    zone: str
    rack: str
    interval_s: float
    communication: str
    last_seen_at: datetime | None
    active: bool

    @classmethod
    def of(cls, row: Device) -> "DeviceOut":
        return cls(**_device_fields(row))


def _device_fields(row: Device) -> dict[str, Any]:
    plain = "id device site_id agent_id kind name_en name_zh profile protocol address vendor model serial room room_id"
    plain += " zone rack interval_s communication last_seen_at active"
    fields = {name: getattr(row, name) for name in plain.split()}
    return {**fields, "site": row.site.code, "agent": row.agent.code}


class PointOut(Shown):
    """`device` is the device id within the site, `device_id` the row's."""

    id: str
    site: str
    site_id: str
    device: str
    device_id: str
    metric: str
    subject: str
    unit: str
    label_en: str
    label_zh: str
    interval_s: float
    dead_band: float | None
    heartbeat_s: float | None
    active: bool

    @classmethod
    def of(cls, row: Point) -> "PointOut":
        plain = "id site_id device_id metric subject unit label_en label_zh interval_s dead_band heartbeat_s active"
        fields = {name: getattr(row, name) for name in plain.split()}
        return cls(**fields, site=row.site.code, device=row.device.device)


class DeviceDetail(DeviceOut):
    points: list[PointOut]
    rules: list[RuleOut]

    @classmethod
    def with_parts(cls, row: Device, points: list[Point], rules: list[Rule]) -> "DeviceDetail":
        return cls(
            **_device_fields(row),
            points=[PointOut.of(point) for point in points],
            rules=[RuleOut.of(rule) for rule in rules],
        )


class EventOut(Shown):
    id: str
    site_id: str
    agent_id: str
    device: str
    kind: str
    at: datetime
    recorded_at: datetime
    payload: dict[str, Any]

"""Tables of fleet. A device is known by (site, device id) and outlives the agent that polls it."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from server.customers.models import Room, Site
from server.db.base import Base, Json, JsonOrNull, PrimaryId
from server.db.types import str_enum
from server.kit.events import EventRow
from server.kit.scope import SiteScoped


class AgentStatus(StrEnum):
    """What the centre believes of an agent. STOPPED: it said goodbye itself; OFFLINE: its last will says so. SILENT is
    the centre's own word: nothing came for three periods. RETIRED is a person's: nothing is to come any more.
    """

    NEVER = "never"
    ONLINE = "online"
    OFFLINE = "offline"
    STOPPED = "stopped"
    SILENT = "silent"
    RETIRED = "retired"


class Agent(SiteScoped, Base):
    """A program at a site. `code` is its topic level and the origin of its alarms; unique in its site.

    returned_at: when its newest silence ended. clock_offset_ms: its newest health time minus ours on arrival (network
    delay included). drops are totals the agent counts itself, by stream and reason; what it thinned out is among them.
    (catalog_stream, catalog_seq) say which block made the catalog active.
    """

    __tablename__ = "agents"

    id: Mapped[PrimaryId]
    code: Mapped[str] = mapped_column(sa.String(63))
    version: Mapped[str] = mapped_column(sa.String(64))
    status: Mapped[AgentStatus] = mapped_column(str_enum(AgentStatus, "status"))
    status_since: Mapped[datetime]
    returned_at: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]
    clock_offset_ms: Mapped[int | None] = mapped_column(sa.BigInteger)
    config_digest: Mapped[str] = mapped_column(sa.String(64))
    catalog_digest: Mapped[str] = mapped_column(sa.String(32))
    catalog_stream: Mapped[str] = mapped_column(sa.String(36))
    catalog_seq: Mapped[int] = mapped_column(sa.BigInteger)
    health: Mapped[JsonOrNull]
    health_at: Mapped[datetime | None]
    drops: Mapped[Json]
    created_at: Mapped[datetime]

    site: Mapped[Site] = relationship(lazy="raise")

    __table_args__ = (sa.UniqueConstraint("site_id", "code"),)


class AgentCatalog(Base):
    """A catalog an agent announced, by digest, as it came."""

    __tablename__ = "agent_catalogs"

    agent_id: Mapped[str] = mapped_column(sa.String(36), sa.ForeignKey("agents.id"), primary_key=True)
    digest: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    received_at: Mapped[datetime]
    body: Mapped[Json]


class AgentOpening(Base):
    """An opening of an agent's journal, named by its stream; the greatest number was heard of last."""

    __tablename__ = "agent_openings"

    agent_id: Mapped[str] = mapped_column(sa.String(36), sa.ForeignKey("agents.id"), primary_key=True)
    stream: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    number: Mapped[int] = mapped_column(sa.BigInteger)


class Device(SiteScoped, Base):
    """Something polled. `device` is its id within the site, given once; everything else is an attribute.

    communication (spoken at communication_at; unknown while its agent is silent) and last_seen_at follow the readings
    with a small delay; `room` is the code the agent says,
    `room_id` the room it stands for (None when the code is no room's). room_class and labels are what rules choose by,
    None where the agent says none.
    """

    __tablename__ = "devices"

    id: Mapped[PrimaryId]
    device: Mapped[str] = mapped_column(sa.String(63))
    agent_id: Mapped[str] = mapped_column(sa.String(36), sa.ForeignKey("agents.id"), index=True)
    kind: Mapped[str] = mapped_column(sa.String(63))
    name_en: Mapped[str] = mapped_column(sa.String(200))
    name_zh: Mapped[str] = mapped_column(sa.String(200))
    profile: Mapped[str] = mapped_column(sa.String(200))
    profile_revision: Mapped[str] = mapped_column(sa.String(64))
    protocol: Mapped[str] = mapped_column(sa.String(63))
    address: Mapped[str] = mapped_column(sa.String(200))
    vendor: Mapped[str] = mapped_column(sa.String(200))
    model: Mapped[str] = mapped_column(sa.String(200))
    serial: Mapped[str] = mapped_column(sa.String(200))
    room: Mapped[str] = mapped_column(sa.String(63))
    room_id: Mapped[str | None] = mapped_column(sa.String(36), sa.ForeignKey("rooms.id"), index=True)
    zone: Mapped[str] = mapped_column(sa.String(200))
    rack: Mapped[str] = mapped_column(sa.String(200))
    room_class: Mapped[str | None] = mapped_column(sa.String(63))
    labels: Mapped[JsonOrNull]
    interval_s: Mapped[float]
    rules: Mapped[Json]
    communication: Mapped[str] = mapped_column(sa.String(32))
    communication_at: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]
    active: Mapped[bool]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    site: Mapped[Site] = relationship(lazy="raise")
    agent: Mapped[Agent] = relationship(lazy="raise")
    room_row: Mapped[Room | None] = relationship(lazy="raise")

    __table_args__ = (sa.UniqueConstraint("site_id", "device"),)


class Point(SiteScoped, Base):
    """One measured value of a device. Its id names the series in history for ever."""

    __tablename__ = "points"

    id: Mapped[PrimaryId]
    device_id: Mapped[str] = mapped_column(sa.String(36), sa.ForeignKey("devices.id"))
    metric: Mapped[str] = mapped_column(sa.String(120))
    subject: Mapped[str] = mapped_column(sa.String(120))
    unit: Mapped[str] = mapped_column(sa.String(16))
    label_en: Mapped[str] = mapped_column(sa.String(200))
    label_zh: Mapped[str] = mapped_column(sa.String(200))
    interval_s: Mapped[float]
    dead_band: Mapped[float | None]
    heartbeat_s: Mapped[float | None]
    active: Mapped[bool]

    device: Mapped[Device] = relationship(lazy="raise")
    site: Mapped[Site] = relationship(lazy="raise")

    __table_args__ = (sa.UniqueConstraint("device_id", "metric", "subject"),)


class Rule(SiteScoped, Base):
    """A rule revision as an agent judged by it; older revisions stay so that old alarms keep their thresholds."""

    __tablename__ = "agent_rules"

    id: Mapped[PrimaryId]
    agent_id: Mapped[str] = mapped_column(sa.String(36), sa.ForeignKey("agents.id"))
    rule: Mapped[str] = mapped_column(sa.String(120))
    revision: Mapped[str] = mapped_column(sa.String(64))
    metric: Mapped[str] = mapped_column(sa.String(120))
    title_en: Mapped[str] = mapped_column(sa.String(200))
    title_zh: Mapped[str] = mapped_column(sa.String(200))
    source: Mapped[str] = mapped_column(sa.String(500))
    levels: Mapped[Json]
    for_s: Mapped[float]
    clear_for_s: Mapped[float]
    active: Mapped[bool]

    __table_args__ = (sa.UniqueConstraint("agent_id", "rule", "revision"),)


class AgentEvent(SiteScoped, EventRow, Base):
    """A trap, a reboot, a clock step: something that happened and is no alarm. `device` is "" for the agent itself."""

    __tablename__ = "agent_events"

    agent_id: Mapped[str] = mapped_column(sa.String(36), sa.ForeignKey("agents.id"), index=True)
    device: Mapped[str] = mapped_column(sa.String(63))

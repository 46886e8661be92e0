"""The table of assets. Nothing is deleted: what left the room is inactive, and names what took its place."""

from datetime import date, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from server.customers.models import Room, Site
from server.db.base import Base, PrimaryId
from server.db.types import str_enum
from server.kit.scope import SiteScoped
from server.kit.versioned import Versioned


class AssetCategory(StrEnum):
    UPS = "ups"
    BATTERY = "battery"
    CRAC = "crac"
    SENSOR = "sensor"
    PDU = "pdu"
    GENERATOR = "generator"
    FIRE = "fire"
    OTHER = "other"


class Asset(SiteScoped, Versioned, Base):
    """Something that is looked after. `device` is the id under which the site's agent polls it, where it is polled.

    `warranty_end` is kept as computed from `accepted_on` and `warranty_months`, so that the database can search it; it
    is the last day, inclusive, by the site's calendar. `replaced_by_id` leads along the chain to what stands there now.
    """

    __tablename__ = "assets"

    id: Mapped[PrimaryId]
    room_id: Mapped[str | None] = mapped_column(sa.String(36), sa.ForeignKey("rooms.id"), index=True)
    device: Mapped[str | None] = mapped_column(sa.String(63))
    category: Mapped[AssetCategory] = mapped_column(str_enum(AssetCategory, "category"))
    name_en: Mapped[str] = mapped_column(sa.String(200))
    name_zh: Mapped[str] = mapped_column(sa.String(200))
    vendor: Mapped[str] = mapped_column(sa.String(200))
    model: Mapped[str] = mapped_column(sa.String(200))
    serial: Mapped[str] = mapped_column(sa.String(200))
    supplier: Mapped[str] = mapped_column(sa.String(200))
    notes: Mapped[str] = mapped_column(sa.String(2000))
    installed_on: Mapped[date | None] = mapped_column(sa.Date)
    accepted_on: Mapped[date | None] = mapped_column(sa.Date)
    warranty_months: Mapped[int]
    warranty_end: Mapped[date | None] = mapped_column(sa.Date, index=True)
    active: Mapped[bool]
    replaced_by_id: Mapped[str | None] = mapped_column(sa.String(36), sa.ForeignKey("assets.id"), unique=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    site: Mapped[Site] = relationship(lazy="raise")
    room: Mapped[Room | None] = relationship(lazy="raise")

    __table_args__ = (sa.Index(None, "site_id", "device"), sa.Index(None, "site_id", "category"))

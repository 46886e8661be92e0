"""Customers, sites, rooms and contacts. Nothing is deleted: what is no longer served is made inactive."""

from datetime import datetime
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from server.db.base import Base, PrimaryId
from server.kit.scope import ANY_SITE, CustomerScoped, SiteScoped
from server.kit.versioned import Versioned


class Customer(Versioned, Base):
    """Who owns machine rooms and pays for their care. `code` is the short name people type; it never changes."""

    __tablename__ = "customers"
    scope_customer: ClassVar[str] = "id"
    scope_site: ClassVar[str] = ANY_SITE

    id: Mapped[PrimaryId]
    code: Mapped[str] = mapped_column(sa.String(63), unique=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    active: Mapped[bool]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Site(CustomerScoped, Versioned, Base):
    """A place with machine rooms. `code` is the site of agents' topics and device keys, unique over all customers."""

    __tablename__ = "sites"
    scope_site: ClassVar[str] = "id"

    id: Mapped[PrimaryId]
    code: Mapped[str] = mapped_column(sa.String(63), unique=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    region: Mapped[str] = mapped_column(sa.String(100))
    zone: Mapped[str] = mapped_column(sa.String(64))
    address: Mapped[str] = mapped_column(sa.String(500))
    active: Mapped[bool]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    customer: Mapped[Customer] = relationship(lazy="raise")


class Room(SiteScoped, Versioned, Base):
    """A machine room. `code` is unique in its site; `thresholds` names a rule set such as `gb50174-2017`."""

    __tablename__ = "rooms"

    id: Mapped[PrimaryId]
    code: Mapped[str] = mapped_column(sa.String(63))
    name: Mapped[str] = mapped_column(sa.String(200))
    thresholds: Mapped[str] = mapped_column(sa.String(63))
    active: Mapped[bool]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    site: Mapped[Site] = relationship(lazy="raise")

    __table_args__ = (sa.UniqueConstraint("site_id", "code"),)


class Contact(CustomerScoped, Versioned, Base):
    """Whom to call at a customer, or at one of its sites when `site_id` is set."""

    __tablename__ = "contacts"
    scope_site: ClassVar[str] = "site_id"

    id: Mapped[PrimaryId]
    site_id: Mapped[str | None] = mapped_column(sa.String(36), sa.ForeignKey("sites.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    duty: Mapped[str] = mapped_column(sa.String(100))
    phone: Mapped[str] = mapped_column(sa.String(50))
    email: Mapped[str] = mapped_column(sa.String(200))
    active: Mapped[bool]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

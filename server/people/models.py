"""Users, browser sessions, API tokens and the memory of failed sign-ins. Secrets are stored as digests only."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from server.db.base import Base, Json, JsonOrNull, PrimaryId
from server.db.types import ID_LENGTH
from server.kit.versioned import Versioned


class User(Versioned, Base):
    """A person. `roles` is a list of role names; `customers` and `sites` are lists of ids, null for no limit.

    `notify_url` is an Apprise URL and holds credentials: it is written by the API and never shown again.
    """

    __tablename__ = "users"

    id: Mapped[PrimaryId]
    login: Mapped[str] = mapped_column(sa.String(63), unique=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    email: Mapped[str] = mapped_column(sa.String(200))
    phone: Mapped[str] = mapped_column(sa.String(50))
    password_hash: Mapped[str | None] = mapped_column(sa.String(200))
    roles: Mapped[Json]
    customers: Mapped[JsonOrNull]
    sites: Mapped[JsonOrNull]
    language: Mapped[str] = mapped_column(sa.String(16))
    zone: Mapped[str] = mapped_column(sa.String(64))
    notify_url: Mapped[str | None] = mapped_column(sa.String(1000))
    active: Mapped[bool]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class LoginSession(Base):
    """A signed-in browser. `id` is the digest of the cookie's token."""

    __tablename__ = "login_sessions"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    address: Mapped[str] = mapped_column(sa.String(64))
    user_agent: Mapped[str] = mapped_column(sa.String(200))

    user: Mapped[User] = relationship(lazy="raise")


class ApiToken(Base):
    """A bearer token of a user. Its roles and scope can only narrow the user's; null means as the user."""

    __tablename__ = "api_tokens"

    id: Mapped[PrimaryId]
    user_id: Mapped[str] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    digest: Mapped[str] = mapped_column(sa.String(64), unique=True)
    roles: Mapped[JsonOrNull]
    customers: Mapped[JsonOrNull]
    sites: Mapped[JsonOrNull]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(lazy="raise")


class LoginFailures(Base):
    """Wrong sign-ins of one key (a login name or an address) since they began."""

    __tablename__ = "login_failures"

    key: Mapped[str] = mapped_column(sa.String(200), primary_key=True)
    count: Mapped[int]
    last_at: Mapped[datetime]
    blocked_until: Mapped[datetime | None]

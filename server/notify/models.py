"""Tables of notify: what each person wants to be told, and what was told to whom."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from facility.severity import Severity
from server.customers.models import Site
from server.db.base import Base, PrimaryId
from server.db.types import ID_LENGTH, str_enum
from server.kit.scope import SiteScoped
from server.notify.notices import NoticeKind
from server.notify.recipients import NotificationState, Wanted
from server.people.models import User


class NotifySetting(Base):
    """What a person wants instead of what their roles make of it."""

    __tablename__ = "notify_settings"

    user_id: Mapped[str] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("users.id"), primary_key=True)
    wanted: Mapped[Wanted] = mapped_column(str_enum(Wanted, "wanted"))
    updated_at: Mapped[datetime]


class Notification(SiteScoped, Base):
    """One message to one person. `event` is what is told; (event, user) is unique, so nothing is told twice.

    The text is written when the thing happens, in the person's language. `rolled_into` is the roll-up that counts it.
    """

    __tablename__ = "notifications"

    id: Mapped[PrimaryId]
    user_id: Mapped[str] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("users.id"))
    event: Mapped[str] = mapped_column(sa.String(120))
    kind: Mapped[NoticeKind] = mapped_column(str_enum(NoticeKind, "kind"))
    severity: Mapped[Severity] = mapped_column(str_enum(Severity, "severity"))
    ticket_id: Mapped[str | None] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("tickets.id"))
    alarm_id: Mapped[str | None] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("alarms.id"))
    title: Mapped[str] = mapped_column(sa.String(500))
    body: Mapped[str] = mapped_column(sa.Text)
    state: Mapped[NotificationState] = mapped_column(str_enum(NotificationState, "state"))
    attempts: Mapped[int]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(sa.String(500))
    rolled_into: Mapped[str | None] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("notifications.id"))

    user: Mapped[User] = relationship(lazy="raise")
    site: Mapped[Site] = relationship(lazy="raise")

    __table_args__ = (
        sa.UniqueConstraint("event", "user_id"),
        sa.Index("ix_notifications_created_at_id", "created_at", "id"),
        sa.Index("ix_notifications_user_id_created_at", "user_id", "created_at"),
        sa.Index("ix_notifications_rolled_into", "rolled_into"),
    )

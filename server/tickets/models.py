"""Tables of tickets. `ticket_events` is the truth; the state columns of `tickets` are its summary."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from facility.severity import Severity
from server.customers.models import Site
from server.db.base import Base, PrimaryId
from server.db.types import ID_LENGTH, str_enum
from server.kit.events import EventRow
from server.kit.scope import SiteScoped
from server.kit.versioned import Versioned
from server.people.models import User
from server.tickets.states import TicketKind, TicketState

_OPEN = sa.text("state <> 'resolved' AND state <> 'closed'")


class Ticket(SiteScoped, Versioned, Base):
    """One piece of work. `number` is what people say; `source_key` makes opening it twice impossible.

    `previous_id` is the ticket the same trouble had before; the columns from `state` on follow from the log.
    """

    __tablename__ = "tickets"

    id: Mapped[PrimaryId]
    number: Mapped[str] = mapped_column(sa.String(20), unique=True)
    kind: Mapped[TicketKind] = mapped_column(str_enum(TicketKind, "kind"))
    title_en: Mapped[str] = mapped_column(sa.String(500))
    title_zh: Mapped[str] = mapped_column(sa.String(500))
    description: Mapped[str] = mapped_column(sa.Text)
    device: Mapped[str] = mapped_column(sa.String(63))
    rule: Mapped[str] = mapped_column(sa.String(120))
    subject: Mapped[str] = mapped_column(sa.String(120))
    alarm_key_id: Mapped[str | None] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("alarm_keys.id"))
    previous_id: Mapped[str | None] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("tickets.id"))
    source_key: Mapped[str | None] = mapped_column(sa.String(200), unique=True)
    opened_at: Mapped[datetime]
    opened_by: Mapped[str] = mapped_column(sa.String(64))
    due_at: Mapped[datetime | None]
    state: Mapped[TicketState] = mapped_column(str_enum(TicketState, "state"))
    severity: Mapped[Severity] = mapped_column(str_enum(Severity, "severity"))
    owner_id: Mapped[str | None] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("users.id"))
    acknowledged_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    resolution: Mapped[str | None] = mapped_column(sa.Text)
    auto_resolve_at: Mapped[datetime | None]
    reopened: Mapped[int]
    last_seq: Mapped[int]

    site: Mapped[Site] = relationship(lazy="raise")
    owner: Mapped[User | None] = relationship(lazy="raise")

    __table_args__ = (
        sa.Index("ix_tickets_opened_at_id", "opened_at", "id"),
        sa.Index("ix_tickets_alarm_key_id_opened_at", "alarm_key_id", "opened_at"),
        sa.Index("ix_tickets_auto_resolve_at", "auto_resolve_at"),
        # At most one open ticket of an alarm key, whatever races, retries or restarts there are.
        sa.Index(
            "uq_tickets_open_alarm_key_id",
            "alarm_key_id",
            unique=True,
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
    )


class TicketAlarm(Base):
    """An occurrence a ticket is about."""

    __tablename__ = "ticket_alarms"

    ticket_id: Mapped[str] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("tickets.id"), primary_key=True)
    alarm_id: Mapped[str] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("alarms.id"), primary_key=True)

    __table_args__ = (sa.Index("ix_ticket_alarms_alarm_id", "alarm_id"),)


class TicketEvent(SiteScoped, EventRow, Base):
    """One thing that happened to a ticket; `seq` counts from 1 without gaps. `actor_name` is as it was then."""

    __tablename__ = "ticket_events"

    ticket_id: Mapped[str] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("tickets.id"))
    seq: Mapped[int]
    actor_name: Mapped[str] = mapped_column(sa.String(200))

    __table_args__ = (sa.UniqueConstraint("ticket_id", "seq"),)


class TicketNumber(Base):
    """The last number given in a year."""

    __tablename__ = "ticket_numbers"

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int]

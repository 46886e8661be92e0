"""Tables of alarms. `alarm_events` is the truth; a row of `alarms` is its fold, written in the same transaction."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from facility.alarms import EndReason
from facility.severity import Severity
from server.alarms.lifecycle import AlarmState, Arrival
from server.customers.models import Site
from server.db.base import Base, JsonOrNull, PrimaryId
from server.db.types import ID_LENGTH, str_enum
from server.kit.events import EventRow
from server.kit.scope import SiteScoped

MAX_LEVEL = 32


class AlarmKeyRow(SiteScoped, Base):
    """One problem that may come and go. Its row is what transactions lock before they touch the key's alarms."""

    __tablename__ = "alarm_keys"

    id: Mapped[PrimaryId]
    origin: Mapped[str] = mapped_column(sa.String(63))
    device: Mapped[str] = mapped_column(sa.String(63))
    rule: Mapped[str] = mapped_column(sa.String(120))
    subject: Mapped[str] = mapped_column(sa.String(120))

    __table_args__ = (sa.UniqueConstraint("site_id", "origin", "device", "rule", "subject"),)


class Alarm(SiteScoped, Base):
    """One occurrence; `id` is the occurrence's UUID.

    Names and titles are those of the time it came, so a later renaming does not rewrite history. `value` and
    `limit_value` are a number in the metric's base unit or a state word. `muted_because` is the reason of the mute it
    is under. `succeeded_at`, `orphaned_at`, `retired_at` and `seen_at` are `lifecycle.Marks`.
    """

    __tablename__ = "alarms"

    id: Mapped[PrimaryId]
    key_id: Mapped[str] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("alarm_keys.id"))
    agent_id: Mapped[str | None] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("agents.id"))
    origin: Mapped[str] = mapped_column(sa.String(63))
    device: Mapped[str] = mapped_column(sa.String(63))
    rule: Mapped[str] = mapped_column(sa.String(120))
    subject: Mapped[str] = mapped_column(sa.String(120))
    metric: Mapped[str] = mapped_column(sa.String(120))
    device_en: Mapped[str] = mapped_column(sa.String(200))
    device_zh: Mapped[str] = mapped_column(sa.String(200))
    rule_en: Mapped[str] = mapped_column(sa.String(200))
    rule_zh: Mapped[str] = mapped_column(sa.String(200))
    room: Mapped[str] = mapped_column(sa.String(200))
    rule_revision: Mapped[str] = mapped_column(sa.String(64))
    level: Mapped[str] = mapped_column(sa.String(MAX_LEVEL))
    severity: Mapped[Severity] = mapped_column(str_enum(Severity, "severity"))
    worst_severity: Mapped[Severity] = mapped_column(str_enum(Severity, "worst_severity"))
    value: Mapped[JsonOrNull]
    limit_value: Mapped[JsonOrNull]
    active: Mapped[bool]
    state: Mapped[AlarmState] = mapped_column(str_enum(AlarmState, "state"))
    revision: Mapped[int]
    arrival: Mapped[Arrival] = mapped_column(str_enum(Arrival, "arrival"))
    raised_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[EndReason | None] = mapped_column(str_enum(EndReason, "end_reason"))
    received_at: Mapped[datetime]
    acked_at: Mapped[datetime | None]
    acked_by: Mapped[str | None] = mapped_column(sa.String(64))
    acked_name: Mapped[str | None] = mapped_column(sa.String(200))
    ack_note: Mapped[str | None] = mapped_column(sa.String(1000))
    muted_because: Mapped[str | None] = mapped_column(sa.String(64))
    succeeded_at: Mapped[datetime | None]
    orphaned_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]
    last_seq: Mapped[int]

    site: Mapped[Site] = relationship(lazy="raise")

    __table_args__ = (
        sa.Index("ix_alarms_key_id_id", "key_id", "id"),
        sa.Index("ix_alarms_raised_at_id", "raised_at", "id"),
        sa.Index("ix_alarms_site_id_device", "site_id", "device"),
        # At most one active occurrence of a key; the lock on the key keeps it, this proves it.
        sa.Index(
            "uq_alarms_active_key_id",
            "key_id",
            unique=True,
            sqlite_where=sa.text("active"),
            postgresql_where=sa.text("active"),
        ),
    )


class AlarmEvent(SiteScoped, EventRow, Base):
    """What happened to an occurrence: its revisions (`revision` set), and acknowledgements, mutes, supersessions.

    `seq` counts from 1 in the order of recording.
    """

    __tablename__ = "alarm_events"

    alarm_id: Mapped[str] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("alarms.id"))
    seq: Mapped[int]
    revision: Mapped[int | None]

    __table_args__ = (sa.UniqueConstraint("alarm_id", "seq"), sa.UniqueConstraint("alarm_id", "revision"))


class AlarmTold(SiteScoped, Base):
    """An agent told people of an occurrence by itself, up to this severity; the occurrence need not be here yet."""

    __tablename__ = "alarm_told"

    id: Mapped[PrimaryId]
    origin: Mapped[str] = mapped_column(sa.String(63))
    occurrence: Mapped[str] = mapped_column(sa.String(ID_LENGTH), index=True)
    channel: Mapped[str] = mapped_column(sa.String(63))
    target: Mapped[str] = mapped_column(sa.String(32))
    severity: Mapped[Severity] = mapped_column(str_enum(Severity, "severity"))
    at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = (sa.UniqueConstraint("site_id", "origin", "occurrence", "channel"),)


class UnheardAlarm(SiteScoped, Base):
    """An occurrence that an agent holds and of which nothing else came. at: of the newest snapshot that held it;
    recorded_at: when the centre heard of the first.
    """

    __tablename__ = "alarm_unheard"

    id: Mapped[PrimaryId]
    origin: Mapped[str] = mapped_column(sa.String(63))
    occurrence: Mapped[str] = mapped_column(sa.String(ID_LENGTH))
    at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = (sa.UniqueConstraint("site_id", "origin", "occurrence"),)


class CentreRuleState(SiteScoped, Base):
    """What the centre's own rules remember of a site, as of the newest sample time they were judged up to (ms UTC)."""

    __tablename__ = "centre_rule_states"

    id: Mapped[PrimaryId]
    watermark: Mapped[int] = mapped_column(sa.BigInteger)
    state: Mapped[bytes] = mapped_column(sa.LargeBinary)

    __table_args__ = (sa.UniqueConstraint("site_id"),)

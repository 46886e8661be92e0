"""Tickets, what they are about, and their append-only log."""

import sqlalchemy as sa
from alembic import op

from server.db.types import UtcDateTime, json_type, one_of

revision = "0004_tickets"
down_revision = "0003_alarms"
branch_labels = None
depends_on = None

_GUARDED = "ticket_events"
_OPEN = "state <> 'resolved' AND state <> 'closed'"


def _id(name: str = "id", *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(36), nullable=nullable)


def _at(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, UtcDateTime(), nullable=nullable)


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _scope() -> list[sa.Column[str] | sa.ForeignKeyConstraint]:
    return [
        _id("customer_id"),
        _id("site_id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"]),
    ]


def _index_scope(table: str) -> None:
    op.create_index(f"ix_{table}_customer_id", table, ["customer_id"])
    op.create_index(f"ix_{table}_site_id", table, ["site_id"])


def upgrade() -> None:
    _tickets()
    op.create_table(
        "ticket_alarms",
        _id("ticket_id"),
        _id("alarm_id"),
        sa.PrimaryKeyConstraint("ticket_id", "alarm_id"),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"]),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarms.id"]),
    )
    op.create_index("ix_ticket_alarms_alarm_id", "ticket_alarms", ["alarm_id"])
    op.create_table(
        "ticket_numbers",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("year"),
    )
    _events()


def _tickets() -> None:
    op.create_table(
        "tickets",
        _id(),
        *_scope(),
        _text("number", 20),
        _text("kind", 32),
        _text("title_en", 500),
        _text("title_zh", 500),
        sa.Column("description", sa.Text(), nullable=False),
        _text("device", 63),
        _text("rule", 120),
        _text("subject", 120),
        _id("alarm_key_id", nullable=True),
        _id("previous_id", nullable=True),
        _text("source_key", 200, nullable=True),
        _at("opened_at"),
        _text("opened_by", 64),
        _at("due_at", nullable=True),
        _text("state", 32),
        _text("severity", 32),
        _id("owner_id", nullable=True),
        _at("acknowledged_at", nullable=True),
        _at("started_at", nullable=True),
        _at("resolved_at", nullable=True),
        _at("closed_at", nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        _at("auto_resolve_at", nullable=True),
        sa.Column("reopened", sa.Integer(), nullable=False),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
        sa.UniqueConstraint("source_key"),
        sa.ForeignKeyConstraint(["alarm_key_id"], ["alarm_keys.id"]),
        sa.ForeignKeyConstraint(["previous_id"], ["tickets.id"]),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"]),
        one_of("kind", ["corrective", "preventive", "inspection", "request", "complaint"]),
        one_of("state", ["new", "acknowledged", "in_progress", "resolved", "closed"]),
        one_of("severity", ["critical", "major", "minor", "info"]),
    )
    _index_scope("tickets")
    op.create_index("ix_tickets_opened_at_id", "tickets", ["opened_at", "id"])
    op.create_index("ix_tickets_alarm_key_id_opened_at", "tickets", ["alarm_key_id", "opened_at"])
    op.create_index("ix_tickets_auto_resolve_at", "tickets", ["auto_resolve_at"])
    op.create_index(
        "uq_tickets_open_alarm_key_id",
        "tickets",
        ["alarm_key_id"],
        unique=True,
        sqlite_where=sa.text(_OPEN),
        postgresql_where=sa.text(_OPEN),
    )


def _events() -> None:
    op.create_table(
        "ticket_events",
        _id(),
        *_scope(),
        _id("ticket_id"),
        sa.Column("seq", sa.Integer(), nullable=False),
        _at("at"),
        _at("recorded_at"),
        _text("actor", 64),
        _text("actor_name", 200),
        _text("source", 32),
        _text("kind", 64),
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("payload", json_type(), nullable=False),
        _text("idempotency_key", 200),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"]),
        sa.UniqueConstraint("idempotency_key"),
        sa.UniqueConstraint("ticket_id", "seq"),
    )
    _index_scope("ticket_events")
    op.create_index("ix_ticket_events_at", "ticket_events", ["at"])
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("update", "delete"):
            op.execute(
                f"CREATE TRIGGER {_GUARDED}_no_{verb} BEFORE {verb.upper()} ON {_GUARDED} "
                "BEGIN SELECT RAISE(ABORT, 'the ticket log is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {_GUARDED}_guard() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the ticket log is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {_GUARDED}_guard BEFORE UPDATE OR DELETE OR TRUNCATE ON {_GUARDED} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {_GUARDED}_guard()"
    )


def downgrade() -> None:
    for table in ("ticket_events", "ticket_numbers", "ticket_alarms", "tickets"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"DROP FUNCTION {_GUARDED}_guard()")

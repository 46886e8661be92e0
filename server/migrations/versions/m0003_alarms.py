"""Alarm keys, alarms, and their append-only log."""

import sqlalchemy as sa
from alembic import op

from server.db.types import UtcDateTime, json_type, one_of

revision = "0003_alarms"
down_revision = "0002_fleet"
branch_labels = None
depends_on = None

_SEVERITIES = ["critical", "major", "minor", "info"]
_GUARDED = "alarm_events"


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
    op.create_table(
        "alarm_keys",
        _id(),
        *_scope(),
        _text("origin", 63),
        _text("device", 63),
        _text("rule", 120),
        _text("subject", 120),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("site_id", "origin", "device", "rule", "subject"),
    )
    _index_scope("alarm_keys")
    _alarms()
    _events()


def _alarms() -> None:
    op.create_table(
        "alarms",
        _id(),
        *_scope(),
        _id("key_id"),
        _id("agent_id", nullable=True),
        _text("origin", 63),
        _text("device", 63),
        _text("rule", 120),
        _text("subject", 120),
        _text("metric", 120),
        _text("device_en", 200),
        _text("device_zh", 200),
        _text("rule_en", 200),
        _text("rule_zh", 200),
        _text("room", 200),
        _text("rule_revision", 64),
        _text("level", 32),
        _text("severity", 32),
        _text("worst_severity", 32),
        sa.Column("value", json_type(), nullable=True),
        sa.Column("limit_value", json_type(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        _text("state", 32),
        sa.Column("revision", sa.Integer(), nullable=False),
        _text("arrival", 32),
        _at("raised_at"),
        _at("updated_at"),
        _at("ended_at", nullable=True),
        _text("end_reason", 32, nullable=True),
        _at("received_at"),
        _at("acked_at", nullable=True),
        _text("acked_by", 64, nullable=True),
        _text("acked_name", 200, nullable=True),
        _text("ack_note", 1000, nullable=True),
        _text("muted_because", 64, nullable=True),
        _at("succeeded_at", nullable=True),
        _at("orphaned_at", nullable=True),
        _at("seen_at", nullable=True),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["key_id"], ["alarm_keys.id"]),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"]),
        one_of("severity", _SEVERITIES),
        one_of("worst_severity", _SEVERITIES),
        one_of("state", ["normal", "unacked", "acked", "returned_unacked"]),
        one_of("arrival", ["live", "cleared_before_arrival"]),
        one_of("end_reason", ["recovered", "rule_removed", "rule_changed", "device_retired", "superseded"]),
    )
    _index_scope("alarms")
    op.create_index("ix_alarms_key_id_id", "alarms", ["key_id", "id"])
    op.create_index("ix_alarms_raised_at_id", "alarms", ["raised_at", "id"])
    op.create_index("ix_alarms_site_id_device", "alarms", ["site_id", "device"])
    op.create_index(
        "uq_alarms_active_key_id",
        "alarms",
        ["key_id"],
        unique=True,
        sqlite_where=sa.text("active"),
        postgresql_where=sa.text("active"),
    )


def _events() -> None:
    op.create_table(
        "alarm_events",
        _id(),
        *_scope(),
        _id("alarm_id"),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=True),
        _at("at"),
        _at("recorded_at"),
        _text("actor", 64),
        _text("source", 32),
        _text("kind", 64),
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("payload", json_type(), nullable=False),
        _text("idempotency_key", 200),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarms.id"]),
        sa.UniqueConstraint("idempotency_key"),
        sa.UniqueConstraint("alarm_id", "seq"),
        sa.UniqueConstraint("alarm_id", "revision"),
    )
    _index_scope("alarm_events")
    op.create_index("ix_alarm_events_at", "alarm_events", ["at"])
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("update", "delete"):
            op.execute(
                f"CREATE TRIGGER {_GUARDED}_no_{verb} BEFORE {verb.upper()} ON {_GUARDED} "
                "BEGIN SELECT RAISE(ABORT, 'the alarm log is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {_GUARDED}_guard() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the alarm log is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {_GUARDED}_guard BEFORE UPDATE OR DELETE OR TRUNCATE ON {_GUARDED} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {_GUARDED}_guard()"
    )


def downgrade() -> None:
    for table in ("alarm_events", "alarms", "alarm_keys"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"DROP FUNCTION {_GUARDED}_guard()")

"""Agents, catalogs, devices, points, rules and agents' events; the ledger and the quarantine of ingest."""

import sqlalchemy as sa
from alembic import op

from server.db.types import UtcDateTime, json_type, one_of

revision = "0002_fleet"
down_revision = "0001_foundation"
branch_labels = None
depends_on = None


def _id(name: str = "id", *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(36), nullable=nullable)


def _at(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, UtcDateTime(), nullable=nullable)


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


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
    _agents()
    _devices()
    _events()
    _ingest()


def _agents() -> None:
    op.create_table(
        "agents",
        _id(),
        *_scope(),
        _text("code", 63),
        _text("version", 64),
        _text("status", 32),
        _at("status_since"),
        _at("last_seen_at", nullable=True),
        sa.Column("clock_offset_ms", sa.BigInteger(), nullable=True),
        _text("config_digest", 64),
        _text("catalog_digest", 32),
        _text("catalog_stream", 36),
        sa.Column("catalog_seq", sa.BigInteger(), nullable=False),
        sa.Column("health", json_type(), nullable=True),
        _at("health_at", nullable=True),
        sa.Column("drops", json_type(), nullable=False),
        _at("created_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("site_id", "code"),
        one_of("status", ["never", "online", "offline", "silent"]),
    )
    _index_scope("agents")
    op.create_table(
        "agent_catalogs",
        _id("agent_id"),
        _text("digest", 32),
        _at("received_at"),
        sa.Column("body", json_type(), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "digest"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"]),
    )
    op.create_table(
        "agent_rules",
        _id(),
        *_scope(),
        _id("agent_id"),
        _text("rule", 120),
        _text("revision", 64),
        _text("metric", 120),
        _text("title_en", 200),
        _text("title_zh", 200),
        _text("source", 500),
        sa.Column("levels", json_type(), nullable=False),
        sa.Column("for_s", sa.Double(), nullable=False),
        sa.Column("clear_for_s", sa.Double(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"]),
        sa.UniqueConstraint("agent_id", "rule", "revision"),
    )
    _index_scope("agent_rules")


def _devices() -> None:
    op.create_table(
        "devices",
        _id(),
        *_scope(),
        _text("device", 63),
        _id("agent_id"),
        _text("kind", 63),
        _text("name_en", 200),
        _text("name_zh", 200),
        _text("profile", 200),
        _text("profile_revision", 64),
        _text("protocol", 63),
        _text("address", 200),
        _text("vendor", 200),
        _text("model", 200),
        _text("serial", 200),
        _text("room", 63),
        _id("room_id", nullable=True),
        _text("zone", 200),
        _text("rack", 200),
        sa.Column("interval_s", sa.Double(), nullable=False),
        sa.Column("rules", json_type(), nullable=False),
        _text("communication", 32),
        _at("last_seen_at", nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        _at("created_at"),
        _at("updated_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"]),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.id"]),
        sa.UniqueConstraint("site_id", "device"),
    )
    _index_scope("devices")
    op.create_index("ix_devices_agent_id", "devices", ["agent_id"])
    op.create_index("ix_devices_room_id", "devices", ["room_id"])
    op.create_table(
        "points",
        _id(),
        *_scope(),
        _id("device_id"),
        _text("metric", 120),
        _text("subject", 120),
        _text("unit", 16),
        _text("label_en", 200),
        _text("label_zh", 200),
        sa.Column("interval_s", sa.Double(), nullable=False),
        sa.Column("dead_band", sa.Double(), nullable=True),
        sa.Column("heartbeat_s", sa.Double(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"]),
        sa.UniqueConstraint("device_id", "metric", "subject"),
    )
    _index_scope("points")


def _events() -> None:
    op.create_table(
        "agent_events",
        _id(),
        *_scope(),
        _id("agent_id"),
        _text("device", 63),
        _at("at"),
        _at("recorded_at"),
        _text("actor", 64),
        _text("source", 32),
        _text("kind", 64),
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("payload", json_type(), nullable=False),
        _text("idempotency_key", 200),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"]),
        sa.UniqueConstraint("idempotency_key"),
    )
    _index_scope("agent_events")
    op.create_index("ix_agent_events_agent_id", "agent_events", ["agent_id"])
    op.create_index("ix_agent_events_at", "agent_events", ["at"])


def _ingest() -> None:
    op.create_table(
        "ingest_blocks",
        _id("agent_id"),
        _text("stream", 36),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        _text("digest", 32),
        _at("at"),
        sa.PrimaryKeyConstraint("agent_id", "stream", "seq"),
    )
    op.create_index("ix_ingest_blocks_at", "ingest_blocks", ["at"])
    op.create_table(
        "ingest_quarantine",
        _id(),
        _at("at"),
        _text("site", 63),
        _text("agent", 63),
        _text("kind", 16),
        _text("stream", 36),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        _text("path", 64),
        _text("reason", 32),
        _text("detail", 500),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("kept", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        _text("key", 200),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("ix_ingest_quarantine_at", "ingest_quarantine", ["at"])
    op.create_table(
        "ingest_strangers",
        _text("site", 63),
        _text("agent", 63),
        _text("reason", 32),
        _at("first_at"),
        _at("last_at"),
        sa.Column("blocks", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site", "agent"),
    )


def downgrade() -> None:
    for table in [
        "ingest_strangers",
        "ingest_quarantine",
        "ingest_blocks",
        "agent_events",
        "points",
        "devices",
        "agent_rules",
        "agent_catalogs",
        "agents",
    ]:
        op.drop_table(table)

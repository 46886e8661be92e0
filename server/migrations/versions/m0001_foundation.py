"""The foundation: people, customers, sites, rooms, and the kit's own tables."""

import sqlalchemy as sa
from alembic import op

from server.db.types import UtcDateTime, json_type, one_of

revision = "0001_foundation"
down_revision = None
branch_labels = None
depends_on = None

_GUARDED = "audit_entries"


def _id(name: str = "id", *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(36), nullable=nullable)


def _at(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, UtcDateTime(), nullable=nullable)


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def upgrade() -> None:
    _people()
    _customers()
    _kit()
    _guard_audit()


def _people() -> None:
    op.create_table(
        "users",
        _id(),
        _text("login", 63),
        _text("name", 200),
        _text("email", 200),
        _text("phone", 50),
        _text("password_hash", 200, nullable=True),
        sa.Column("roles", json_type(), nullable=False),
        sa.Column("customers", json_type(), nullable=True),
        sa.Column("sites", json_type(), nullable=True),
        _text("language", 16),
        _text("zone", 64),
        _text("notify_url", 1000, nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        _at("created_at"),
        _at("updated_at"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("login"),
    )
    op.create_table(
        "login_sessions",
        _text("id", 64),
        _id("user_id"),
        _at("created_at"),
        _at("expires_at"),
        _text("address", 64),
        _text("user_agent", 200),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
    )
    op.create_index("ix_login_sessions_user_id", "login_sessions", ["user_id"])
    op.create_index("ix_login_sessions_expires_at", "login_sessions", ["expires_at"])
    op.create_table(
        "api_tokens",
        _id(),
        _id("user_id"),
        _text("name", 100),
        _text("digest", 64),
        sa.Column("roles", json_type(), nullable=True),
        sa.Column("customers", json_type(), nullable=True),
        sa.Column("sites", json_type(), nullable=True),
        _at("created_at"),
        _at("expires_at", nullable=True),
        _at("last_used_at", nullable=True),
        _at("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sa.UniqueConstraint("digest"),
    )
    op.create_index("ix_api_tokens_user_id", "api_tokens", ["user_id"])
    op.create_table(
        "login_failures",
        _text("key", 200),
        sa.Column("count", sa.Integer(), nullable=False),
        _at("last_at"),
        _at("blocked_until", nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )


def _customers() -> None:
    op.create_table(
        "customers",
        _id(),
        _text("code", 63),
        _text("name", 200),
        sa.Column("active", sa.Boolean(), nullable=False),
        _at("created_at"),
        _at("updated_at"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code"),
    )
    op.create_table(
        "sites",
        _id(),
        _id("customer_id"),
        _text("code", 63),
        _text("name", 200),
        _text("region", 100),
        _text("zone", 64),
        _text("address", 500),
        sa.Column("active", sa.Boolean(), nullable=False),
        _at("created_at"),
        _at("updated_at"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.UniqueConstraint("code"),
    )
    op.create_index("ix_sites_customer_id", "sites", ["customer_id"])
    op.create_table(
        "rooms",
        _id(),
        _id("customer_id"),
        _id("site_id"),
        _text("code", 63),
        _text("name", 200),
        _text("thresholds", 63),
        sa.Column("active", sa.Boolean(), nullable=False),
        _at("created_at"),
        _at("updated_at"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"]),
        sa.UniqueConstraint("site_id", "code"),
    )
    op.create_index("ix_rooms_customer_id", "rooms", ["customer_id"])
    op.create_index("ix_rooms_site_id", "rooms", ["site_id"])
    op.create_table(
        "contacts",
        _id(),
        _id("customer_id"),
        _id("site_id", nullable=True),
        _text("name", 200),
        _text("duty", 100),
        _text("phone", 50),
        _text("email", 200),
        sa.Column("active", sa.Boolean(), nullable=False),
        _at("created_at"),
        _at("updated_at"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"]),
    )
    op.create_index("ix_contacts_customer_id", "contacts", ["customer_id"])
    op.create_index("ix_contacts_site_id", "contacts", ["site_id"])


def _kit() -> None:
    op.create_table(
        "idempotency_keys",
        _text("principal_id", 64),
        _text("key", 200),
        _text("fingerprint", 64),
        _at("created_at"),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("principal_id", "key"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.create_table(
        "audit_entries",
        _id(),
        _at("at"),
        _text("actor_id", 64),
        _text("actor_kind", 16),
        _text("actor_name", 200),
        _text("action", 64),
        _text("entity", 64),
        _text("entity_id", 64),
        _id("customer_id", nullable=True),
        _id("site_id", nullable=True),
        sa.Column("old", json_type(), nullable=True),
        sa.Column("new", json_type(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_audit_entries_at", "audit_entries", ["at"])
    op.create_index("ix_audit_entries_customer_id", "audit_entries", ["customer_id"])
    op.create_index("ix_audit_entries_entity_entity_id", "audit_entries", ["entity", "entity_id"])
    op.create_table(
        "outbox",
        _id(),
        _text("topic", 64),
        _text("key", 200, nullable=True),
        sa.Column("payload", json_type(), nullable=False),
        _text("state", 32),
        _at("created_at"),
        _at("due_at"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _at("leased_until", nullable=True),
        _at("done_at", nullable=True),
        _text("last_error", 500, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
        one_of("state", ["pending", "done", "dead"]),
    )
    op.create_index("ix_outbox_state_due_at", "outbox", ["state", "due_at"])
    op.create_table(
        "job_runs", _text("job", 64), _at("due_at"), _at("ran_at"), sa.PrimaryKeyConstraint("job", "due_at")
    )
    op.create_table("leases", _text("name", 64), _text("holder", 64), _at("until"), sa.PrimaryKeyConstraint("name"))
    op.create_table(
        "attachments",
        _id(),
        _id("customer_id"),
        _id("site_id"),
        _text("entity", 64),
        _id("entity_id"),
        _text("filename", 200),
        _text("media_type", 100),
        sa.Column("size", sa.Integer(), nullable=False),
        _text("sha256", 64),
        _at("created_at"),
        _text("created_by", 64),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"]),
    )
    op.create_index("ix_attachments_customer_id", "attachments", ["customer_id"])
    op.create_index("ix_attachments_site_id", "attachments", ["site_id"])
    op.create_index("ix_attachments_sha256", "attachments", ["sha256"])
    op.create_index("ix_attachments_entity_entity_id", "attachments", ["entity", "entity_id"])


def _guard_audit() -> None:
    """The audit log only grows, whoever asks."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("update", "delete"):
            op.execute(
                f"CREATE TRIGGER {_GUARDED}_no_{verb} BEFORE {verb.upper()} ON {_GUARDED} "
                "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {_GUARDED}_guard() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {_GUARDED}_guard BEFORE UPDATE OR DELETE OR TRUNCATE ON {_GUARDED} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {_GUARDED}_guard()"
    )


def downgrade() -> None:
    for table in (
        "attachments",
        "leases",
        "job_runs",
        "outbox",
        "audit_entries",
        "idempotency_keys",
        "contacts",
        "rooms",
        "sites",
        "customers",
        "login_failures",
        "api_tokens",
        "login_sessions",
        "users",
    ):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"DROP FUNCTION {_GUARDED}_guard()")

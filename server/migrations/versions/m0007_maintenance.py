"""Tables of maintenance."""

import sqlalchemy as sa
from alembic import op

from server.db.types import UtcDateTime, json_type, one_of

revision = "0007_maintenance"
down_revision = "0006_assets"
branch_labels = None
depends_on = None

_CATEGORIES = ["ups", "battery", "crac", "sensor", "pdu", "generator", "fire", "other"]
_SKIPS = ["missed", "superseded", "no_assets", "no_access", "customer_request", "out_of_service", "done_elsewhere"]


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _at(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, UtcDateTime(), nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=nullable)


def upgrade() -> None:
    _plans()
    _orders()


def _plans() -> None:
    op.create_table(
        "maintenance_plans",
        _text("id", 36),
        _text("customer_id", 36),
        _text("site_id", 36),
        _text("asset_id", 36, nullable=True),
        _text("category", 32, nullable=True),
        _text("title_en", 200),
        _text("title_zh", 200),
        _text("rrule", 200, nullable=True),
        _number("every", nullable=True),
        _text("step", 32, nullable=True),
        sa.Column("dtstart", sa.DateTime(timezone=False), nullable=False),
        _number("lead_days"),
        _number("tolerance_days"),
        _text("catch_up", 32),
        sa.Column("checklist", json_type(), nullable=False),
        _text("template", 63, nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("settled_on", sa.Date(), nullable=False),
        _at("created_at"),
        _at("updated_at"),
        _number("version"),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"]),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"]),
        one_of("category", _CATEGORIES),
        one_of("step", ["days", "months"]),
        one_of("catch_up", ["all", "latest", "none"]),
        sa.CheckConstraint("(asset_id IS NULL) <> (category IS NULL)", name="target"),
        sa.CheckConstraint("(rrule IS NULL) <> (every IS NULL) AND (every IS NULL) = (step IS NULL)", name="rule"),
    )
    op.create_index("ix_maintenance_plans_customer_id", "maintenance_plans", ["customer_id"])
    op.create_index("ix_maintenance_plans_site_id", "maintenance_plans", ["site_id"])
    op.create_index("ix_maintenance_plans_asset_id", "maintenance_plans", ["asset_id"])


def _orders() -> None:
    op.create_table(
        "maintenance_orders",
        _text("id", 36),
        _text("customer_id", 36),
        _text("site_id", 36),
        _text("plan_id", 36),
        _text("title_en", 410),
        _text("title_zh", 410),
        sa.Column("due_on", sa.Date(), nullable=False),
        _at("due_at"),
        _at("overdue_at"),
        _text("reason", 32),
        _text("state", 32),
        _text("ticket_id", 36, nullable=True),
        sa.Column("checklist", json_type(), nullable=False),
        sa.Column("results", json_type(), nullable=True),
        _number("failed_items"),
        _text("note", 2000),
        _at("completed_at", nullable=True),
        _text("completed_by", 64, nullable=True),
        sa.Column("on_time", sa.Boolean(), nullable=True),
        _text("skip_reason", 32, nullable=True),
        sa.Column("counted_from", sa.Date(), nullable=True),
        _at("created_at"),
        _at("updated_at"),
        _number("version"),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"]),
        sa.ForeignKeyConstraint(["plan_id"], ["maintenance_plans.id"]),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"]),
        sa.UniqueConstraint("plan_id", "due_on"),
        one_of("reason", ["ahead", "caught_up", "missed", "superseded"]),
        one_of("state", ["open", "done", "skipped"]),
        one_of("skip_reason", [*_SKIPS, "other"]),
    )
    op.create_index("ix_maintenance_orders_customer_id", "maintenance_orders", ["customer_id"])
    op.create_index("ix_maintenance_orders_site_id", "maintenance_orders", ["site_id"])
    op.create_index("ix_maintenance_orders_due_at", "maintenance_orders", ["due_at"])
    op.create_index("ix_maintenance_orders_ticket_id", "maintenance_orders", ["ticket_id"])
    op.create_index("ix_maintenance_orders_state_overdue_at", "maintenance_orders", ["state", "overdue_at"])


def downgrade() -> None:
    op.drop_table("maintenance_orders")
    op.drop_table("maintenance_plans")

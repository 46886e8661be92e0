"""What people want to be told, and what was told to whom."""

import sqlalchemy as sa
from alembic import op

from server.db.types import UtcDateTime, one_of

revision = "0005_notify"
down_revision = "0004_tickets"
branch_labels = None
depends_on = None

_KINDS = [
    "ticket_opened",
    "ticket_worsened",
    "ticket_reopened",
    "ticket_assigned",
    "ticket_auto_resolved",
    "alarm_came",
    "alarm_was_over",
    "roll_up",
]


def _id(name: str = "id", *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(36), nullable=nullable)


def _at(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, UtcDateTime(), nullable=nullable)


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "notify_settings",
        _id("user_id"),
        _text("wanted", 32),
        _at("updated_at"),
        sa.PrimaryKeyConstraint("user_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        one_of("wanted", ["critical", "major", "minor", "info", "never"]),
    )
    op.create_table(
        "notifications",
        _id(),
        _id("customer_id"),
        _id("site_id"),
        _id("user_id"),
        _text("event", 120),
        _text("kind", 32),
        _text("severity", 32),
        _id("ticket_id", nullable=True),
        _id("alarm_id", nullable=True),
        _text("title", 500),
        sa.Column("body", sa.Text(), nullable=False),
        _text("state", 32),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _at("created_at"),
        _at("sent_at", nullable=True),
        _text("last_error", 500, nullable=True),
        _id("rolled_into", nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("event", "user_id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"]),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"]),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarms.id"]),
        sa.ForeignKeyConstraint(["rolled_into"], ["notifications.id"]),
        one_of("kind", _KINDS),
        one_of("severity", ["critical", "major", "minor", "info"]),
        one_of("state", ["pending", "sent", "dead", "skipped", "rolled_up"]),
    )
    op.create_index("ix_notifications_customer_id", "notifications", ["customer_id"])
    op.create_index("ix_notifications_site_id", "notifications", ["site_id"])
    op.create_index("ix_notifications_created_at_id", "notifications", ["created_at", "id"])
    op.create_index("ix_notifications_user_id_created_at", "notifications", ["user_id", "created_at"])
    op.create_index("ix_notifications_rolled_into", "notifications", ["rolled_into"])


def downgrade() -> None:
    op.drop_table("notifications")
    op.drop_table("notify_settings")

"""Tables of assets."""

import sqlalchemy as sa
from alembic import op

from server.db.types import UtcDateTime, one_of

revision = "0006_assets"
down_revision = "0005_notify"
branch_labels = None
depends_on = None


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "assets",
        _text("id", 36),
        _text("customer_id", 36),
        _text("site_id", 36),
        _text("room_id", 36, nullable=True),
        _text("device", 63, nullable=True),
        _text("category", 32),
        _text("name_en", 200),
        _text("name_zh", 200),
        _text("vendor", 200),
        _text("model", 200),
        _text("serial", 200),
        _text("supplier", 200),
        _text("notes", 2000),
        sa.Column("installed_on", sa.Date(), nullable=True),
        sa.Column("accepted_on", sa.Date(), nullable=True),
        sa.Column("warranty_months", sa.Integer(), nullable=False),
        sa.Column("warranty_end", sa.Date(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        _text("replaced_by_id", 36, nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"]),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.id"]),
        sa.ForeignKeyConstraint(["replaced_by_id"], ["assets.id"]),
        sa.UniqueConstraint("replaced_by_id"),
        one_of("category", ["ups", "battery", "crac", "sensor", "pdu", "generator", "fire", "other"]),
    )
    op.create_index("ix_assets_customer_id", "assets", ["customer_id"])
    op.create_index("ix_assets_site_id", "assets", ["site_id"])
    op.create_index("ix_assets_room_id", "assets", ["room_id"])
    op.create_index("ix_assets_warranty_end", "assets", ["warranty_end"])
    op.create_index("ix_assets_site_id_device", "assets", ["site_id", "device"])
    op.create_index("ix_assets_site_id_category", "assets", ["site_id", "category"])


def downgrade() -> None:
    op.drop_table("assets")

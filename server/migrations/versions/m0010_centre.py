"""What the centre's own rules remember."""

import sqlalchemy as sa
from alembic import op

revision = "0010_centre"
down_revision = "0009_told"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "centre_rule_states",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("customer_id", sa.String(36), nullable=False),
        sa.Column("site_id", sa.String(36), nullable=False),
        sa.Column("watermark", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"]),
        sa.UniqueConstraint("site_id"),
    )
    for column in ("customer_id", "site_id"):
        op.create_index(f"ix_centre_rule_states_{column}", "centre_rule_states", [column])


def downgrade() -> None:
    op.drop_table("centre_rule_states")

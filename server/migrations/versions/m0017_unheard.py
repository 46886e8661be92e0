"""What agents hold active and nobody heard raised."""

import sqlalchemy as sa
from alembic import op

from server.db.types import UtcDateTime

revision = "0017_unheard"
down_revision = "0016_retired"
branch_labels = None
depends_on = None

_TABLE = "alarm_unheard"


def upgrade() -> None:
    op.create_table(
        _TABLE,
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("customer_id", sa.String(36), nullable=False),
        sa.Column("site_id", sa.String(36), nullable=False),
        sa.Column("origin", sa.String(63), nullable=False),
        sa.Column("occurrence", sa.String(36), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"]),
        sa.UniqueConstraint("site_id", "origin", "occurrence"),
    )
    for column in ("customer_id", "site_id", "recorded_at"):
        op.create_index(f"ix_{_TABLE}_{column}", _TABLE, [column])


def downgrade() -> None:
    op.drop_table(_TABLE)

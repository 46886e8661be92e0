"""Since when each ingest worker hears the broker."""

import sqlalchemy as sa
from alembic import op

from server.db.types import UtcDateTime

revision = "0011_listeners"
down_revision = "0010_centre"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ingest_listeners",
        sa.Column("worker", sa.String(120), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("heard_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("worker"),
    )


def downgrade() -> None:
    op.drop_table("ingest_listeners")

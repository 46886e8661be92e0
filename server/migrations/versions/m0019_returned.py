"""When an agent's newest silence ended."""

import sqlalchemy as sa
from alembic import op

from server.db.types import UtcDateTime

revision = "0019_returned"
down_revision = "0018_quarantine"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agents", sa.Column("returned_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("agents", "returned_at")

"""When a device's communication word was spoken, so that a late word changes nothing."""

import sqlalchemy as sa
from alembic import op

from server.db.types import UtcDateTime

revision = "0008_silence"
down_revision = "0007_maintenance"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("devices", sa.Column("communication_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("devices", "communication_at")

"""What rules at the centre choose devices by."""

import sqlalchemy as sa
from alembic import op

from server.db.types import json_type

revision = "0013_device_facts"
down_revision = "0012_openings"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("devices", sa.Column("room_class", sa.String(63), nullable=True))
    op.add_column("devices", sa.Column("labels", json_type(), nullable=True))


def downgrade() -> None:
    op.drop_column("devices", "labels")
    op.drop_column("devices", "room_class")

"""What of a block was refused, so that its second delivery is answered as the first."""

import sqlalchemy as sa
from alembic import op

from server.db.types import json_type

revision = "0015_refusals"
down_revision = "0014_stopped"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ingest_blocks", sa.Column("refused", json_type(), nullable=True))


def downgrade() -> None:
    op.drop_column("ingest_blocks", "refused")

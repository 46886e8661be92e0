"""Agents that are gone for good, and when the centre ended what they or a moved device left."""

import sqlalchemy as sa
from alembic import op

from server.db.types import UtcDateTime

revision = "0016_retired"
down_revision = "0015_refusals"
branch_labels = None
depends_on = None


def _allow(statuses: str) -> None:
    with op.batch_alter_table("agents") as batch:
        batch.drop_constraint("status", type_="check")
        batch.create_check_constraint("status", f"status IN ({statuses})")


def upgrade() -> None:
    _allow("'never', 'online', 'offline', 'stopped', 'silent', 'retired'")
    op.add_column("alarms", sa.Column("retired_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("alarms", "retired_at")
    op.execute("UPDATE agents SET status = 'silent' WHERE status = 'retired'")
    _allow("'never', 'online', 'offline', 'stopped', 'silent'")

"""The quarantine of one agent is found without reading that of all."""

from alembic import op

revision = "0018_quarantine"
down_revision = "0017_unheard"
branch_labels = None
depends_on = None

_INDEX = "ix_ingest_quarantine_site_agent_at_id"


def upgrade() -> None:
    op.create_index(_INDEX, "ingest_quarantine", ["site", "agent", "at", "id"])


def downgrade() -> None:
    op.drop_index(_INDEX, "ingest_quarantine")

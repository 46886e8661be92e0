"""In which order the openings of each agent's journal were heard of."""

import sqlalchemy as sa
from alembic import op

revision = "0012_openings"
down_revision = "0011_listeners"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agent_openings",
        sa.Column("agent_id", sa.String(36), nullable=False),
        sa.Column("stream", sa.String(36), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "stream"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"]),
    )
    # What was active before this table was, its stream is the opening heard of last.
    op.execute(
        "INSERT INTO agent_openings (agent_id, stream, number)"
        " SELECT id, catalog_stream, 1 FROM agents WHERE catalog_stream <> ''"
    )


def downgrade() -> None:
    op.drop_table("agent_openings")

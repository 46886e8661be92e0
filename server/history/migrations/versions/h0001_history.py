"""Series, readings (on PostgreSQL partitioned by month), roll-ups, and the ledger of readings blocks.

Times are integer milliseconds UTC. SQLite clusters readings by (series, taken_at) in tables without rowid; PostgreSQL
gets its monthly partitions from the server, ahead of time and on demand.
"""

import sqlalchemy as sa
from alembic import op

revision = "h0001_history"
down_revision = None
branch_labels = None
depends_on = None

_BUCKET = """
    series INTEGER NOT NULL, at BIGINT NOT NULL, n INTEGER NOT NULL,
    low DOUBLE PRECISION, high DOUBLE PRECISION, value_ms DOUBLE PRECISION NOT NULL, good_ms BIGINT NOT NULL,
    first DOUBLE PRECISION, last DOUBLE PRECISION, PRIMARY KEY (series, at)
"""
_LEDGER = """
    agent_id VARCHAR(36) NOT NULL, stream VARCHAR(36) NOT NULL, seq BIGINT NOT NULL, digest VARCHAR(32) NOT NULL,
    at BIGINT NOT NULL, PRIMARY KEY (agent_id, stream, seq)
"""


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    clustered = " WITHOUT ROWID" if sqlite else ""
    op.create_table(
        "history_series",
        # On SQLite an INTEGER PRIMARY KEY counts by itself; Identity says the same to PostgreSQL.
        sa.Column("id", sa.Integer(), *([] if sqlite else [sa.Identity()]), primary_key=True),
        sa.Column("point", sa.String(36), nullable=False),
        sa.Column("hold_ms", sa.Integer(), nullable=False),
        # Roll-ups are complete up to here, except for the buckets in history_dirty.
        sa.Column("rolled_to", sa.BigInteger(), nullable=False),
        # Nothing to roll up beyond here: the newest reading's bucket and what its value reaches.
        sa.Column("reaches_to", sa.BigInteger(), nullable=False),
        sa.Column("latest_at", sa.BigInteger(), nullable=False),
        sa.Column("latest_value", sa.Double(), nullable=True),
        sa.Column("latest_quality", sa.SmallInteger(), nullable=False),
        sa.Column("latest_reason", sa.SmallInteger(), nullable=True),
        sa.UniqueConstraint("point"),
    )
    op.create_index("ix_history_series_rolled_to", "history_series", ["rolled_to"])
    op.execute(
        "CREATE TABLE history_readings (series INTEGER NOT NULL, taken_at BIGINT NOT NULL, value DOUBLE PRECISION,"
        " quality SMALLINT NOT NULL, reason SMALLINT, PRIMARY KEY (series, taken_at))"
        + (clustered if sqlite else " PARTITION BY RANGE (taken_at)")
    )
    op.execute(
        "CREATE TABLE history_raws (series INTEGER NOT NULL, taken_at BIGINT NOT NULL, raw TEXT NOT NULL,"
        f" PRIMARY KEY (series, taken_at)){clustered}"
    )
    for table in ("history_fine", "history_hours"):
        op.execute(f"CREATE TABLE {table} ({_BUCKET}){clustered}")
    op.execute(
        "CREATE TABLE history_dirty (series INTEGER NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (series, at))" + clustered
    )
    op.execute(f"CREATE TABLE history_blocks ({_LEDGER}){clustered}")
    op.create_index("ix_history_blocks_at", "history_blocks", ["at"])


def downgrade() -> None:
    for table in ("blocks", "dirty", "hours", "fine", "raws", "readings", "series"):
        op.drop_table(f"history_{table}")

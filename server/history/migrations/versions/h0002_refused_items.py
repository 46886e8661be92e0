"""The ledger of readings blocks remembers which items the answer named.

refused: [path, reason, detail] each, as JSON text; null where there were none, and of blocks from before.
"""

from alembic import op

revision = "h0002_refused_items"
down_revision = "h0001_history"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # As a statement: a column that may be null costs neither database a copy of the table.
    op.execute("ALTER TABLE history_blocks ADD COLUMN refused TEXT")


def downgrade() -> None:
    op.execute("ALTER TABLE history_blocks DROP COLUMN refused")

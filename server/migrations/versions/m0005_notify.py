"""Tables of notify."""

revision = "0005_notify"
down_revision = "0004_tickets"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""

"""Tables of tickets."""

revision = "0004_tickets"
down_revision = "0003_alarms"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""

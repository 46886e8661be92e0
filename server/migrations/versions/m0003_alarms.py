"""Tables of alarms."""

revision = "0003_alarms"
down_revision = "0002_fleet"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""

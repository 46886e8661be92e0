"""Tables of maintenance."""

revision = "0007_maintenance"
down_revision = "0006_assets"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""

"""Tables of assets."""

revision = "0006_assets"
down_revision = "0005_notify"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""

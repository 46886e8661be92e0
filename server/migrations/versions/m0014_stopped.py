"""An agent that said goodbye is told from one whose last will the broker published."""

from alembic import op

revision = "0014_stopped"
down_revision = "0013_device_facts"
branch_labels = None
depends_on = None


def _allow(statuses: str) -> None:
    with op.batch_alter_table("agents") as batch:
        batch.drop_constraint("status", type_="check")
        batch.create_check_constraint("status", f"status IN ({statuses})")


def upgrade() -> None:
    _allow("'never', 'online', 'offline', 'stopped', 'silent'")


def downgrade() -> None:
    op.execute("UPDATE agents SET status = 'offline' WHERE status = 'stopped'")
    _allow("'never', 'online', 'offline', 'silent'")

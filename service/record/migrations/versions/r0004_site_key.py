"""What the site key of a log is known by."""

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Add the table; the service fills it at its next start, with the key that it has."""
    op.create_table(
        "site_key",
        sa.Column("check_value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("check_value", name="pk_site_key"),
    )


def downgrade() -> None:
    """The shadow log is append-only: restore a backup instead."""
    raise NotImplementedError("the shadow log is append-only; restore a backup instead")

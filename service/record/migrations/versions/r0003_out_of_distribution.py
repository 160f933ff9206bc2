"""How unlike the images that the model learned from a radiograph is."""

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Add the column; older rows have NULL there, which their digest leaves out."""
    op.add_column("shadow_log", sa.Column("out_of_distribution", sa.Text(), nullable=True))


def downgrade() -> None:
    """The shadow log is append-only: restore a backup instead."""
    raise NotImplementedError("the shadow log is append-only; restore a backup instead")

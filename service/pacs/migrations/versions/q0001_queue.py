"""The queue of instances, and the position in the changes."""

import sqlalchemy as sa
from alembic import op

revision: str = "q0001"
down_revision: str | None = None
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "instances",
        sa.Column("instance", sa.Text(), primary_key=True),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("noticed", sa.Float(), nullable=False),
        sa.Column("due", sa.Float(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=True),
        sa.Column("settled", sa.Float(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=True),
    )
    op.create_index("ix_instances_state_due", "instances", ["state", "due"])
    op.create_index("ix_instances_state_noticed", "instances", ["state", "noticed"])
    op.create_table(
        "position",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("floor", sa.Integer(), nullable=False),
        sa.Column("anchors", sa.Text(), nullable=False),
        sa.Column("resets", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    """Drop both tables; the next start begins anew."""
    op.drop_table("position")
    op.drop_table("instances")

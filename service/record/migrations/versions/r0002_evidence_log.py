"""The evidence log beside the shadow log, and the age band of an entry."""

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: None = None
depends_on: None = None

REQUIRED = ("id", "recorded_at", "kind", "body", "previous_digest", "row_digest")
OPTIONAL = ("entry", "study_instance", "accession", "actor")

SQLITE_TRIGGER = """
    CREATE TRIGGER evidence_log_no_{verb} BEFORE {verb} ON evidence_log
    BEGIN SELECT RAISE(ABORT, 'the evidence log is append-only'); END
"""
POSTGRESQL_FUNCTION = """
    CREATE FUNCTION evidence_log_refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the evidence log is append-only'; END $$
"""
POSTGRESQL_TRIGGER = """
    CREATE TRIGGER evidence_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence_log
    FOR EACH STATEMENT EXECUTE FUNCTION evidence_log_refuse()
"""


def upgrade() -> None:
    """Add the column, the table, its indexes and its triggers."""
    op.add_column("shadow_log", sa.Column("age_band", sa.Text(), nullable=True))
    op.create_table(
        "evidence_log",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False
        ),
        *(sa.Column(name, sa.Text(), nullable=False) for name in REQUIRED),
        *(sa.Column(name, sa.Text(), nullable=True) for name in OPTIONAL),
        sa.PrimaryKeyConstraint("sequence", name="pk_evidence_log"),
    )
    op.create_index("ix_evidence_log_id", "evidence_log", ["id"], unique=True)
    op.create_index("ix_evidence_log_kind_sequence", "evidence_log", ["kind", "sequence"])
    op.create_index("ix_evidence_log_entry", "evidence_log", ["entry"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute(SQLITE_TRIGGER.format(verb="update"))
        op.execute(SQLITE_TRIGGER.format(verb="delete"))
    else:
        op.execute(POSTGRESQL_FUNCTION)
        op.execute(POSTGRESQL_TRIGGER)


def downgrade() -> None:
    """The evidence log is append-only: restore a backup instead."""
    raise NotImplementedError("the evidence log is append-only; restore a backup instead")

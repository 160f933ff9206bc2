"""The shadow log, and the triggers that keep it append-only."""

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: None = None
depends_on: None = None

REQUIRED = (
    "id",
    "received_at",
    "mode",
    "outcome",
    "file_format",
    "input_digest",
    "model_name",
    "model_version",
    "model_digest",
    "weights_digest",
    "threshold_digest",
    "preprocess_digest",
    "flags",
    "review_reasons",
    "cautions",
    "seconds",
    "previous_digest",
    "row_digest",
)
OPTIONAL = (
    "reason",
    "pixel_digest",
    "scanner_alias",
    "sop_instance",
    "study_instance",
    "accession",
    "patient",
    "probabilities",
    "tta_spread",
    "priority",
    "candidate",
    "answer",
    "replay_of",
)

SQLITE_TRIGGER = """
    CREATE TRIGGER shadow_log_no_{verb} BEFORE {verb} ON shadow_log
    BEGIN SELECT RAISE(ABORT, 'the shadow log is append-only'); END
"""
POSTGRESQL_FUNCTION = """
    CREATE FUNCTION shadow_log_refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the shadow log is append-only'; END $$
"""
POSTGRESQL_TRIGGER = """
    CREATE TRIGGER shadow_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON shadow_log
    FOR EACH STATEMENT EXECUTE FUNCTION shadow_log_refuse()
"""


def upgrade() -> None:
    """Create the table, its indexes and its triggers."""
    op.create_table(
        "shadow_log",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False
        ),
        *(sa.Column(name, sa.Text(), nullable=False) for name in REQUIRED),
        *(sa.Column(name, sa.Text(), nullable=True) for name in OPTIONAL),
        sa.PrimaryKeyConstraint("sequence", name="pk_shadow_log"),
    )
    op.create_index("ix_shadow_log_id", "shadow_log", ["id"], unique=True)
    op.create_index("ix_shadow_log_received_at", "shadow_log", ["received_at"])
    op.create_index(
        "ix_shadow_log_sop_instance_sequence", "shadow_log", ["sop_instance", "sequence"]
    )
    op.create_index("ix_shadow_log_accession", "shadow_log", ["accession"])
    _refuse_changes()


def downgrade() -> None:
    """The shadow log is append-only: restore a backup instead."""
    raise NotImplementedError("the shadow log is append-only; restore a backup instead")


def _refuse_changes() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(SQLITE_TRIGGER.format(verb="update"))
        op.execute(SQLITE_TRIGGER.format(verb="delete"))
    else:
        op.execute(POSTGRESQL_FUNCTION)
        op.execute(POSTGRESQL_TRIGGER)

"""The tables of the shadow log, two of them chained, the same on SQLite and PostgreSQL.

Every column but `sequence` is text, and structured values are canonical JSON: what is read back
is what was written, byte for byte, so the chain of digests holds on every database. A column
that is added later must be nullable, because the digest leaves out what is NULL.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"}
)

shadow_log = Table(
    "shadow_log",
    metadata,
    Column(
        "sequence",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("id", Text, nullable=False),
    Column("received_at", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    Column("file_format", Text, nullable=False),
    Column("input_digest", Text, nullable=False),
    Column("pixel_digest", Text),
    Column("scanner_alias", Text),
    Column("age_band", Text),
    Column("sop_instance", Text),
    Column("study_instance", Text),
    Column("accession", Text),
    Column("patient", Text),
    Column("model_name", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("model_digest", Text, nullable=False),
    Column("weights_digest", Text, nullable=False),
    Column("threshold_digest", Text, nullable=False),
    Column("preprocess_digest", Text, nullable=False),
    Column("probabilities", Text),
    Column("tta_spread", Text),
    Column("out_of_distribution", Text),
    Column("priority", Text),
    Column("flags", Text, nullable=False),
    Column("review_reasons", Text, nullable=False),
    # Always NULL: what a candidate says is known only after the answer, so it is evidence.
    Column("candidate", Text),
    Column("cautions", Text, nullable=False),
    Column("seconds", Text, nullable=False),
    Column("answer", Text),
    Column("replay_of", Text),
    Column("previous_digest", Text, nullable=False),
    Column("row_digest", Text, nullable=False),
    Index(None, "id", unique=True),
    Index(None, "received_at"),
    Index(None, "sop_instance", "sequence"),
    Index(None, "accession"),
)

evidence_log = Table(
    "evidence_log",
    metadata,
    Column(
        "sequence",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("id", Text, nullable=False),
    Column("recorded_at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("entry", Text),
    Column("study_instance", Text),
    Column("accession", Text),
    Column("actor", Text),
    Column("body", Text, nullable=False),
    Column("previous_digest", Text, nullable=False),
    Column("row_digest", Text, nullable=False),
    Index(None, "id", unique=True),
    Index(None, "kind", "sequence"),
    Index(None, "entry"),
)

site_key = Table("site_key", metadata, Column("check_value", Text, primary_key=True))
"""One row: the signature by which a log knows its key again; none before the first start."""

CHAINED: tuple[Table, ...] = (shadow_log, evidence_log)
"""Each has a chain of its own."""

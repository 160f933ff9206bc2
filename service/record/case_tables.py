"""The case index: one narrow row per entry with all that the review pages count and sort by.

It is derived: whatever is in it can be made again from the two chained tables, so it lies beside
them (a file of its own on SQLite, a schema of its own on PostgreSQL), holds no digest, and is made
anew whenever its version or its log is another.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

from service.core.findings import ABNORMAL
from service.core.triage import Priority

INDEX_VERSION = 6
"""Raise it with any change here or of what the columns say; the index is then made anew."""

SCHEMA = "cxr_review"
"""On PostgreSQL; SQLite has a file instead."""

PRIORITY_RANK = {Priority.URGENT: 0, Priority.REVIEW: 1, Priority.ROUTINE: 2}
NOT_EVALUATED_RANK = 1
"""An image that was not evaluated waits with those for review, never behind the routine ones."""

case_metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"}
)

_Number = BigInteger().with_variant(Integer, "sqlite")

cases = Table(
    "cases",
    case_metadata,
    Column("sequence", _Number, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
    # Seconds since 1970, as is every other time here.
    Column("received", Double, nullable=False),
    Column("mode", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    Column("scanner", Text, nullable=False),
    Column("age_band", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("model_digest", Text, nullable=False),
    Column("threshold_digest", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    # Codes, each between commas, so that ',CODE,' finds one.
    Column("warnings", Text, nullable=False),
    Column("study", Text),
    Column("accession", Text),
    # 1 for the first evaluation of a study by a model: a study counts once.
    Column("counts", Integer, nullable=False),
    # 1 where model and report contradict each other about any finding.
    Column("disagrees", Integer, nullable=False),
    Column("adjudicated", Integer, nullable=False),
    Column("candidate", Text),
    Column("candidate_rank", Integer),
    # Rows of the evidence log that say so: with them it goes, and a case may outlive them.
    Column("candidate_evidence", _Number),
    Column("verdict_evidence", _Number),
    *(
        Column(f"{part}_{finding.value}", kind)
        for finding in ABNORMAL
        for part, kind in (
            ("score", Double),
            ("flag", Integer),
            ("report", Integer),
            ("verdict", Integer),
            ("candidate_score", Double),
            ("candidate_flag", Integer),
        )
    ),
    Index(None, "id", unique=True),
    Index(None, "received"),
    Index(None, "model_digest", "threshold_digest", "received"),
    Index(None, "study"),
    Index(None, "accession"),
    Index(None, "disagrees", "adjudicated", "received"),
    Index(None, "adjudicated", "received"),
)
"""Reports and verdicts are 1 positive, 0 negative, -1 unclear, NULL none."""

IS_REPORTED = cases.c[f"report_{ABNORMAL[0]}"].is_not(None)
"""A report says something of each finding, and need not say when it was read."""

Index(
    "ix_cases_received_reported",
    cases.c.received,
    sqlite_where=IS_REPORTED,
    postgresql_where=IS_REPORTED,
)

case_reports = Table(
    "case_reports",
    case_metadata,
    Column("study_key", Text, primary_key=True),
    Column("evidence", _Number, nullable=False),
    *(Column(f"report_{finding.value}", Integer) for finding in ABNORMAL),
    Index(None, "evidence"),
)
"""The newest report of each study, by either of its pseudonyms: it may come before the image."""

case_blocks = Table(
    "case_blocks",
    case_metadata,
    Column("block", _Number, primary_key=True, autoincrement=False),
    Column("first", Double, nullable=False),
    Column("last", Double, nullable=False),
)
"""Blocks of cases that are also held by column, each with its earliest and its latest time."""

case_columns = Table(
    "case_columns",
    case_metadata,
    Column("name", Text, primary_key=True),
    Column("block", _Number, primary_key=True, autoincrement=False),
    # What the numbers of a text column stand for, as a JSON list.
    Column("words", Text),
    Column("data", LargeBinary, nullable=False),
)
"""One column of one block of cases, as the bytes of an array; see `case_columns.py`."""

case_state = Table(
    "case_state",
    case_metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("shadow_sequence", _Number, nullable=False),
    Column("shadow_digest", Text, nullable=False),
    Column("evidence_sequence", _Number, nullable=False),
    Column("evidence_forgotten", _Number, nullable=False),
    Column("block_cases", Integer, nullable=False),
)
"""How far the index has come, up to which purged row of evidence it has forgotten, and how many
cases a block of it holds; one row."""

"""The queue's own file: which instances are known, and how far the changes were read.

It is working state and stands apart from the shadow log on purpose: Orthanc's name of an instance
is an unkeyed hash of patient and study numbers, which the shadow log must not hold; and the log is
appended to, while here a row changes.
"""

from sqlalchemy import Column, Float, Index, Integer, MetaData, Table, Text

metadata = MetaData(naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s"})

instances = Table(
    "instances",
    metadata,
    Column("instance", Text, primary_key=True),
    Column("case_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("noticed", Float, nullable=False),
    Column("due", Float, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("sequence", Integer),
    Column("settled", Float),
    Column("code", Text),
    Column("digest", Text),
    Index(None, "state", "due"),
    Index(None, "state", "noticed"),
)

position = Table(
    "position",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sequence", Integer, nullable=False),
    Column("floor", Integer, nullable=False),
    Column("anchors", Text, nullable=False),
    Column("resets", Integer, nullable=False),
)

"""Many rows from a command line: linked and committed some hundreds at a time."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sqlalchemy import Engine, Table, insert

from service.record.anchor import write_anchor
from service.record.chain import Head, link
from service.record.database import writing
from service.record.queries import read_head
from service.record.rows import Columns

ROWS_PER_COMMIT = 1000
"""Keeps the writer's lock for some tens of milliseconds; a service beside it waits no longer."""


def append_rows(
    engine: Engine, table: Table, rows: Iterable[Columns], anchors: Mapping[Table, Path]
) -> Iterator[int]:
    """Append rows to one table, and yield the number of each commit once it is on disk."""
    batches = iter(rows)
    while batch := list(itertools.islice(batches, ROWS_PER_COMMIT)):
        with writing(engine) as connection:
            head = read_head(connection, table)
            placed = []
            for columns in batch:
                placed.append(link(columns, head))
                head = Head(head.sequence + 1, str(placed[-1]["row_digest"]))
            connection.execute(insert(table), placed)
        if table in anchors:
            write_anchor(anchors[table], head)
        yield len(batch)

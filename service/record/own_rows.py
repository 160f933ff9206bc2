"""What this process wrote, or found at its start, must still be there when it writes on.

A database server that fails over to an older standby, or a file that an old copy was written over,
takes the next row without a word, under a number that an answered row had.
"""

from collections.abc import Mapping
from typing import Final

import structlog
from sqlalchemy import Connection, Table

from service.core.errors import RecordUnavailable
from service.record.chain import Head
from service.record.gaps import find_gap
from service.record.queries import has_row

log: structlog.stdlib.BoundLogger = structlog.get_logger()

IS_KNOWN: Final = "record_known"
"""Set in the `info` of a connection on which the rows were found: another server needs another
connection."""


class RowsLost(RecordUnavailable):
    """The log ends before a row that was durable, or holds another one in its place."""


class OwnRows:
    """The last row of each table that is known to be durable.

    Parameters
    ----------
    known
        Where the chain of each table ended when the log was opened.
    """

    def __init__(self, known: Mapping[Table, Head] | None = None) -> None:
        self._known = dict(known or {})

    def note(self, heads: Mapping[Table, Head]) -> None:
        """Remember what was committed."""
        self._known.update(heads)

    def check(self, connection: Connection, heads: Mapping[Table, Head]) -> None:
        """Refuse to write on where a known row is gone: that would hide it.

        Parameters
        ----------
        heads
            Of tables, as this connection reads them under the writer's lock.

        Raises
        ------
        RowsLost
        """
        for table, head in heads.items():
            known = self._known.get(table)
            if known is None or self._holds(connection, table, head, known):
                continue
            log.error("record.rows_lost", sequence=known.sequence, digest=known.digest)
            raise RowsLost(f"the {table.name.replace('_', ' ')} lost row {known.sequence}")
        connection.info[IS_KNOWN] = True

    def _holds(self, connection: Connection, table: Table, head: Head, known: Head) -> bool:
        if head.sequence <= known.sequence:
            return head == known
        if IS_KNOWN in connection.info or has_row(connection, known, table):
            return True
        gap = find_gap(connection, table)
        return gap is not None and gap.last >= known.sequence

"""The hash chain: each row's digest covers its columns and the digest of the row before.

`row_digest` = SHA-256 of the canonical JSON of all other columns of the row that are not NULL,
`sequence` and `previous_digest` among them. Rows are numbered 1, 2, 3 ... without a gap.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Table, select
from sqlalchemy.exc import DBAPIError

from service.core.artifact import digest_of
from service.record.rows import Columns, canonical_json
from service.record.tables import shadow_log

ROWS_PER_FETCH = 500
"""Rows that verification holds in memory at a time."""


@dataclass(frozen=True, slots=True)
class Head:
    """How far the log goes: number and digest of its last row."""

    sequence: int
    digest: str


GENESIS = Head(0, "sha256:" + "0" * 64)
"""What the first row follows."""


class Fault(StrEnum):
    """How a chain can be broken."""

    ROW_EDITED = "row_edited"
    """The columns do not give the digest."""
    ROW_MISSING = "row_missing"
    """The number is left out."""
    LINK_BROKEN = "link_broken"
    """The row follows another row than the one before it, which was altered and digested anew."""
    TAIL_MISSING = "tail_missing"
    """The log ends before its anchor."""
    ANCHOR_DIFFERS = "anchor_differs"
    """The chain is whole, and not the one that was anchored: rewritten from some row on."""
    GAP_UNSIGNED = "gap_unsigned"
    """Rows were purged, and the site key did not sign it."""
    UNREADABLE = "unreadable"
    """The database cannot read this row, or one soon after it."""


@dataclass(frozen=True, slots=True)
class Break:
    """The first row that is not as it was written."""

    sequence: int
    fault: Fault


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """How far the chain holds, and where it first does not."""

    head: Head
    """The last row that holds; its sequence is the number of rows that do, purged ones counted."""
    broken: Break | None

    @property
    def is_whole(self) -> bool:
        """Whether every row is as it was written."""
        return self.broken is None


def link(columns: Columns, previous: Head) -> Columns:
    """Give a new row its place after `previous`."""
    placed = columns | {"sequence": previous.sequence + 1, "previous_digest": previous.digest}
    return placed | {"row_digest": row_digest(placed)}


def row_digest(row: Mapping[str, Any]) -> str:
    """Digest of a row, from its columns; NULL and `row_digest` itself are left out."""
    covered = {
        name: value for name, value in row.items() if value is not None and name != "row_digest"
    }
    return digest_of(canonical_json(covered).encode())


def verify(
    connection: Connection,
    *anchors: Head,
    table: Table = shadow_log,
    after: Head = GENESIS,
) -> VerifyReport:
    """Walk the whole chain of one table in constant memory.

    Parameters
    ----------
    after
        The last row that was purged; the first one left follows it.
    anchors
        Heads noted earlier. Without one, rows removed from the end cannot be noticed, nor a
        chain rewritten from some row to its end. Nothing can be said of one before `after`.
    """
    head = after
    noted = _by_sequence(anchors)
    if not _is_as_noted(after, noted):
        return VerifyReport(GENESIS, Break(after.sequence, Fault.ANCHOR_DIFFERS))
    try:
        for row in _stream(connection, table):
            fault = _fault(row, head, noted)
            if fault is not None:
                return VerifyReport(head, Break(head.sequence + 1, fault))
            head = Head(row["sequence"], row["row_digest"])
    except DBAPIError:
        return VerifyReport(head, Break(head.sequence + 1, Fault.UNREADABLE))
    if head.sequence < max(noted, default=0):
        return VerifyReport(head, Break(head.sequence + 1, Fault.TAIL_MISSING))
    return VerifyReport(head, None)


def _stream(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    ordered = select(table).order_by(table.c.sequence)
    for row in connection.execute(ordered.execution_options(yield_per=ROWS_PER_FETCH)):
        yield row._asdict()


def _by_sequence(anchors: Iterable[Head]) -> dict[int, set[str]]:
    noted: dict[int, set[str]] = {}
    for anchor in anchors:
        noted.setdefault(anchor.sequence, set()).add(anchor.digest)
    return noted


def _is_as_noted(head: Head, noted: Mapping[int, set[str]]) -> bool:
    """Whether all that was noted of this row, if anything was, is its digest."""
    return noted.get(head.sequence, {head.digest}) == {head.digest}


def _fault(row: Mapping[str, Any], head: Head, noted: Mapping[int, set[str]]) -> Fault | None:
    if row["sequence"] != head.sequence + 1:
        return Fault.ROW_MISSING
    if not _is_text(row) or row_digest(row) != row["row_digest"]:
        return Fault.ROW_EDITED
    if row["previous_digest"] != head.digest:
        return Fault.LINK_BROKEN
    if not _is_as_noted(Head(row["sequence"], row["row_digest"]), noted):
        return Fault.ANCHOR_DIFFERS
    return None


def _is_text(row: Mapping[str, Any]) -> bool:
    """SQLite lets a blob stand in a text column; no row of ours has one."""
    return all(isinstance(value, str | int | None) for value in row.values())

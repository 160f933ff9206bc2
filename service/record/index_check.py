"""Whether the case index says what the chained tables say; it has no digests of its own."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import select

from service.record.case_columns import first_stray_block
from service.record.case_index import CaseIndex, open_case_index
from service.record.case_tables import cases
from service.record.record import Reader

ROWS_PER_PAGE = 2000
LOOKS = 3
"""At a case that differs: the service may have written between two looks."""

_Row = dict[str, Any]


def first_forged_case(index: CaseIndex, reader: Reader) -> int | None:
    """Make the index anew in a file that is then dropped, and compare; as slow as the first time.

    Returns
    -------
    Sequence number of the first case that the index in use tells otherwise, or else of the first
    block whose columns do; None where there is none.
    """
    with TemporaryDirectory(prefix="cxr-triage-index-") as folder:
        fresh = open_case_index(f"sqlite:///{Path(folder) / 'log'}", reader)
        try:
            fresh.catch_up()
            index.catch_up()
            forged = _first_difference(index, fresh)
        finally:
            fresh.close()
    if forged is not None:
        return forged
    with index.reading() as connection:
        return first_stray_block(connection)


def _first_difference(index: CaseIndex, fresh: CaseIndex) -> int | None:
    for found, expected in zip_longest(_rows(index), _rows(fresh)):
        if found != expected:
            sequence = min(row["sequence"] for row in (found, expected) if row is not None)
            if _still_differs(index, fresh, sequence):
                return int(sequence)
    return None


def _still_differs(index: CaseIndex, fresh: CaseIndex, sequence: int) -> bool:
    for _ in range(LOOKS):
        fresh.catch_up()
        index.catch_up()
        if _row(index, sequence) == _row(fresh, sequence):
            return False
    return True


def _rows(index: CaseIndex) -> Iterator[_Row]:
    after = -1
    while True:
        page = select(cases).where(cases.c.sequence > after).order_by(cases.c.sequence)
        with index.reading() as connection:
            found = [dict(row) for row in connection.execute(page.limit(ROWS_PER_PAGE)).mappings()]
        if not found:
            return
        yield from found
        after = found[-1]["sequence"]


def _row(index: CaseIndex, sequence: int) -> _Row | None:
    with index.reading() as connection:
        found = connection.execute(select(cases).where(cases.c.sequence == sequence))
        row = found.mappings().first()
        return None if row is None else dict(row)

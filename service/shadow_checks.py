"""What `cxr-triage shadow verify` checks besides the chains: noted heads, and the pages' index."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Table

from service.record import Head, Pseudonymiser, Reader, VerifyReport, open_reader
from service.record.case_index import CaseIndex, open_case_index
from service.record.gaps import Gap, find_gap
from service.record.index_check import first_forged_case
from service.record.tables import CHAINED, evidence_log, shadow_log

UNANCHORED: Final = (
    "no head of them is noted beside the database, nor given: rows cut off the end would pass"
)

NOTED_HEAD: Final = re.compile(
    r"(?P<sequence>[0-9]{1,18}) rows(?P<evidence> of evidence)? hold, up to "
    r"(?P<digest>sha256:[0-9a-f]{64})"
)


def head_line(table: Table, head: Head) -> str:
    """How a head is told, so that it can be noted elsewhere."""
    name = " of evidence" if table is evidence_log else ""
    return f"{head.sequence} rows{name} hold, up to {head.digest}"


def noted_heads(lines: Iterable[str]) -> dict[Table, list[Head]]:
    """Read such lines back, as many as there are of each table.

    Raises
    ------
    ValueError
        No line of `head_line`.
    """
    noted: dict[Table, list[Head]] = {table: [] for table in CHAINED}
    for table, head in map(_noted_head, lines):
        noted[table].append(head)
    return noted


def _noted_head(told: str) -> tuple[Table, Head]:
    found = NOTED_HEAD.fullmatch(told.strip())
    if found is None:
        raise ValueError(f"{told!r}; expected a line that `shadow verify` printed")
    table = evidence_log if found["evidence"] else shadow_log
    return table, Head(int(found["sequence"]), found["digest"])


def describe_chain(
    reader: Reader, table: Table, head: Head, signer: Pseudonymiser | None, noted: Sequence[Head]
) -> Iterator[str]:
    """How far a chain holds, what was purged of it, and what nobody could notice."""
    yield head_line(table, head)
    with reader.reading() as connection:
        gap = find_gap(connection, table)
    if gap is not None:
        yield from describe_gap(table, gap, signer, noted)
    if not noted and not reader.has_anchor(table):
        yield UNANCHORED


def describe_gap(
    table: Table, gap: Gap, signer: Pseudonymiser | None, noted: Iterable[Head]
) -> list[str]:
    """What was purged, who vouches for it, and which noted heads nothing is left to check by."""
    vouched = "not checked without the site key"
    if signer is not None:
        vouched = "signed" if gap.is_signed_by(signer) else "not signed with the site key"
    of_evidence, row = (" of evidence", "evidence row") if table is evidence_log else ("", "row")
    return [
        f"rows 1 to {gap.last}{of_evidence} were purged ({vouched})",
        *(
            f"{row} {head.sequence} was purged: its noted head cannot be checked any more"
            for head in noted
            if 0 < head.sequence < gap.last
        ),
    ]


def describe_breaks(reports: list[VerifyReport]) -> list[str]:
    """One line for each chain that is broken."""
    names = ("row", "evidence row")
    return [
        f"{name} {report.broken.sequence}: {report.broken.fault}"
        for name, report in zip(names, reports, strict=True)
        if report.broken is not None
    ]


def check_index(url: str) -> str | None:
    """What is wrong with the index of the pages; None where it tells what the rows tell."""
    with opened_index(url) as (index, reader):
        forged = first_forged_case(index, reader)
    if forged is None:
        return None
    return f"index, case {forged}: not what the rows tell; delete it, and it is made anew"


@contextmanager
def opened_index(url: str) -> Iterator[tuple[CaseIndex, Reader]]:
    """The index of a log and the log, closed at the end."""
    reader = open_reader(url)
    index = open_case_index(url, reader)
    try:
        yield index, reader
    finally:
        index.close()
        reader.close()

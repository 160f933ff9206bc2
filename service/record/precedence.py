"""What comes first stands: pixels of a SOP instance, and the second reading of a radiograph.

Decided under the writer's lock, so that it holds for all processes that write to one log.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, select

from service.core.errors import CxrError, ReplayConflict
from service.record.entry import ANSWERED, Entry
from service.record.evidence import Evidence, Kind
from service.record.queries import Claim, Claims, add_claim, check_claims, find_claims
from service.record.tables import evidence_log


class VerdictStands(CxrError):
    """A radiograph has its second reading; whoever reads it later may know the answers."""

    code = "VERDICT_STANDS"


def find_conflicts(
    connection: Connection, told: Sequence[Entry | Evidence]
) -> list[ReplayConflict | VerdictStands | None]:
    """Which of these rows come second, in their order; None for one that may be written."""
    sop_instances = {row.pseudonyms.sop_instance for row in told if isinstance(row, Entry)}
    named = [name for name in sop_instances if name is not None]
    claims = find_claims(connection, named) if named else {}
    read = [entry for row in told if (entry := _read(row)) is not None]
    taken = _find_read(connection, read) if read else set()
    return [
        _repeats(row, claims) if isinstance(row, Entry) else _is_late(row, taken) for row in told
    ]


def _repeats(entry: Entry, claims: Claims) -> ReplayConflict | None:
    sop_instance, pixel_digest = entry.pseudonyms.sop_instance, entry.pixel_digest
    if sop_instance is None or pixel_digest is None or entry.outcome not in ANSWERED:
        return None
    try:
        check_claims(claims.get(sop_instance, {}), entry.input_digest, pixel_digest)
    except ReplayConflict as conflict:
        return conflict
    add_claim(claims, sop_instance, Claim(entry.input_digest, pixel_digest))
    return None


def _is_late(evidence: Evidence, taken: set[str]) -> VerdictStands | None:
    entry = _read(evidence)
    if entry is None:
        return None
    if entry in taken:
        return VerdictStands("this radiograph has a verdict already")
    taken.add(entry)
    return None


def _read(row: Entry | Evidence) -> str | None:
    """Id of the entry that this is a verdict on."""
    if isinstance(row, Evidence) and row.kind is Kind.ADJUDICATION:
        return row.entry
    return None


def _find_read(connection: Connection, entries: Collection[str]) -> set[str]:
    verdicts = select(evidence_log.c.entry).where(
        evidence_log.c.entry.in_(entries), evidence_log.c.kind == Kind.ADJUDICATION.value
    )
    return set(connection.scalars(verdicts))

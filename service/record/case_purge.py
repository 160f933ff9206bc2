"""What a purge of the chained tables leaves of the case index: the same as one made of the rest."""

from sqlalchemy import Connection, delete, func, or_, select, update

from service.record.case_rows import OF_CANDIDATE, OF_VERDICT, REPORTED, rejoin_reports
from service.record.case_tables import case_reports, cases
from service.record.entry import Outcome

KEYS_AT_ONCE = 2000
"""Of one statement; a database bounds its parameters."""


def forget_cases(connection: Connection, last: int) -> set[int]:
    """Drop the cases up to `last`; of a study that lost the one that counted, the next counts.

    Returns
    -------
    Sequence numbers of the cases that count now.
    """
    gone = select(cases.c.study, cases.c.model_digest).where(
        cases.c.sequence <= last, cases.c.counts == 1, cases.c.study.is_not(None)
    )
    lost = gone.subquery()
    heirs = (
        select(func.min(cases.c.sequence))
        .join(
            lost,
            (cases.c.study == lost.c.study) & (cases.c.model_digest == lost.c.model_digest),
        )
        .where(cases.c.sequence > last, cases.c.outcome == Outcome.EVALUATED.value)
        .group_by(cases.c.study, cases.c.model_digest)
    )
    left = set(connection.scalars(heirs))
    for sequence in left:
        connection.execute(update(cases).where(cases.c.sequence == sequence).values(counts=1))
    connection.execute(delete(cases).where(cases.c.sequence <= last))
    return left


def forget_evidence(connection: Connection, last: int) -> set[int]:
    """Drop what the evidence up to `last` said of cases that are left.

    Evidence is younger than its entry, and yet may go first: the newest entry always stays.

    Returns
    -------
    Sequence numbers of the cases that lost something.
    """
    changed = _forget_reports(connection, last)
    for told, names, other in (
        (cases.c.candidate_evidence, OF_CANDIDATE, {}),
        (cases.c.verdict_evidence, OF_VERDICT, {"adjudicated": 0}),
    ):
        changed |= set(connection.scalars(select(cases.c.sequence).where(told <= last)))
        none = dict.fromkeys(names) | other
        connection.execute(update(cases).where(told <= last).values(**none))
    return changed


def _forget_reports(connection: Connection, last: int) -> set[int]:
    """Drop the reports up to `last`, from the cases that are left too.

    Returns
    -------
    Sequence numbers of the cases that lost one.
    """
    purged = case_reports.c.evidence <= last
    keys = list(connection.scalars(select(case_reports.c.study_key).where(purged)))
    if not keys:
        return set()
    connection.execute(delete(case_reports).where(purged))
    changed: set[int] = set()
    for begin in range(0, len(keys), KEYS_AT_ONCE):
        some = keys[begin : begin + KEYS_AT_ONCE]
        bearing = or_(cases.c.study.in_(some), cases.c.accession.in_(some))
        none = dict.fromkeys(REPORTED) | {"disagrees": 0}
        touched = set(connection.scalars(select(cases.c.sequence).where(bearing)))
        connection.execute(update(cases).where(bearing).values(**none))
        rejoin_reports(connection, some)
        changed |= touched
    return changed

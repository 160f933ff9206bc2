"""CSV of radiologists' outcomes -> evidence, pseudonymised on the way in.

Columns: `accession` or `study_instance_uid` (or both), `read_at` (ISO 8601 with a zone), and
either one column a finding (`pneumonia`, `tuberculosis`: positive, negative or unclear) or
`report`, whose text the labeller reads and nothing keeps.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from service.core.errors import CxrError
from service.core.findings import ABNORMAL
from service.labeller import label_report
from service.record import Evidence, Identifier, Kind, Label, Pseudonymiser

ACCESSION, STUDY, READ_AT, REPORT = "accession", "study_instance_uid", "read_at", "report"

Row = Mapping[str, str | None]


class ReportsUnreadable(CxrError):
    """A line of the file is not what it must be; names the line, and quotes nothing of it."""

    code = "REPORTS_UNREADABLE"


def read_reports(
    rows: Iterable[Row], pseudonymiser: Pseudonymiser, actor: str
) -> Iterator[Evidence]:
    """Yield one row of evidence a line.

    Raises
    ------
    ReportsUnreadable
        At the first line that cannot be read; the lines before it are yielded.
    """
    for number, row in enumerate(rows, start=2):
        try:
            yield _evidence_of(row, pseudonymiser, actor)
        except (ValueError, KeyError) as error:
            raise ReportsUnreadable(f"line {number}: {_told(error)}") from None


def is_unclear(evidence: Evidence) -> bool:
    """Whether a report leaves any finding open."""
    outcomes = evidence.body["outcomes"]
    return isinstance(outcomes, dict) and Label.UNCLEAR.value in outcomes.values()


class _Misfit(ValueError):
    """Its message holds no value of the file."""


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, _Misfit) else "a column is missing or malformed"


def _evidence_of(row: Row, pseudonymiser: Pseudonymiser, actor: str) -> Evidence:
    accession = pseudonymiser.pseudonymise(Identifier.ACCESSION, row.get(ACCESSION) or "")
    study = pseudonymiser.pseudonymise(Identifier.STUDY_INSTANCE, row.get(STUDY) or "")
    if accession is None and study is None:
        raise _Misfit(f"expected {ACCESSION} or {STUDY}")
    outcomes, source = _outcomes_of(row)
    return Evidence(
        kind=Kind.REPORT,
        accession=accession,
        study_instance=study,
        actor=actor,
        body={"outcomes": outcomes, "read_at": _read_at(row), "source": source},
    )


def _outcomes_of(row: Row) -> tuple[dict[str, str], str]:
    text = row.get(REPORT)
    if text and text.strip():
        return {f.value: label.value for f, label in label_report(text).items()}, "labeller"
    told = {f.value: (row.get(f.value) or "").strip().lower() for f in ABNORMAL}
    known = {label.value for label in Label}
    wrong = [name for name, outcome in told.items() if outcome not in known]
    if wrong:
        raise _Misfit(f"{', '.join(wrong)}: expected {', '.join(sorted(known))}")
    return told, "csv"


def _read_at(row: Row) -> str | None:
    text = (row.get(READ_AT) or "").strip()
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise _Misfit(f"{READ_AT}: expected a time zone, for example 2026-03-01T07:30:00+01:00")
    return moment.astimezone(UTC).isoformat()

"""CSV of radiologists' outcomes -> evidence, pseudonymised on the way in.

Columns: `accession` or `study_instance_uid` (or both), `read_at` (ISO 8601 with a zone), and
either one column a finding (`pneumonia`, `tuberculosis`: positive, negative or unclear) or
`report`, whose text the labeller reads and nothing keeps.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from service.core.errors import CxrError
from service.core.findings import ABNORMAL
from service.labeller import label_report
from service.record import Evidence, Identifier, Kind, Label, Pseudonymiser

ACCESSION, STUDY, READ_AT, REPORT = "accession", "study_instance_uid", "read_at", "report"

Row = Mapping[str, str | None]


class ReportsUnreadable(CxrError):
    """A line of the file is not what it must be; names the line, and quotes nothing of it."""

    code = "REPORTS_UNREADABLE"


def read_file(source: Path | IO[bytes], pseudonymiser: Pseudonymiser, actor: str) -> list[Evidence]:
    """Read a whole file before anything of it is written; about a kilobyte of memory a line.

    Parameters
    ----------
    source
        A file, or a pipe; either is closed at the end.

    Raises
    ------
    ReportsUnreadable
        It cannot be opened, or one of its lines cannot be read.
    """
    try:
        with (
            source.open("rb") if isinstance(source, Path) else nullcontext(source) as raw,
            # What is not UTF-8 is let in as surrogates, so that its line can be named.
            io.TextIOWrapper(raw, "utf-8-sig", errors="surrogateescape", newline="") as lines,
        ):
            return list(read_reports(lines, pseudonymiser, actor))
    except OSError as error:
        raise ReportsUnreadable(f"the file cannot be read ({type(error).__name__})") from None


def read_reports(
    lines: Iterable[str], pseudonymiser: Pseudonymiser, actor: str
) -> Iterator[Evidence]:
    """Yield one row of evidence a row of CSV, whose text may go over several lines.

    Raises
    ------
    ReportsUnreadable
        Names the first line that cannot be read; of a row of several lines, its last.
    """
    rows = csv.DictReader(map(_checked, lines), strict=True)
    while True:
        try:
            row = next(rows, None)
            if row is None:
                return
            told = _evidence_of(row, pseudonymiser, actor)
        except (ValueError, KeyError, OverflowError, csv.Error) as error:
            # A line that was not handed over yet is not counted yet.
            number = rows.reader.line_num + isinstance(error, _NotUtf8)
            raise ReportsUnreadable(f"line {number}: {_told(error)}") from None
        yield told


def is_unclear(evidence: Evidence) -> bool:
    """Whether a report leaves any finding open."""
    outcomes = evidence.body["outcomes"]
    return isinstance(outcomes, dict) and Label.UNCLEAR.value in outcomes.values()


class _Misfit(ValueError):
    """Its message holds no value of the file."""


class _NotUtf8(_Misfit):
    """Noticed before the line is read as CSV."""


def _checked(line: str) -> str:
    if not line.isascii() and any("\ud800" <= character <= "\udfff" for character in line):
        raise _NotUtf8("expected UTF-8")
    return line


def _told(error: Exception) -> str:
    if isinstance(error, csv.Error):
        return "expected CSV: a quotation mark or the length of a field does not fit"
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

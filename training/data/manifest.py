"""`manifest.csv`: one study a row, every row checked before anything is read."""

import csv
import math
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from service.core.findings import Finding
from training.data.studies import NoStudies, Split, Study

MANIFEST = "manifest.csv"
REQUIRED = ("split", "file", "label", "source", "patient_id")
Choice = TypeVar("Choice", bound=StrEnum)


def read_manifest(path: Path) -> tuple[Study, ...]:
    """Read the rows as they stand.

    Raises
    ------
    NoStudies
        No UTF-8, no CSV, a column is missing, or a row is not understood; names its line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            return _read_rows(path.name, csv.DictReader(handle))
    except UnicodeDecodeError as error:
        raise NoStudies(f"{path.name} is not UTF-8: byte {error.start} cannot be read") from error


def _read_rows(name: str, rows: "csv.DictReader[str]") -> tuple[Study, ...]:
    try:
        found = rows.fieldnames or ()
        if missing := [column for column in REQUIRED if column not in found]:
            raise ValueError(f"missing column {', '.join(missing)}; found {', '.join(found)}")
        return tuple(_study_from_row(row) for row in rows)
    except UnicodeDecodeError:
        raise
    except (csv.Error, ValueError) as error:
        raise NoStudies(f"{name} line {max(rows.line_num, 1)}: {error!s}") from error


def _study_from_row(row: Mapping[str | None, str | None]) -> Study:
    if None in row:
        raise ValueError("more cells than columns")
    cells = {str(column): (value or "").strip() for column, value in row.items()}
    if empty := [column for column in REQUIRED if not cells[column]]:
        hint = "; `file:` and a name stands for an unknown patient"
        raise ValueError(f"{', '.join(empty)} is empty{hint if 'patient_id' in empty else ''}")
    return Study(
        file=cells["file"],
        finding=_read_choice(cells["label"], Finding),
        split=_read_choice(cells["split"], Split),
        source=cells["source"],
        patient_id=cells["patient_id"],
        sha256=cells.get("sha256", "").lower() or None,
        age_years=_read_age(cells.get("age", "")),
        sex=cells.get("sex", ""),
        view=cells.get("view", ""),
        tier=cells.get("tier", ""),
    )


def _read_choice(text: str, kind: type[Choice]) -> Choice:
    try:
        return kind(text)
    except ValueError as error:
        raise ValueError(f"{error}; expected {', '.join(kind)}") from error


def _read_age(text: str) -> float | None:
    age = float(text) if text else None
    if age is not None and not (math.isfinite(age) and age >= 0):
        raise ValueError(f"age {text}; expected years, 0 or more")
    return age

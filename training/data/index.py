"""The studies of a data folder.

Two layouts: a `manifest.csv` (split, file, label, source, patient_id, ...), or folders
`train|val|test / normal|pneumonia|tuberculosis / *.png|*.jpg|*.dcm` as in the public Kaggle set,
in upper or lower case.
"""

import csv
import hashlib
import re
from pathlib import Path

from service.core.findings import FINDINGS, Finding
from training.data.splits import check_splits, without_leaks
from training.data.studies import NoStudies, Split, Study

MANIFEST = "manifest.csv"
SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")

PATIENT = re.compile(
    r"^(person\d+_(?:bacteria|virus)"  # Kermany; bacteria and virus are numbered separately
    r"|(?:NORMAL\d*-)?IM-\d+"  # Kermany, normal: IM-0115-0001, NORMAL2-IM-1427-0001
    r"|(?:CHN|MCU)CXR_\d+"  # Shenzhen and Montgomery: CHNCXR_0001_0
    r"|\d{8}(?=_\d{3})"  # ChestX-ray14: 00000013_005
    r"|patient\d+)",
    re.IGNORECASE,
)
"""Prefix of a file name that names the patient in the public sets."""


def index_studies(folder: Path, *, drop_leaks: bool = False) -> tuple[Study, ...]:
    """List the studies of a data folder and prove that no patient crosses a split.

    Parameters
    ----------
    drop_leaks
        Leave out of training whatever is also in val or test, instead of refusing.

    Raises
    ------
    NoStudies
        Neither a manifest nor class folders.
    SplitLeak
        A patient id or a file digest occurs in two splits.
    """
    manifest = folder / MANIFEST
    studies = _read_manifest(manifest) if manifest.is_file() else _walk_folders(folder)
    if not studies:
        raise NoStudies(
            f"no studies in {folder}: expected {MANIFEST}, or train|val|test / "
            f"{' | '.join(FINDINGS)} / images; is DATA_DIR right?"
        )
    studies = without_leaks(studies) if drop_leaks else studies
    check_splits(studies)
    return studies


def _read_manifest(path: Path) -> tuple[Study, ...]:
    with path.open(newline="", encoding="utf-8") as handle:
        rows = csv.DictReader(handle)
        try:
            return tuple(_study_from_row(row) for row in rows)
        except (KeyError, ValueError) as error:
            raise NoStudies(
                f"{path.name} line {rows.line_num}: {error!s} not understood"
            ) from error


def _study_from_row(row: dict[str, str]) -> Study:
    age = row.get("age", "")
    return Study(
        file=row["file"],
        finding=Finding(row["label"]),
        split=Split(row["split"]),
        source=row.get("source") or "unknown",
        patient_id=row["patient_id"],
        sha256=row.get("sha256") or None,
        age_years=float(age) if age else None,
        sex=row.get("sex", ""),
        view=row.get("view", ""),
        tier=row.get("tier", ""),
    )


def _walk_folders(folder: Path) -> tuple[Study, ...]:
    return tuple(
        _study_from_file(folder, path, split, finding)
        for split in (Split.TRAIN, Split.VAL, Split.TEST)
        for place in _subfolders(folder, split)
        for finding in FINDINGS
        for group in _subfolders(place, finding)
        for path in sorted(group.rglob("*"))
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )


def _subfolders(folder: Path, name: str) -> list[Path]:
    """Folders of this name in any case."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.is_dir() and p.name.lower() == name)


def _study_from_file(folder: Path, path: Path, split: Split, finding: Finding) -> Study:
    """Group by the patient that the file name tells; a name that tells none is its own patient."""
    name = path.relative_to(folder).as_posix()
    known = PATIENT.match(path.stem)
    patient = known.group(1).lower() if known else f"file:{name}"
    body_digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Study(name, finding, split, folder.resolve().name, patient, body_digest)

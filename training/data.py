"""The study index and the dataset over the served preprocessing.

Two layouts: a `manifest.csv` (split, file, label, source, patient_id, ...), or folders
`train|val|test / normal|pneumonia|tuberculosis / *.png|*.jpg|*.dcm` as in the public Kaggle set.
"""

import csv
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from service.core.findings import FINDINGS, Finding
from service.core.intake import read_radiograph
from service.core.preprocess import PreprocessSpec, preprocess
from service.core.radiograph import Pixels

MANIFEST = "manifest.csv"
SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")
KAGGLE_PATIENT = re.compile(r"^(person\d+|(?:NORMAL2?-)?IM-\d+|[A-Za-z]+\d+)", re.IGNORECASE)
"""File-name prefix that names the patient in the Kaggle set (`person12_bacteria_47.jpeg`)."""


class Split(StrEnum):
    """Role of a study."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"
    TRAIN_OPTIONAL = "train_optional"
    """Patients unknown: may be trained on, never measured on."""


class SplitLeak(ValueError):
    """One patient, or one file, is in more than one split."""


class NoStudies(ValueError):
    """The data folder holds nothing that can be read as a study."""


@dataclass(frozen=True, slots=True)
class Study:
    """One labelled radiograph file."""

    file: str
    finding: Finding
    split: Split
    source: str
    patient_id: str
    sha256: str | None = None
    age_years: float | None = None
    sex: str = ""
    view: str = ""
    tier: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Preprocessed studies in memory: pixels (N, 1, S, S) float32, targets (N,) int64."""

    studies: tuple[Study, ...]
    pixels: Pixels
    targets: NDArray[np.int64]


def index_studies(folder: Path) -> tuple[Study, ...]:
    """List the studies of a data folder and prove that no patient crosses a split.

    Raises
    ------
    NoStudies
        Neither a manifest nor class folders.
    SplitLeak
        A patient id or a file digest occurs in two of train, val and test.
    """
    manifest = folder / MANIFEST
    studies = _read_manifest(manifest) if manifest.is_file() else _walk_folders(folder)
    if not studies:
        raise NoStudies(
            f"no studies in {folder}: expected {MANIFEST}, or train|val|test / "
            f"{' | '.join(FINDINGS)} / images; is DATA_DIR right?"
        )
    check_splits(studies)
    return studies


def check_splits(studies: Iterable[Study]) -> None:
    """Refuse data in which a patient, or the same bytes, is in more than one split."""
    splits_of: dict[str, set[Split]] = defaultdict(set)
    for study in studies:
        splits_of[f"patient {study.patient_id}"].add(study.split)
        if study.sha256:
            splits_of[f"file digest {study.sha256}"].add(study.split)
    leaks = [key for key, splits in splits_of.items() if len(splits) > 1]
    if leaks:
        raise SplitLeak(f"{len(leaks)} shared between splits, the first is {leaks[0]}")


def select(studies: Iterable[Study], *splits: Split) -> tuple[Study, ...]:
    """The studies of some splits, in a stable order."""
    return tuple(study for study in studies if study.split in splits)


def load_dataset(
    folder: Path, studies: Sequence[Study], spec: PreprocessSpec, *, show_progress: bool = True
) -> Dataset:
    """Read and preprocess every study with the functions that serve requests.

    Raises
    ------
    service.core.errors.CxrError
        A file cannot be read, or its bytes are not those that the manifest names.
    """

    def load(study: Study) -> Pixels:
        return load_item(folder, study, spec)

    pixels = np.empty((len(studies), 1, spec.side_px, spec.side_px), np.float32)
    with ThreadPoolExecutor() as pool:
        items = pool.map(load, studies)
        listed = track(items, "reading", total=len(studies), disable=not show_progress)
        for index, item in enumerate(listed):
            pixels[index] = item
    targets = np.array([FINDINGS.index(study.finding) for study in studies], np.int64)
    return Dataset(tuple(studies), pixels, targets)


def load_item(folder: Path, study: Study, spec: PreprocessSpec) -> Pixels:
    """One training item (1, S, S): bit for bit what the service would hand to its batcher."""
    body = (folder / study.file).read_bytes()
    if study.sha256 and hashlib.sha256(body).hexdigest() != study.sha256:
        raise ValueError(f"{study.file} is not the file that the manifest names")
    return preprocess(read_radiograph(body), spec)


def sampling_weights(studies: Sequence[Study]) -> NDArray[np.float64]:
    """Probability of drawing each study: groups of (source, finding) by the root of their size."""
    sizes = Counter((study.source, study.finding) for study in studies)
    weights = np.array([sizes[study.source, study.finding] ** -0.5 for study in studies])
    return weights / weights.sum()


def split_digest(studies: Iterable[Study]) -> str:
    """SHA-256 over the sorted list of (split, file, finding, patient): the identity of a split."""
    lines = sorted(f"{s.split}\t{s.file}\t{s.finding}\t{s.patient_id}" for s in studies)
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _read_manifest(path: Path) -> tuple[Study, ...]:
    with path.open(newline="", encoding="utf-8") as handle:
        return tuple(_study_from_row(row) for row in csv.DictReader(handle))


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
        for finding in FINDINGS
        for path in sorted((folder / split / finding).rglob("*"))
        if path.suffix.lower() in SUFFIXES
    )


def _study_from_file(folder: Path, path: Path, split: Split, finding: Finding) -> Study:
    """Group by the patient that the file name tells; a name that tells none is its own patient."""
    known = KAGGLE_PATIENT.match(path.stem)
    patient = f"{finding}:{known.group(1).lower()}" if known else f"{finding}:{path.stem}"
    body_digest = hashlib.sha256(path.read_bytes()).hexdigest()
    name = path.relative_to(folder).as_posix()
    return Study(name, finding, split, folder.name, patient, body_digest)

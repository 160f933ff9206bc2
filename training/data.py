"""The study index and the dataset over the served preprocessing.

Two layouts: a `manifest.csv` (split, file, label, source, patient_id, ...), or folders
`train|val|test / normal|pneumonia|tuberculosis / *.png|*.jpg|*.dcm` as in the public Kaggle set,
in upper or lower case.
"""

import csv
import hashlib
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.core.errors import CxrError
from service.core.findings import FINDINGS, Finding
from service.core.intake import read_radiograph
from service.core.preprocess import PreprocessSpec, preprocess
from service.core.radiograph import Pixels, Radiograph
from training.config import DataConfig, RunConfig, Sampling

MANIFEST = "manifest.csv"
SOURCES = Path(__file__).with_name("sources.toml")
SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")
SMALLEST_PRIOR = 1e-6
"""Of a finding that a source does not hold, when the prior is taken at full strength."""

PATIENT = re.compile(
    r"^(person\d+_(?:bacteria|virus)"  # Kermany; bacteria and virus are numbered separately
    r"|(?:NORMAL\d*-)?IM-\d+"  # Kermany, normal: IM-0115-0001, NORMAL2-IM-1427-0001
    r"|(?:CHN|MCU)CXR_\d+"  # Shenzhen and Montgomery: CHNCXR_0001_0
    r"|\d{8}(?=_\d{3})"  # ChestX-ray14: 00000013_005
    r"|patient\d+)",
    re.IGNORECASE,
)
"""Prefix of a file name that names the patient in the public sets."""


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


class StudyUnreadable(ValueError):
    """A file of the study index cannot be used; the message names it."""


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
    studies = _without_leaks(studies) if drop_leaks else studies
    check_splits(studies)
    return studies


def check_splits(studies: Iterable[Study]) -> None:
    """Refuse data in which a patient, or the same bytes, is in more than one split."""
    splits_of: dict[str, set[Split]] = defaultdict(set)
    for study in studies:
        for key in _identities(study):
            splits_of[key].add(study.split)
    leaks = [(key, splits) for key, splits in splits_of.items() if len(splits) > 1]
    if leaks:
        key, splits = leaks[0]
        raise SplitLeak(
            f"{len(leaks)} in more than one split; {key} is in {', '.join(sorted(splits))}"
        )


def _identities(study: Study) -> tuple[str, ...]:
    """What may not be in two splits."""
    patient = f"patient {study.patient_id}"
    return (patient, f"file digest {study.sha256}") if study.sha256 else (patient,)


def _without_leaks(studies: Sequence[Study]) -> tuple[Study, ...]:
    measured = select(studies, Split.VAL, Split.TEST)
    taken = {key for study in measured for key in _identities(study)}
    return measured + tuple(
        study
        for study in select(studies, Split.TRAIN, Split.TRAIN_OPTIONAL)
        if taken.isdisjoint(_identities(study))
    )


def trained_on(studies: Sequence[Study], config: DataConfig) -> tuple[Study, ...]:
    """The studies that a configuration trains on.

    Raises
    ------
    NoStudies
        None, or a source to leave out is not there: a slip of the pen would measure nothing.
    """
    known = {study.source for study in studies}
    if unknown := set(config.leave_out) - known:
        raise NoStudies(f"no source {', '.join(sorted(unknown))}; there are {sorted(known)}")
    splits = (Split.TRAIN, Split.TRAIN_OPTIONAL) if config.include_optional else (Split.TRAIN,)
    overlaps = shared_with(config.leave_out)
    chosen = tuple(
        study
        for study in select(studies, *splits)
        if study.source not in config.leave_out and (study.source, study.finding) not in overlaps
    )
    if not chosen:
        raise NoStudies(f"the data folder holds no study in {', '.join(splits)}")
    return chosen


def shared_with(left_out: Sequence[str]) -> set[tuple[str, str]]:
    """(source, finding) groups that may hold patients of the sources to leave out."""
    sources = tomllib.loads(SOURCES.read_text(encoding="utf-8"))
    return {
        (source, finding)
        for source, told in sources.items()
        for other, findings in told.get("may_hold", {}).items()
        if other in left_out
        for finding in findings
    }


def subset(dataset: Dataset, studies: Iterable[Study]) -> Dataset:
    """Some studies of a dataset, in its order."""
    chosen = set(studies)
    places = [index for index, study in enumerate(dataset.studies) if study in chosen]
    return Dataset(
        tuple(dataset.studies[index] for index in places),
        dataset.pixels[places],
        dataset.targets[places],
    )


def select(studies: Iterable[Study], *splits: Split) -> tuple[Study, ...]:
    """The studies of some splits, in a stable order."""
    return tuple(study for study in studies if study.split in splits)


def load_dataset(
    folder: Path,
    studies: Sequence[Study],
    spec: PreprocessSpec,
    on_images: Callable[[int], None] = lambda images: None,
) -> Dataset:
    """Read and preprocess every study with the functions that serve requests.

    Raises
    ------
    StudyUnreadable
        A file cannot be read, or its bytes are not those that the manifest names.
    """

    def load(study: Study) -> Pixels:
        return load_item(folder, study, spec)

    pixels = np.empty((len(studies), 1, spec.side_px, spec.side_px), np.float32)
    with ThreadPoolExecutor() as pool:
        for index, item in enumerate(pool.map(load, studies)):
            pixels[index] = item
            on_images(1)
    return Dataset(tuple(studies), pixels, targets_of(studies))


def targets_of(studies: Sequence[Study]) -> NDArray[np.int64]:
    """(N,) place of each study's label in `FINDINGS`."""
    return np.array([FINDINGS.index(study.finding) for study in studies], np.int64)


def load_item(folder: Path, study: Study, spec: PreprocessSpec) -> Pixels:
    """One training item (1, S, S): bit for bit what the service would hand to its batcher."""
    return preprocess(read_study(folder, study), spec)


def read_study(folder: Path, study: Study) -> Radiograph:
    """Read one file as an upload would be read.

    Raises
    ------
    StudyUnreadable
        It is not there, does not decode, or is not the file that the manifest names.
    """
    try:
        body = (folder / study.file).read_bytes()
        radiograph = read_radiograph(body)
    except (OSError, CxrError) as error:
        raise StudyUnreadable(f"{study.file}: {error}") from error
    if study.sha256 and hashlib.sha256(body).hexdigest() != study.sha256:
        raise StudyUnreadable(f"{study.file} is not the file that the manifest names")
    return radiograph


def sampling_weights(studies: Sequence[Study]) -> NDArray[np.float64]:
    """Probability of drawing each study: groups of (source, finding) by the root of their size."""
    sizes = Counter((study.source, study.finding) for study in studies)
    weights = np.array([sizes[study.source, study.finding] ** -0.5 for study in studies])
    return np.asarray(weights / weights.sum(), np.float64)


def source_priors(studies: Sequence[Study], config: RunConfig) -> NDArray[np.float64]:
    """(N, F) probability of each finding given the source alone, among the images as drawn.

    `optimiser.source_prior` mixes it with the uniform distribution, which alone says nothing.
    """
    weights = (
        sampling_weights(studies)
        if config.data.sampling is Sampling.BALANCED
        else np.ones(len(studies))
    )
    targets = targets_of(studies)
    sources = sorted({study.source for study in studies})
    places = np.array([sources.index(study.source) for study in studies])
    drawn_sf = np.zeros((len(sources), len(FINDINGS)))
    np.add.at(drawn_sf, (places, targets), weights)
    shares_sf = drawn_sf / drawn_sf.sum(axis=1, keepdims=True)
    strength = config.optimiser.source_prior
    mixed_sf = strength * shares_sf + (1 - strength) / len(FINDINGS)
    return np.asarray(np.maximum(mixed_sf, SMALLEST_PRIOR)[places], np.float64)


def split_digest(studies: Iterable[Study]) -> str:
    """SHA-256 over the sorted list of (split, file, finding, patient): the identity of a split."""
    lines = sorted(f"{s.split}\t{s.file}\t{s.finding}\t{s.patient_id}" for s in studies)
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()


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

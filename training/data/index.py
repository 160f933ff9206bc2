"""The studies of a data folder.

Two layouts: a `manifest.csv` (split, file, label, source, patient_id, ...), or folders
`train|val|test / normal|pneumonia|tuberculosis / *.png|*.jpg|*.dcm` as in the public Kaggle set,
in upper or lower case.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from service.core.findings import FINDINGS, Finding
from training.data.manifest import MANIFEST, read_manifest
from training.data.patients import patients_of
from training.data.splits import check_splits, without_leaks
from training.data.studies import NoStudies, Split, Study
from training.data.tags import read_told

PICTURES = (".png", ".jpg", ".jpeg")
"""Carry no tags, so no header has to be read."""
SUFFIXES = (*PICTURES, ".dcm", ".dicom")

PATIENT = re.compile(
    r"^(person\d+_(?:bacteria|virus)"  # Kermany; bacteria and virus are numbered separately
    r"|(?:NORMAL\d*-)?IM-\d+"  # Kermany, normal: IM-0115-0001, NORMAL2-IM-1427-0001
    r"|(?:CHN|MCU)CXR_\d+"  # Shenzhen and Montgomery: CHNCXR_0001_0
    r"|\d{8}(?=_\d{3})"  # ChestX-ray14: 00000013_005
    r"|patient\d+)",
    re.IGNORECASE,
)
"""Prefix of a file name that names the patient in the public sets."""

UNPROVED = "file:"
"""Begins the patient id of a study whose patient is not known."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The studies of a data folder, and what could not be proved of them."""

    studies: tuple[Study, ...]
    left_out: tuple[Study, ...] = ()
    """Outside the intended use by their tags: the service would not evaluate them."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for whoever runs an act on them."""
        return (*self._note_left_out(), *self._note_unproved(), *self._note_copies())

    def _note_left_out(self) -> tuple[str, ...]:
        reasons = Counter(study.refusal for study in self.left_out)
        if not reasons:
            return ()
        counts = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
        return (f"left out of every split, as the service would not evaluate them: {counts}",)

    def _note_unproved(self) -> tuple[str, ...]:
        unproved = sum(count_unproved(self.studies).values())
        if not unproved:
            return ()
        told = "neither file name, tag nor manifest tells the patient"
        return (f"unproved: of {unproved} of {len(self.studies)} studies {told}",)

    def _note_copies(self) -> tuple[str, ...]:
        named, real = len({s.patient_id for s in self.studies}), len(set(patients_of(self.studies)))
        if named == real:
            return ()
        return (f"copies: equal bytes make {real} patients of {named}; a copy proves nothing anew",)


def index_studies(folder: Path, *, drop_leaks: bool = False) -> tuple[Study, ...]:
    """The studies of `survey_folder`."""
    return survey_folder(folder, drop_leaks=drop_leaks).studies


def survey_folder(folder: Path, *, drop_leaks: bool = False) -> Survey:
    """List the studies of a data folder and prove that no known patient crosses a split.

    Parameters
    ----------
    drop_leaks
        Leave out of training whatever is also in val or test, instead of refusing.

    Raises
    ------
    NoStudies
        Neither a manifest nor class folders.
    SplitLeak
        A patient id, a file or its digest occurs in two splits, or a file has two labels.
    """
    manifest = folder / MANIFEST
    found = _read_rows(manifest) if manifest.is_file() else _walk_folders(folder)
    studies = tuple(study for study in found if not study.refusal)
    if not studies:
        raise NoStudies(
            f"no studies in {folder}: expected {MANIFEST}, or train|val|test / "
            f"{' | '.join(FINDINGS)} / images; is DATA_DIR right?"
        )
    studies = without_leaks(studies) if drop_leaks else studies
    check_splits(studies)
    return Survey(studies, tuple(study for study in found if study.refusal))


def count_unproved(studies: Iterable[Study]) -> dict[str, int]:
    """Source -> images whose patient neither file name, tag nor manifest tells."""
    found = Counter(s.source for s in studies if s.patient_id.startswith(UNPROVED))
    return dict(sorted(found.items()))


def _read_rows(manifest: Path) -> tuple[Study, ...]:
    return tuple(_with_body(manifest.parent, study) for study in read_manifest(manifest))


def _with_body(folder: Path, study: Study) -> Study:
    """Add what only the file says: its digest where the manifest has none, and its scope.

    A file that is not there keeps its place: whoever reads it names it.
    """
    path = folder / study.file
    is_picture = path.suffix.lower() in PICTURES
    if (is_picture and study.sha256) or not path.is_file():
        return study
    body = path.read_bytes()
    told = None if is_picture else read_told(body)
    digest = study.sha256 or hashlib.sha256(body).hexdigest()
    return replace(study, sha256=digest, refusal=told.refusal if told else "")


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
    """Group by the patient of the tags, else of the file name; else it is its own patient."""
    name = path.relative_to(folder).as_posix()
    known = PATIENT.match(path.stem)
    patient = known.group(1).lower() if known else f"{UNPROVED}{name}"
    body = path.read_bytes()
    told = read_told(body)
    return Study(
        name,
        finding,
        split,
        folder.resolve().name,
        patient_id=(told.patient_id if told else "") or patient,
        sha256=hashlib.sha256(body).hexdigest(),
        age_years=told.age_years if told else None,
        sex=told.sex if told else "",
        view=told.view if told else "",
        refusal=told.refusal if told else "",
    )

"""One labelled radiograph file, and the split that it is in."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from service.core.findings import Finding


class Split(StrEnum):
    """Role of a study."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"
    TRAIN_OPTIONAL = "train_optional"
    """Patients unknown: may be trained on, never measured on."""


class NoStudies(ValueError):
    """The data folder holds nothing that can be read as a study."""


@dataclass(frozen=True, slots=True)
class Study:
    """One labelled radiograph file.

    Attributes
    ----------
    refusal
        Reason for which the tags put it outside the intended use; empty where they do not.
    """

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
    refusal: str = ""


def select(studies: Iterable[Study], *splits: Split) -> tuple[Study, ...]:
    """The studies of some splits, in a stable order."""
    return tuple(study for study in studies if study.split in splits)

"""Which images stand for many: drawn by the digest of a file's name, so that no score decides."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.core.findings import FINDINGS, Finding
from training.data.patients import patients_of
from training.data.studies import Study


def lot_of(study: Study) -> bytes:
    """A sorting key that is the same on every run, and has to do with nothing."""
    return hashlib.sha256(study.file.encode()).digest()


def few_of_each(studies: Sequence[Study], most: int) -> tuple[Study, ...]:
    """At most so many of each finding of each source, by lot."""
    drawn = sorted(studies, key=lot_of)
    return tuple(
        study
        for source in sorted({study.source for study in studies})
        for finding in FINDINGS
        for study in [s for s in drawn if s.source == source and s.finding is finding][:most]
    )


def one_per_patient(studies: Sequence[Study], finding: Finding | None = None) -> NDArray[np.intp]:
    """Index of one image of each patient, of those with the finding where one is named.

    The pick must not depend on the score: the lowest of each patient would shift the threshold.
    Patients who share a file of equal bytes are one.
    """
    picked: dict[str, tuple[bytes, int]] = {}
    for index, (study, patient) in enumerate(zip(studies, patients_of(studies), strict=True)):
        if finding is None or study.finding is finding:
            lot = lot_of(study), index
            picked[patient] = min(lot, picked.get(patient, lot))
    return np.array(sorted(index for _, index in picked.values()), np.intp)

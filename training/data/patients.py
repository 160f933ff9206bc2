"""Whose each study is, where equal bytes tell more than the names do."""

from collections.abc import Sequence

from training.data.studies import Study


def patients_of(studies: Sequence[Study]) -> tuple[str, ...]:
    """The patient of each study; patients who share a file of equal bytes are one.

    Public sets hold one picture under several names, and where the name is all that tells the
    patient, each copy would pass for another. A copy is no second observation: counted as one, it
    certifies thresholds that the patients do not.
    """
    joined: dict[str, str] = {}
    owners: dict[str, str] = {}
    for study in studies:
        one = _first_of(joined, study.patient_id)
        if study.sha256:
            other = _first_of(joined, owners.setdefault(study.sha256, one))
            joined[max(one, other)] = min(one, other)
    return tuple(_first_of(joined, study.patient_id) for study in studies)


def _first_of(joined: dict[str, str], patient: str) -> str:
    """The one whose name stands for all that were joined with this one."""
    while (other := joined.get(patient, patient)) != patient:
        patient = other
    return patient

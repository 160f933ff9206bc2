"""What the tags of a DICOM study tell the index: whose it is, and what evidence is split by."""

import hashlib
from dataclasses import dataclass

from service.core.dicom import looks_like_dicom
from service.core.dicom_context import read_context
from service.core.dicom_format import read_pixel_format
from service.core.dicom_layout import find_layout
from service.core.dicom_tags import Tags, read_tags
from service.core.errors import IntakeError, NotEvaluated
from service.core.radiograph import DicomContext, View
from service.core.scope import IntendedUse, check_tags

ID_DIGITS = 16
"""Of the digest that stands for a patient: no two of a million patients share it."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the header alone says; empty where it says nothing.

    Attributes
    ----------
    refusal
        Reason for which the service would not evaluate it; empty within the intended use.
    """

    patient_id: str
    age_years: float | None
    sex: str
    view: str
    refusal: str = ""


def read_told(body: bytes) -> Told | None:
    """Read the header of a DICOM file; None of another file, or where it cannot be read.

    Whoever reads the pixels of an unreadable one then says what is wrong with it.
    """
    if not looks_like_dicom(body):
        return None
    try:
        tags = read_tags(body, find_layout(body))
    except IntakeError:
        return None
    context = read_context(tags)
    return Told(
        patient_id=_patient_of(tags),
        age_years=context.age_years,
        sex=tags.text("PatientSex").upper(),
        view="" if context.view is View.UNKNOWN else context.view.value,
        refusal=_refusal_of(tags, context),
    )


def _refusal_of(tags: Tags, context: DicomContext) -> str:
    try:
        if "Rows" not in tags:
            return "NOT_AN_IMAGE"
        if read_pixel_format(tags).frames > 1:
            return "MULTI_FRAME"
        check_tags(context, IntendedUse())
    except NotEvaluated as refused:
        return refused.reason
    except IntakeError:
        pass  # reading its pixels names the file and says what is wrong
    return ""


def _patient_of(tags: Tags) -> str:
    """Digest of Patient ID and its issuer, which must not reach a message or a log."""
    patient_id = tags.text("PatientID")
    if not patient_id:
        return ""
    named = f"{tags.text('IssuerOfPatientID')}\0{patient_id}"
    return "dicom:" + hashlib.sha256(named.encode()).hexdigest()[:ID_DIGITS]

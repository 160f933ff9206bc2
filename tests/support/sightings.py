"""What the drift monitor is told of one radiograph."""

import numpy as np

from service.core.drift_scalars import sample_radiograph
from service.core.inference import Scores
from service.core.preprocess import preprocess
from service.core.radiograph import DicomContext, Radiograph, View
from service.drift_sighting import Sighting
from tests.support.drift import SPEC


def see(
    radiograph: Radiograph,
    number: int,
    scanner: str,
    *,
    software: str = "",
    reason: str | None = None,
    reference: str | None = None,
) -> Sighting:
    """An evaluated radiograph, one second after the one before."""
    return Sighting(
        scanner=scanner,
        seconds=1_700_000_000.0 + number,
        sample=sample_radiograph(radiograph),
        dicom=describe_device(software),
        pixels=preprocess(radiograph, SPEC),
        scores=Scores(
            np.array((0.8, 0.1, 0.1), np.float32),
            np.zeros(3, np.float32),
            np.zeros(1, np.float32),
        ),
        reason=reason,
        reference=reference,
    )


def describe_device(software: str) -> DicomContext:
    """Tags of a detector with this software."""
    return DicomContext(
        modality="DX", view=View.PA, body_part="CHEST", age_years=50.0, presentation_intent="",
        image_type=(), sop_class_uid="",
        polarity_source="", window_source="", software_versions=software,
    )  # fmt: skip

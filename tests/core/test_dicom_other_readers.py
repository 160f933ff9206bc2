"""Where the display pipelines of pydicom 3.0.2 and highdicom 0.28.2 show another picture.

Each row is read by ours and by theirs: ours shows the exposure, theirs a negative, noise or
nothing. A library that mends a row fails its test here, and the row may go.
"""

import io
import warnings
from collections.abc import Callable

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from service.core.intake import read_radiograph
from tests.support.cases import LEVELS
from tests.support.dicom_catalogue import READ

Picture = np.ndarray
WRONG_IN_PYDICOM = (
    "MONOCHROME1",
    "MONOCHROME1 + INVERSE",
    "negative slope, MONOCHROME1",
    "inverting VOI LUT, MONOCHROME1",
    "inverting modality LUT",
    "MONOCHROME1 + IDENTITY, stored as a negative",
    "MONOCHROME2 + INVERSE, stored as a negative",
    "VOI LUT of 8 bits",
    "unknown VOI LUT function",
    "window of width 0",
    "window of width below 1",
    "modality LUT",
    "high bit 15",
)
WRONG_IN_HIGHDICOM = (
    "inverting VOI LUT",
    "inverting VOI LUT, MONOCHROME1",
    "inverting modality LUT",
    "MONOCHROME1 + IDENTITY, stored as a negative",
    "MONOCHROME2 + INVERSE, stored as a positive",
    "VOI LUT of 11 bits",
    "VOI LUT of 8 bits",
    "VOI LUT of signed input",
    "unknown VOI LUT function",
    "empty window",
    "window of width 0",
    "window of width below 1",
    "modality LUT",
    "overlay in the high bits",
    "signed, 12 bits",
)
ROWS = [
    *(("pydicom", name) for name in WRONG_IN_PYDICOM),
    *(("highdicom", name) for name in WRONG_IN_HIGHDICOM),
]


@pytest.mark.parametrize(("library", "name"), ROWS)
@pytest.mark.filterwarnings("ignore")
def test_ours_shows_the_exposure_where_theirs_does_not(library: str, name: str) -> None:
    body = READ[name].body({})

    ours = read_radiograph(body).grey

    assert likeness(ours) > 0.999
    assert likeness_of(READERS[library], body) < 0.5


def read_with_pydicom(body: bytes) -> Picture:
    """What its documentation shows: pixel_array, then both look-up tables."""
    dataset = pydicom.dcmread(io.BytesIO(body))
    return apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)


def read_with_highdicom(body: bytes) -> Picture:
    """Its display pipeline: a VOI transform where there is one, and the presentation LUT."""
    image = highdicom.Image.from_dataset(pydicom.dcmread(io.BytesIO(body)))
    shown: Picture = image.get_frame(1, apply_voi_transform=None, apply_presentation_lut=True)
    return shown


READERS: dict[str, Callable[[bytes], Picture]] = {
    "pydicom": read_with_pydicom,
    "highdicom": read_with_highdicom,
}


def likeness(shown: Picture) -> float:
    """Pearson's correlation with the exposure; that of a negative is -1."""
    return float(np.corrcoef(shown.ravel().astype(np.float64), LEVELS.ravel())[0, 1])


def likeness_of(read: Callable[[bytes], Picture], body: bytes) -> float:
    """The same of another reader's picture; -1 where it gives none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return likeness(read(body))
        except (ValueError, TypeError, RuntimeError):
            return -1.0

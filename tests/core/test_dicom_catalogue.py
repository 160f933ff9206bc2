"""Every file that a PACS really sends, read right or refused with its code, row by row.

The rows are in `tests/support/dicom_catalogue.py`, `refusal_catalogue.py` and
`raster_catalogue.py`; each is real bytes.
"""

from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from service.core.intake import IntakeLimits, read_radiograph
from service.core.preprocess import PreprocessSpec, preprocess
from service.core.radiograph import Radiograph
from tests.support.cases import EVALUATED, LEVELS, Case, respond
from tests.support.dicom_catalogue import LOSSLESS, POLARITY, READ, WINDOW, WORDS
from tests.support.radiographs import dicom_bytes
from tests.support.raster_catalogue import RASTER
from tests.support.refusal_catalogue import REFUSED

CATALOGUE: dict[str, Case] = {**READ, **REFUSED, **RASTER}
SHOWN = [name for name, case in CATALOGUE.items() if case.outcome == EVALUATED]
SAME_PIXELS = [name for name in {**POLARITY, **WINDOW, **LOSSLESS} if READ[name].likeness > 0.99]
TWINS = {
    "RG1_J2KR.dcm": "RG1_UNCR.dcm",
    "RG3_J2KR.dcm": "RG3_UNCR.dcm",
    "MR2_J2KR.dcm": "MR2_UNCR.dcm",
    "693_J2KR.dcm": "693_UNCR.dcm",
    "MR_small_RLE.dcm": "MR_small.dcm",
    "MR_small_jp2klossless.dcm": "MR_small.dcm",
    "MR_small_jpeg_ls_lossless.dcm": "MR_small.dcm",
    "MR_small_bigendian.dcm": "MR_small.dcm",
    "MR_small_implicit.dcm": "MR_small.dcm",
}
"""Files of pydicom and pydicom-data: compressed without loss, and as it was before."""


@pytest.fixture(scope="module")
def plain() -> Radiograph:
    """The exposure that the others are compared with: MONOCHROME2, 12 bits, no window."""
    return read_radiograph(dicom_bytes(LEVELS))


def test_no_row_hides_another() -> None:
    assert len(CATALOGUE) == len(READ) + len(REFUSED) + len(RASTER)


@pytest.mark.parametrize("name", CATALOGUE)
def test_response_is_the_one_of_the_catalogue(name: str) -> None:
    case = CATALOGUE[name]

    outcome, warnings, _ = respond(case.body({}))

    assert (outcome, warnings) == (case.outcome, case.warnings)


@pytest.mark.parametrize("name", SHOWN)
def test_same_exposure_shows_the_same_picture(name: str, plain: Radiograph) -> None:
    case = CATALOGUE[name]

    grey = read_radiograph(case.body({})).grey

    assert likeness(grey, plain.grey) >= case.likeness


@pytest.mark.parametrize("name", SAME_PIXELS)
def test_network_sees_the_same_pixels_whatever_the_encoding(name: str, plain: Radiograph) -> None:
    spec = PreprocessSpec(side_px=64)

    pixels = preprocess(read_radiograph(READ[name].body({})), spec)

    # 8-bit levels are the coarsest of the encodings: half a step of 1/255, stretched.
    assert np.abs(pixels - preprocess(plain, spec)).max() < 0.01


@pytest.mark.parametrize("name", ["padding value", "padding range", "display shutter"])
def test_what_no_ray_reached_is_black_and_outside_the_range(name: str, plain: Radiograph) -> None:
    read = read_radiograph(WORDS[name].body({}))

    assert read.padding is not None
    assert not read.grey[:, :6].any()
    assert likeness(read.grey[:, 6:], plain.grey[:, 6:]) > 0.999


@pytest.mark.parametrize("compressed", TWINS)
def test_real_lossless_file_is_bit_exact(compressed: str) -> None:
    limits = IntakeLimits(min_side_px=32)

    grey = read_radiograph(real_file(compressed), limits).grey

    assert np.array_equal(grey, read_radiograph(real_file(TWINS[compressed]), limits).grey)


def likeness(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation over all pixels; 1 exactly where they are equal."""
    if np.array_equal(first, second):
        return 1.0
    return min(float(np.corrcoef(first.ravel(), second.ravel())[0, 1]), 1.0 - 1e-9)


def real_file(name: str) -> bytes:
    """A file of the pydicom or pydicom-data package, found offline."""
    return Path(str(get_testdata_file(name, download=False))).read_bytes()

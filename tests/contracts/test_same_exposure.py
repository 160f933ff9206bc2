"""One real exposure in every form that a PACS sends, through the released model: one answer."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import (
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.support.apps import OpenApp, open_app, tiny_settings
from tests.support.radiographs import Words, dicom_bytes, png_bytes

STORE = Path(__file__).parents[2] / "model_store"
BITS, FULL = 15, 32767
TOLERANCE = 0.01


def real_exposure() -> Words:
    """Every fourth pixel of the chest film of pydicom-data, 0 black; 15 bits."""
    film = dcmread(str(get_testdata_file("RG1_UNCR.dcm", download=False)))
    stored = film.pixel_array[::4, ::4].astype(np.uint16)
    return np.ascontiguousarray(FULL - stored)


POSITIVE = real_exposure()
NEGATIVE = FULL - POSITIVE
JPEG_LOSSLESS = bytes(imagecodecs.jpeg8_encode(POSITIVE, lossless=True, bitspersample=16))
COMPRESSED = (RLELossless, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless)
FALLING = list(range(FULL, -1, -1))


FORMS: dict[str, dict[str, Any]] = {
    "MONOCHROME2": {},
    "MONOCHROME2, window": {"window": (16384, 32768)},
    "MONOCHROME1": {"stored": NEGATIVE, "photometric": "MONOCHROME1"},
    "MONOCHROME1, INVERSE": {
        "stored": NEGATIVE,
        "photometric": "MONOCHROME1",
        "presentation_lut_shape": "INVERSE",
    },
    "negative slope": {"stored": NEGATIVE, "rescale": (-1, FULL)},
    "VOI LUT": {"voi_lut": (list(range(FULL + 1)), 0, BITS)},
    "inverting VOI LUT": {"stored": NEGATIVE, "voi_lut": (FALLING, 0, BITS)},
    "implicit VR": {"transfer_syntax": ImplicitVRLittleEndian},
    **{syntax.name: {"transfer_syntax": syntax} for syntax in COMPRESSED},
    "JPEG Lossless": {"transfer_syntax": JPEGLosslessSV1, "frame": JPEG_LOSSLESS},
}


def uploads() -> dict[str, bytes]:
    """Each form as a radiograph of its own, or the second would be a replay of the first."""
    bodies = {
        form: dicom_bytes(
            **{"stored": POSITIVE, "bits_stored": BITS, **options},
            tags={"SOPInstanceUID": f"1.2.826.0.1.3680043.9.7777.2.{number}"},
        )
        for number, (form, options) in enumerate(FORMS.items())
    }
    return {**bodies, "PNG, 16 bit": png_bytes(POSITIVE * np.uint16(2))}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[OpenApp]:
    async with open_app(tiny_settings(STORE, tmp_path)) as opened:
        yield opened


async def test_every_form_of_one_exposure_gets_the_same_probabilities(service: OpenApp) -> None:
    answers = {
        form: (await service.client.post("/predict", content=body)).raise_for_status().json()
        for form, body in uploads().items()
    }

    scores = {form: np.array([*body["probabilities"].values()]) for form, body in answers.items()}
    differences = {
        form: float(np.abs(score - scores["MONOCHROME2"]).max()) for form, score in scores.items()
    }
    assert len(differences) == 14
    assert max(differences.values()) < TOLERANCE, differences

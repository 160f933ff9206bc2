"""Decoded samples -> stored words: what lies in the bits beyond Bits Stored."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import JPEGLSLossless, JPEGLSNearLossless

from service.core.intake import read_radiograph
from tests.support.frame_encoders import encode_frame
from tests.support.radiographs import chest_levels, dicom_bytes

WINDOW = (2048, 4096)
BURNT = np.clip(2 * chest_levels(96, 80).astype(np.int32) - 1500, 0, 4095)
"""A twelve-bit chest with areas of the least and of the largest value."""

RINGING = (3 * (np.indices(BURNT.shape).sum(axis=0) % 3 - 1)).astype(np.int32)


def read_near_lossless(
    samples: NDArray[np.integer], *, signed: bool, rescale: tuple[float, float]
) -> NDArray[np.uint16]:
    """Grey of samples of 16 bits in a lossy syntax, under a header that says 12 bits."""
    words = samples.astype(np.int16).view(np.uint16)
    frame = encode_frame(words, JPEGLSLossless, bits_stored=16)
    syntax = JPEGLSNearLossless
    body = dicom_bytes(
        words, frame=frame, transfer_syntax=syntax, signed=signed, rescale=rescale, window=WINDOW
    )
    return read_radiograph(body).grey


@pytest.mark.parametrize(("signed", "zero"), [(False, 0), (True, -2048)])
def test_white_stays_white_where_a_lossy_codestream_rings_beyond_the_bits_stored(
    signed: bool, zero: int
) -> None:
    ringing = BURNT + RINGING
    coded = ringing if signed else np.maximum(ringing, 0)

    grey = read_near_lossless(coded + zero, signed=signed, rescale=(1, -zero))

    shown = read_radiograph(dicom_bytes(np.clip(ringing, 0, 4095).astype(np.uint16), window=WINDOW))
    assert np.array_equal(grey, shown.grey)


@pytest.mark.parametrize("signed", [False, True])
def test_bits_far_beyond_those_stored_are_dropped_in_a_lossy_codestream_too(signed: bool) -> None:
    dirty = np.where(RINGING > 0, BURNT | 0x4000, BURNT)

    grey = read_near_lossless(dirty, signed=signed, rescale=(1, 0))

    clean = dicom_bytes(BURNT.astype(np.uint16), signed=signed, rescale=(1, 0), window=WINDOW)
    assert np.array_equal(grey, read_radiograph(clean).grey)


def test_bits_beyond_those_stored_are_dropped_in_a_lossless_codestream() -> None:
    overlaid = np.where(RINGING > 0, BURNT | 0x1000, BURNT).astype(np.uint16)
    frame = encode_frame(overlaid, JPEGLSLossless, bits_stored=16)

    body = dicom_bytes(overlaid, frame=frame, transfer_syntax=JPEGLSLossless, window=WINDOW)

    plain = dicom_bytes(BURNT.astype(np.uint16), window=WINDOW)
    assert np.array_equal(read_radiograph(body).grey, read_radiograph(plain).grey)

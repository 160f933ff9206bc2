"""JPEG Lossless: every predictor, real twins, and strictness about damage."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from service.core.dicom_jpeg_lossless import decode_jpeg_lossless
from service.core.errors import PixelDataDamaged, UnsupportedPixelFormat
from service.core.intake import read_radiograph
from tests.support.jpeg_encoders import encode_jpeg_lossless
from tests.support.radiographs import chest_levels

SMALL = chest_levels(48, 40)
PLAIN = encode_jpeg_lossless(SMALL, precision=12)


@pytest.mark.parametrize("predictor", range(1, 8))
def test_every_predictor_is_undone(predictor: int) -> None:
    codestream = encode_jpeg_lossless(SMALL, precision=12, predictor=predictor)

    assert np.array_equal(decode_jpeg_lossless(codestream), SMALL)


@given(seed=st.integers(0, 2**32 - 1), precision=st.integers(2, 16), predictor=st.integers(1, 7))
@settings(max_examples=30, deadline=None)
def test_any_samples_come_back(seed: int, precision: int, predictor: int) -> None:
    samples = np.random.default_rng(seed).integers(0, 1 << precision, (7, 9)).astype(np.uint16)

    codestream = encode_jpeg_lossless(samples, precision=precision, predictor=predictor)

    assert np.array_equal(decode_jpeg_lossless(codestream), samples)


def test_scan_longer_than_one_chunk_is_decoded() -> None:
    samples = np.random.default_rng(1).integers(0, 1 << 16, (480, 400)).astype(np.uint16)

    codestream = encode_jpeg_lossless(samples, precision=16)

    assert len(codestream) > 1 << 18
    assert np.array_equal(decode_jpeg_lossless(codestream), samples)


@pytest.mark.parametrize("name", ["JPEG-LL.dcm", "JPGLosslessP14SV1_1s_1f_8b.dcm"])
def test_real_file_is_decoded(name: str) -> None:
    body = Path(str(get_testdata_file(name, download=False))).read_bytes()

    assert len(np.unique(read_radiograph(body).grey)) > 100


def test_cut_scan_is_damage_and_not_a_black_area() -> None:
    for cut in itertools.chain(range(4, 40), range(40, 800, 37)):
        with pytest.raises(PixelDataDamaged):
            decode_jpeg_lossless(PLAIN[:-cut] + b"\xff\xd9")


def test_missing_end_of_image_is_damage() -> None:
    with pytest.raises(PixelDataDamaged):
        decode_jpeg_lossless(PLAIN[:-2])


def test_scan_with_bytes_left_over_is_damage() -> None:
    with pytest.raises(PixelDataDamaged):
        decode_jpeg_lossless(PLAIN[:-2] + bytes(9) + b"\xff\xd9")


def test_restart_marker_in_the_scan_is_damage() -> None:
    with pytest.raises(PixelDataDamaged):
        decode_jpeg_lossless(PLAIN[:-2] + b"\xff\xd0\xff\xd9")


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (
            b"\xff\xda\x00\x08\x01\x01\x00\x01",
            b"\xff\xda\x00\x08\x01\x01\x00\x09",
            PixelDataDamaged,
        ),
        (b"\xff\xda\x00\x08\x01\x01\x00", b"\xff\xda\x00\x08\x01\x01\x30", PixelDataDamaged),
        (b"\x01\x00\x00", b"\x01\x00\x01", UnsupportedPixelFormat),
    ],
)
def test_scan_header_that_contradicts_the_standard_is_refused(
    old: bytes, new: bytes, error: type[Exception]
) -> None:
    scan_at = PLAIN.index(b"\xff\xda")
    header, rest = PLAIN[:scan_at], PLAIN[scan_at:]

    with pytest.raises(error):
        decode_jpeg_lossless(header + rest.replace(old, new, 1))


def test_overfull_huffman_table_is_damage() -> None:
    counts_at = PLAIN.index(b"\xff\xc4") + 5
    overfull = PLAIN[:counts_at] + bytes((3, *[0] * 3, 14)) + PLAIN[counts_at + 5 :]

    with pytest.raises(PixelDataDamaged):
        decode_jpeg_lossless(overfull)

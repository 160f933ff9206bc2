"""Intake: the format by content alone, limits before decoding, and nothing but coded errors."""

import base64
import gzip
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from service.core.errors import (
    BodyTooLarge,
    CxrError,
    EmptyUpload,
    ImageTooLarge,
    ImageTooSmall,
    UnknownFormat,
)
from service.core.intake import IntakeLimits, read_radiograph, sniff
from service.core.radiograph import FileFormat
from tests.support.radiographs import (
    chest_levels,
    dicom_bytes,
    jpeg_bytes,
    picture_bytes,
    png_bytes,
    sentinel_dicom_bytes,
)

SMALL = chest_levels(96, 80)
SMALL_8 = chest_levels(96, 80, bits=8).astype(np.uint8)
VICTIMS = (
    png_bytes(chest_levels(96, 80, bits=16)),
    jpeg_bytes(SMALL_8),
    dicom_bytes(SMALL, window=(2048, 4096), padding=(0,)),
    dicom_bytes(SMALL, voi_lut=(list(range(4096)), 0, 12), rescale=(-1, 4095)),
    dicom_bytes(SMALL, transfer_syntax=RLELossless),
    dicom_bytes(SMALL, transfer_syntax=JPEGLSLossless),
    dicom_bytes(SMALL, transfer_syntax=JPEG2000Lossless),
    dicom_bytes(SMALL, transfer_syntax=JPEGLosslessSV1),
    sentinel_dicom_bytes()[0],
)


@pytest.mark.parametrize(
    ("body", "file_format"),
    [
        (png_bytes(SMALL_8), FileFormat.PNG),
        (jpeg_bytes(SMALL_8), FileFormat.JPEG),
        (dicom_bytes(SMALL), FileFormat.DICOM),
        (dicom_bytes(SMALL)[132:], FileFormat.DICOM),
        (b"GIF89a" + bytes(500), None),
        (b"%PDF-1.7" + bytes(500), None),
        (b"\x89PNG\r\n", None),
    ],
)
def test_format_is_told_by_content(body: bytes, file_format: FileFormat | None) -> None:
    assert sniff(body) is file_format


def test_empty_upload_has_its_own_code() -> None:
    with pytest.raises(EmptyUpload):
        read_radiograph(b"")


def test_unknown_bytes_are_refused() -> None:
    with pytest.raises(UnknownFormat):
        read_radiograph(b"not a radiograph" * 100)


def test_body_above_the_limit_is_refused() -> None:
    with pytest.raises(BodyTooLarge):
        read_radiograph(bytes(1001), IntakeLimits(max_body_bytes=1000))


@pytest.mark.parametrize("body", [VICTIMS[0], VICTIMS[1], VICTIMS[2]])
def test_pixel_limits_hold_for_every_format(body: bytes) -> None:
    with pytest.raises(ImageTooLarge):
        read_radiograph(body, IntakeLimits(max_pixels=96 * 80 - 1))
    with pytest.raises(ImageTooSmall):
        read_radiograph(body, IntakeLimits(min_side_px=81))
    read = read_radiograph(body, IntakeLimits(max_pixels=96 * 80, min_side_px=80))
    assert read.grey.shape == (96, 80)


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_bytes_give_a_picture_or_a_coded_error(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from(VICTIMS)))
    hot = data.draw(st.sampled_from((200, 1500, len(body))))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, min(hot, len(body)) - 1))
        body[at] = data.draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFF)))
    cut = data.draw(st.sampled_from((len(body), len(body) // 2, 300, 140)))

    assert is_read_or_refused(bytes(body[:cut]))


def is_read_or_refused(body: bytes) -> bool:
    """Anything but a `CxrError` escapes and fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of damaged EXIF, which is damage we made
        try:
            return read_radiograph(body, IntakeLimits(max_pixels=1_000_000)).grey.ndim == 2
        except CxrError as refused:
            return bool(refused.code)


PICTURE = Image.fromarray(SMALL_8)
OTHERS = {
    "TIFF": picture_bytes(PICTURE, "TIFF"),
    "WebP": picture_bytes(PICTURE, "WEBP"),
    "BMP": picture_bytes(PICTURE, "BMP"),
    "GIF": picture_bytes(PICTURE, "GIF"),
    "JPEG 2000": picture_bytes(PICTURE, "JPEG2000"),
    "HEIC": b"\0\0\0\x18ftypheic" + bytes(99),
    "PDF": b"%PDF-1.7" + bytes(99),
    "gzip": gzip.compress(dicom_bytes(SMALL)),
    "ZIP": b"PK\3\4" + bytes(99),
    "PNG in Base64": base64.b64encode(png_bytes(SMALL_8)),
    "JPEG in Base64": base64.b64encode(jpeg_bytes(SMALL_8)),
    "DICOM in Base64": base64.b64encode(dicom_bytes(SMALL)),
    "parts of a message": b"--x\r\nContent-Type: application/dicom\r\n\r\n" + dicom_bytes(SMALL),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_format_is_named_to_its_sender(name: str) -> None:
    with pytest.raises(UnknownFormat, match=f"look like {name}.*; expected PNG, JPEG or DICOM"):
        read_radiograph(OTHERS[name])


def test_parts_behind_an_empty_line_are_named_as_such() -> None:
    with pytest.raises(UnknownFormat, match="parts of a message"):
        read_radiograph(b"\r\n--boundary\r\nContent-Type: application/dicom\r\n\r\n")

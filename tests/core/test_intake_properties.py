"""Any data set and any bytes: a picture or a coded error, and nothing else."""

import io
import struct
import warnings

import numpy as np
import pydicom
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import (
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from service.core.errors import CxrError
from service.core.intake import IntakeLimits, read_radiograph
from service.core.radiograph import WHITE
from service.core.scope import IntendedUse, check_scope
from tests.support.cases import respond
from tests.support.phantoms import chest_levels, png_bytes
from tests.support.radiographs import dicom_bytes

LIMITS = IntakeLimits(max_pixels=200_000)
READ_TAGS = (
    "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PlanarConfiguration",
    "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept",
    "WindowCenter", "WindowWidth", "VOILUTFunction", "PresentationLUTShape", "ShutterShape",
    "ShutterLeftVerticalEdge", "ShutterRightVerticalEdge", "ShutterUpperHorizontalEdge",
    "ShutterLowerHorizontalEdge", "PatientAge", "PatientBirthDate", "StudyDate", "ViewPosition",
    "BodyPartExamined", "Modality", "SOPClassUID", "ImageType", "PatientOrientation",
    "SpecificCharacterSet", "PixelSpacing", "ModalityLUTSequence", "VOILUTSequence",
    "ViewCodeSequence", "AnatomicRegionSequence",
)  # fmt: skip
VRS = ("AE", "AS", "CS", "DA", "DS", "FD", "FL", "IS", "LO", "OB", "OW", "PN", "SQ", "SS", "UI",
       "UL", "UN", "US", "XX")  # fmt: skip
LONG = ("OB", "OW", "SQ", "UN")
VALUES = (
    st.binary(max_size=24)
    | st.integers(0, 65535).map(lambda number: struct.pack("<H", number))
    | st.floats(-1e9, 1e9).map(lambda number: f"{number:.6g}".encode())
    | st.sampled_from((b"", b"MONOCHROME1", b"INVERSE", b"PALETTE COLOR", b"RGB", b"-1\\0\\nan"))
    | st.sampled_from((b"SIGMOID", b"LINEAR_EXACT", b"000Y", b"999D", b"1e400", b"L\\F", b"\\\\"))
)
ELEMENTS = st.lists(
    st.tuples(st.sampled_from(READ_TAGS), st.none() | st.sampled_from(VRS), VALUES), max_size=4
)
SMALL = chest_levels(64, 64)
PLAIN = dicom_bytes(SMALL)
COMPRESSED = tuple(
    dicom_bytes(SMALL, transfer_syntax=syntax)
    for syntax in (RLELossless, JPEGLSLossless, JPEGLosslessSV1, JPEG2000Lossless, HTJ2KLossless)
)


def element_bytes(tag: int, vr: str, value: bytes) -> bytes:
    """One element in explicit VR, whatever its value holds."""
    even = value + b" " * (len(value) % 2)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    length = struct.pack("<HI", 0, len(even)) if vr in LONG else struct.pack("<H", len(even))
    return head + length + even


def own_elements() -> dict[int, bytes]:
    """Each element of the plain file, as its bytes."""
    dataset = pydicom.dcmread(io.BytesIO(PLAIN))
    raw = [dataset.get_item(tag) for tag in dataset.keys()]  # noqa: SIM118 - unparsed values
    return {
        int(element.tag): element_bytes(int(element.tag), str(element.VR), bytes(element.value))
        for element in raw
    }


OWN = own_elements()
START = PLAIN.index(b"\x08\x00\x08\x00CS")


def with_elements(elements: list[tuple[str, str | None, bytes]]) -> bytes:
    """The plain file, with these elements in place of its own, in order of their tags."""
    drawn = {
        tag: element_bytes(tag, vr or dictionary_VR(keyword)[:2], value)
        for keyword, vr, value in elements
        if (tag := tag_for_keyword(keyword)) is not None
    }
    ordered = sorted({**OWN, **drawn}.items())
    return PLAIN[:START] + b"".join(octets for _, octets in ordered)


def test_file_without_drawn_elements_is_the_plain_one() -> None:
    assert with_elements([]) == PLAIN


@given(elements=ELEMENTS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_values_of_tags_give_a_picture_or_a_coded_error(
    elements: list[tuple[str, str | None, bytes]],
) -> None:
    outcome, _, radiograph = respond(with_elements(elements))

    assert outcome.isupper() != (radiograph is not None)


@given(
    body=st.binary(max_size=600),
    magic=st.sampled_from((b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")),
)
@settings(max_examples=100, deadline=None)
def test_any_bytes_give_a_coded_error(body: bytes, magic: bytes) -> None:
    assert is_refused(magic + body)


@given(body=st.binary(max_size=600))
@settings(max_examples=100, deadline=None)
def test_any_bytes_behind_a_dicom_preamble_give_a_coded_error(body: bytes) -> None:
    assert is_refused(bytes(128) + b"DICM" + body)


@given(data=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_codestream_gives_a_picture_or_a_coded_error(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from(COMPRESSED)))
    pixels = body.index(b"\xe0\x7f\x10\x00")
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(pixels, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))

    outcome, _, radiograph = respond(bytes(body))

    assert outcome.isupper() != (radiograph is not None)


@given(
    center=st.floats(-70_000, 70_000),
    width=st.floats(-10, 140_000),
    function=st.sampled_from(("LINEAR", "LINEAR_EXACT", "SIGMOID", "OTHER", "")),
    inverted=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_any_window_keeps_the_order_of_the_levels(
    center: float, width: float, function: str, inverted: bool
) -> None:
    stored = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    body = dicom_bytes(
        stored,
        photometric="MONOCHROME1" if inverted else "MONOCHROME2",
        window=(f"{center:.8g}", f"{width:.8g}"),
        tags={"VOILUTFunction": function},
    )

    steps = np.diff(read_radiograph(body).grey.ravel().astype(np.int64))

    assert (steps <= 0).all() if inverted else (steps >= 0).all()


@given(rows=st.integers(64, 90), columns=st.integers(64, 90), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_any_size_of_png_is_read_exactly(rows: int, columns: int, seed: int) -> None:
    levels = np.random.default_rng(seed).integers(0, WHITE, (rows, columns)).astype(np.uint16)

    assert np.array_equal(read_radiograph(png_bytes(levels)).grey, levels)


def is_refused(body: bytes) -> bool:
    """Anything but a `CxrError` escapes and fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of damaged EXIF, which is damage we made
        try:
            check_scope(read_radiograph(body, LIMITS), IntendedUse())
        except CxrError as refused:
            return bool(refused.code)
    return False

"""What arrives and must not be scored: each has its code, and none is a crash."""

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openjpeg.utils import encode_array
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import (
    MPEG2MPML,
    UID,
    BasicTextSRStorage,
    CTImageStorage,
    DigitalXRayImageStorageForProcessing,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from service.core.errors import CxrError, NotEvaluated
from service.core.intake import read_radiograph
from service.core.scope import IntendedUse, check_scope
from tests.support.radiographs import chest_levels, dicom_bytes, write_dicom

SMALL = chest_levels(96, 80)
SMALL_8 = chest_levels(96, 80, bits=8).astype(np.uint8)
COLOURED = np.dstack([SMALL_8] * 3) * np.array([1, 0, 0], np.uint8)


def outcome(body: bytes) -> tuple[str, set[str]]:
    """Code of the refusal, or reason of the non-evaluation, or "evaluated"; and caution codes."""
    try:
        radiograph = read_radiograph(body)
        cautions = (*radiograph.cautions, *check_scope(radiograph, IntendedUse()))
    except NotEvaluated as refused:
        return refused.reason, set()
    except CxrError as refused:
        return refused.code, set()
    return "evaluated", {caution.code for caution in cautions}


def small(**options: Any) -> bytes:
    """A small chest DX, unless options say otherwise."""
    return dicom_bytes(SMALL, **options)


def planar(frame: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """The colour picture plane by plane."""
    body = dicom_bytes(frame, photometric="RGB", bits_stored=8, tags={"PlanarConfiguration": 1})
    octets = frame.tobytes()
    return body.replace(octets, np.ascontiguousarray(frame.transpose(2, 0, 1)).tobytes())


def report(sop_class: UID, modality: str) -> bytes:
    """An object of a PACS that is no image."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.Modality = sop_class, modality
    return write_dicom(dataset)


def nested(depth: int) -> bytes:
    """A chest radiograph whose header opens `depth` sequences, one in the other."""
    opening = struct.pack("<HHI", 0x0008, 0x1140, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    closing = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    body = small(transfer_syntax=ImplicitVRLittleEndian)
    at = body.index(struct.pack("<HHI", 0x0010, 0x0020, 10))
    return body[:at] + opening * depth + closing * depth + body[at:]


def huge_jpeg_2000() -> bytes:
    """A few hundred bytes that decode to 8192 x 8192, under a header of 96 x 80."""
    frame = encode_array(np.zeros((64, 64), np.uint16), bits_stored=16)
    size = struct.pack(">II", 8192, 8192)
    return frame[:8] + size + frame[16:24] + size + frame[32:]


BLANK = np.full((96, 80), 700, np.uint16)
NOISE = np.random.default_rng(0).integers(600, 900, (96, 80)).astype(np.uint16)
TRUNCATED_J2K = encode_array(SMALL, bits_stored=12)[:-400]

REFUSED: dict[str, tuple[bytes, str]] = {
    "for processing": (small(tags={"PresentationIntentType": "FOR PROCESSING"}), "FOR_PROCESSING"),
    "for processing, by SOP class": (
        small(tags={"SOPClassUID": DigitalXRayImageStorageForProcessing}),
        "FOR_PROCESSING",
    ),
    "multi-frame": (
        small(tags={"NumberOfFrames": 2, "PixelData": SMALL.tobytes() * 2}),
        "MULTI_FRAME",
    ),
    "coloured RGB": (
        dicom_bytes(COLOURED, photometric="RGB", bits_stored=8),
        "UNSUPPORTED_PIXEL_FORMAT",
    ),
    "coloured RGB, planar": (planar(COLOURED), "UNSUPPORTED_PIXEL_FORMAT"),
    "16-bit colour": (
        dicom_bytes(np.dstack([SMALL] * 3), photometric="RGB"),
        "UNSUPPORTED_PIXEL_FORMAT",
    ),
    "32 bits": (small(tags={"BitsAllocated": 32}), "UNSUPPORTED_PIXEL_FORMAT"),
    "more bits stored than allocated": (small(tags={"BitsStored": 17}), "DAMAGED_FILE"),
    "no photometric interpretation": (
        small(tags={"PhotometricInterpretation": None}),
        "DAMAGED_FILE",
    ),
    "deflated": (
        Path(str(get_testdata_file("image_dfl.dcm", download=False))).read_bytes(),
        "UNSUPPORTED_TRANSFER_SYNTAX",
    ),
    "unknown transfer syntax": (
        small(transfer_syntax=MPEG2MPML, frame=b"\0\0"),
        "UNSUPPORTED_TRANSFER_SYNTAX",
    ),
    "pixel data cut": (small()[:-100], "PIXEL_DATA_DAMAGED"),
    "file cut in half": (small()[: len(small()) // 2], "PIXEL_DATA_DAMAGED"),
    "header cut": (small()[:400], "DAMAGED_FILE"),
    "fewer bytes than the header says": (small(tags={"Rows": 97}), "PIXEL_DATA_DAMAGED"),
    "more bytes than the header says": (small(tags={"Rows": 90}), "PIXEL_DATA_DAMAGED"),
    "no pixel data": (small(tags={"PixelData": None}), "NO_PIXEL_DATA"),
    "cut JPEG 2000": (
        small(transfer_syntax=JPEG2000Lossless, frame=TRUNCATED_J2K),
        "PIXEL_DATA_DAMAGED",
    ),
    "JPEG 2000 larger than the header says": (
        small(transfer_syntax=JPEG2000Lossless, frame=huge_jpeg_2000()),
        "PIXEL_DATA_DAMAGED",
    ),
    "JPEG-LS larger than the header says": (
        small(transfer_syntax=JPEGLSLossless, tags={"Rows": 95}),
        "PIXEL_DATA_DAMAGED",
    ),
    "JPEG Lossless larger than the header says": (
        small(transfer_syntax=JPEGLosslessSV1, tags={"Columns": 79}),
        "PIXEL_DATA_DAMAGED",
    ),
    "RLE of another size": (
        small(transfer_syntax=RLELossless, tags={"Columns": 81}),
        "PIXEL_DATA_DAMAGED",
    ),
    "garbage as RLE": (
        small(transfer_syntax=RLELossless, frame=b"\x07" * 200),
        "PIXEL_DATA_DAMAGED",
    ),
    "65535 x 65535": (small(tags={"Rows": 65535, "Columns": 65535}), "IMAGE_TOO_LARGE"),
    "too small": (dicom_bytes(SMALL[:40]), "IMAGE_TOO_SMALL"),
    "sequences 200 deep": (nested(200), "DAMAGED_FILE"),
    "executable preamble": (small(preamble=b"MZ\x90" + bytes(125)), "UNSAFE_PREAMBLE"),
    "structured report": (report(BasicTextSRStorage, "SR"), "NOT_AN_IMAGE"),
    "presentation state": (
        report(GrayscaleSoftcopyPresentationStateStorage, "PR"),
        "NOT_AN_IMAGE",
    ),
    "CT": (
        small(modality="CT", tags={"SOPClassUID": CTImageStorage}),
        "NOT_A_CHEST_RADIOGRAPH",
    ),
    "mammogram": (small(modality="MG"), "NOT_A_CHEST_RADIOGRAPH"),
    "hand": (small(body_part="HAND"), "NOT_A_CHEST_RADIOGRAPH"),
    "thoracic spine": (small(body_part="THORAXSPINE"), "NOT_A_CHEST_RADIOGRAPH"),
    "lateral": (small(view="LL"), "VIEW_LATERAL"),
    "secondary capture": (
        small(tags={"SOPClassUID": SecondaryCaptureImageStorage}),
        "DERIVED_IMAGE",
    ),
    "coloured secondary capture": (
        dicom_bytes(
            COLOURED,
            photometric="RGB",
            bits_stored=8,
            tags={"SOPClassUID": SecondaryCaptureImageStorage},
        ),
        "DERIVED_IMAGE",
    ),
    "made from another image": (
        small(tags={"ImageType": ["DERIVED", "SECONDARY"]}),
        "DERIVED_IMAGE",
    ),
    "child": (small(age="009Y"), "AGE_OUT_OF_SCOPE"),
    "infant in months": (small(age="018M"), "AGE_OUT_OF_SCOPE"),
    "child, bad value": (small(age="7Y"), "AGE_OUT_OF_SCOPE"),
    "child, by birth date": (
        small(age=None, tags={"PatientBirthDate": "20150101"}),
        "AGE_OUT_OF_SCOPE",
    ),
    "constant": (dicom_bytes(BLANK), "IMAGE_BLANK"),
    "noise": (dicom_bytes(NOISE), "IMAGE_BLANK"),
    "slope 0": (small(rescale=(0, 5)), "IMAGE_BLANK"),
    "all padding": (dicom_bytes(BLANK, padding=(700,)), "IMAGE_BLANK"),
    "contradicting polarity, no chest to judge by": (
        dicom_bytes(NOISE, photometric="MONOCHROME1", presentation_lut_shape="IDENTITY"),
        "POLARITY_AMBIGUOUS",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_must_not_be_scored_is_refused_with_its_code(case: str) -> None:
    body, code = REFUSED[case]

    assert outcome(body)[0] == code


def test_codestream_larger_than_its_header_is_refused_before_it_takes_memory() -> None:
    body = small(transfer_syntax=JPEG2000Lossless, frame=huge_jpeg_2000())
    tracemalloc.start()

    code = outcome(body)[0]

    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert code == "PIXEL_DATA_DAMAGED"
    assert peak_bytes < 5_000_000


def test_undecided_polarity_is_not_evaluated() -> None:
    body = dicom_bytes(NOISE, photometric="MONOCHROME1", presentation_lut_shape="IDENTITY")

    with pytest.raises(NotEvaluated) as refused:
        read_radiograph(body)

    assert refused.value.reason == "POLARITY_AMBIGUOUS"

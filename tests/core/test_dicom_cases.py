"""What really arrives from a PACS and is scored, case by case; each row is real bytes."""

from typing import Any

import numpy as np
import pytest
from pydicom.uid import (
    JPEG2000,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from service.core.intake import read_radiograph
from service.core.preprocess import PreprocessSpec, preprocess
from service.core.radiograph import Radiograph
from service.core.scope import IntendedUse, check_scope
from tests.support.radiographs import Words, chest_levels, dicom_bytes, png_bytes

LEVELS = chest_levels()
LEVELS_8 = chest_levels(bits=8).astype(np.uint8)
DEEP = LEVELS.astype(np.int64)
FULL = 4095


def correlation(first: Radiograph, second: Radiograph) -> float:
    """Pearson's, over all pixels."""
    return float(np.corrcoef(first.grey.ravel(), second.grey.ravel())[0, 1])


def caution_codes(body: bytes) -> set[str]:
    """Codes of all warnings of a radiograph that is in scope."""
    radiograph = read_radiograph(body)
    cautions = (*radiograph.cautions, *check_scope(radiograph, IntendedUse()))
    return {caution.code for caution in cautions}


def palette_tags(scale: tuple[int, int, int] = (1, 1, 1)) -> dict[str, object]:
    """A palette whose channels are the index times `scale`."""
    tags: dict[str, object] = {}
    for name, factor in zip(("Red", "Green", "Blue"), scale, strict=True):
        entries = np.arange(256, dtype=np.uint8) * np.uint8(factor)
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
        tags[f"{name}PaletteColorLookupTableData"] = entries.tobytes()
    return tags


@pytest.fixture(scope="module")
def plain() -> Radiograph:
    """The exposure that the others are compared with: MONOCHROME2, 12 bits, no window."""
    return read_radiograph(dicom_bytes())


INVERTING_LUT = (list(range(FULL, -1, -1)), 0, 12)
SAME_PICTURE: dict[str, tuple[Words, dict[str, Any]]] = {
    "MONOCHROME1": (FULL - LEVELS, {"photometric": "MONOCHROME1"}),
    "MONOCHROME1 + INVERSE": (
        FULL - LEVELS,
        {"photometric": "MONOCHROME1", "presentation_lut_shape": "INVERSE"},
    ),
    "MONOCHROME2 + IDENTITY": (LEVELS, {"presentation_lut_shape": "IDENTITY"}),
    "negative slope": (FULL - LEVELS, {"rescale": (-1, FULL)}),
    "negative slope, MONOCHROME1": (LEVELS, {"rescale": (-2, 7), "photometric": "MONOCHROME1"}),
    "inverting VOI LUT": (FULL - LEVELS, {"voi_lut": INVERTING_LUT}),
    "inverting VOI LUT, MONOCHROME1": (
        LEVELS,
        {"voi_lut": INVERTING_LUT, "photometric": "MONOCHROME1"},
    ),
    "inverting modality LUT": (FULL - LEVELS, {"modality_lut": INVERTING_LUT}),
    "VOI LUT of 16 bits": (LEVELS, {"voi_lut": (list(range(0, 65536, 16)), 0, 16)}),
    "VOI LUT of 10 bits": (LEVELS, {"voi_lut": ([n // 4 for n in range(4096)], 0, 10)}),
    "VOI LUT of signed input": (
        (LEVELS.astype(np.int16) - 2048).view(np.uint16),
        {"voi_lut": (list(range(4096)), -2048, 12), "signed": True, "bits_stored": 16},
    ),
    "VOI LUT before window": (LEVELS, {"voi_lut": (list(range(4096)), 0, 12), "window": (9, 9)}),
    "window": (LEVELS, {"window": (2048, 4096)}),
    "several windows": (LEVELS, {"window": ([2048, 9], [4096, 9])}),
    "LINEAR_EXACT": (LEVELS, {"window": (2048, 4096), "tags": {"VOILUTFunction": "LINEAR_EXACT"}}),
    "empty window": (LEVELS, {"window": ("", "")}),
    "window of width 0": (LEVELS, {"window": (2048, 0)}),
    "rescale into other units": (LEVELS, {"rescale": (0.5, -1000), "window": (23.75, 2047.5)}),
    "dirty high bits": (LEVELS | np.uint16(0xA000), {}),
    "high bit 15": (LEVELS << np.uint16(4), {"tags": {"HighBit": 15}}),
    "signed, 12 bits": ((DEEP - 2048 & 0x0FFF).astype(np.uint16), {"signed": True}),
    "signed, 16 bits": (
        (DEEP - 2048).astype(np.int16).view(np.uint16),
        {"signed": True, "bits_stored": 16},
    ),
    "16 bits": (LEVELS << np.uint16(4), {"bits_stored": 16}),
    "8 bits": (LEVELS_8, {"bits_stored": 8}),
    "implicit VR": (LEVELS, {"transfer_syntax": ImplicitVRLittleEndian}),
    "big endian": (LEVELS, {"transfer_syntax": ExplicitVRBigEndian}),
    "empty optional values": (LEVELS, {"tags": {"Manufacturer": "", "SoftwareVersions": ""}}),
    "names beyond ASCII": (
        LEVELS,
        {"tags": {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "M\u00fcller^J\u00f6rg"}},
    ),
}


@pytest.mark.parametrize("case", SAME_PICTURE)
def test_other_encoding_of_the_same_exposure_gives_the_same_picture(
    case: str, plain: Radiograph
) -> None:
    stored, options = SAME_PICTURE[case]

    read = read_radiograph(dicom_bytes(stored, **options))

    assert correlation(read, plain) > 0.999


@pytest.mark.parametrize("case", SAME_PICTURE)
def test_network_sees_the_same_pixels_whatever_the_encoding(case: str, plain: Radiograph) -> None:
    stored, options = SAME_PICTURE[case]
    spec = PreprocessSpec(side_px=96)

    pixels = preprocess(read_radiograph(dicom_bytes(stored, **options)), spec)

    # 8-bit levels are the coarsest of the encodings: half a step of 1/255, stretched.
    assert np.abs(pixels - preprocess(plain, spec)).max() < 0.01


LOSSLESS = (RLELossless, JPEGLosslessSV1, JPEGLossless, JPEGLSLossless, JPEG2000Lossless)
LOSSY = (JPEGLSNearLossless, JPEG2000, JPEGExtended12Bit)


@pytest.mark.parametrize("transfer_syntax", LOSSLESS)
def test_lossless_compression_is_bit_exact(transfer_syntax: str) -> None:
    small = LEVELS[64:192, 48:160]
    uncompressed = read_radiograph(dicom_bytes(small))

    read = read_radiograph(dicom_bytes(small, transfer_syntax=transfer_syntax))

    assert np.array_equal(read.grey, uncompressed.grey)
    assert not read.cautions


@pytest.mark.parametrize("transfer_syntax", LOSSY)
def test_lossy_compression_is_near_and_warned(transfer_syntax: str) -> None:
    small = LEVELS[64:192, 48:160]
    uncompressed = read_radiograph(dicom_bytes(small))

    read = read_radiograph(dicom_bytes(small, transfer_syntax=transfer_syntax))

    assert correlation(read, uncompressed) > 0.995
    assert "LOSSY_COMPRESSION" in {caution.code for caution in read.cautions}


def test_jpeg_baseline_is_near_and_warned(plain: Radiograph) -> None:
    body = dicom_bytes(LEVELS_8, bits_stored=8, transfer_syntax=JPEGBaseline8Bit)

    read = read_radiograph(body)

    assert correlation(read, plain) > 0.999
    assert "LOSSY_COMPRESSION" in {caution.code for caution in read.cautions}


def test_png_of_the_same_exposure_gives_the_same_picture(plain: Radiograph) -> None:
    assert correlation(read_radiograph(png_bytes()), plain) > 0.999


GREY_RGB = np.dstack([LEVELS_8] * 3)
GREY_YBR = np.dstack([LEVELS_8, np.full_like(LEVELS_8, 128), np.full_like(LEVELS_8, 128)])
COLOUR: dict[str, dict[str, Any]] = {
    "RGB": {"stored": GREY_RGB, "photometric": "RGB"},
    "RGB, planar": {
        "stored": np.ascontiguousarray(GREY_RGB.transpose(2, 0, 1)).reshape(GREY_RGB.shape),
        "photometric": "RGB",
        "tags": {"PlanarConfiguration": 1},
    },
    "RGB in RLE": {"stored": GREY_RGB, "photometric": "RGB", "transfer_syntax": RLELossless},
    "RGB in JPEG 2000": {
        "stored": GREY_RGB,
        "photometric": "RGB",
        "transfer_syntax": JPEG2000Lossless,
    },
    "RGB in JPEG-LS": {"stored": GREY_RGB, "photometric": "RGB", "transfer_syntax": JPEGLSLossless},
    "RGB in JPEG": {
        "stored": GREY_RGB,
        "photometric": "YBR_FULL_422",
        "transfer_syntax": JPEGBaseline8Bit,
    },
    "YBR_FULL": {"stored": GREY_YBR, "photometric": "YBR_FULL"},
    "palette": {"stored": LEVELS_8, "photometric": "PALETTE COLOR", "tags": palette_tags()},
}


@pytest.mark.parametrize("case", COLOUR)
def test_colour_whose_channels_agree_is_read_as_grey(case: str, plain: Radiograph) -> None:
    read = read_radiograph(dicom_bytes(bits_stored=8, **COLOUR[case]))

    assert correlation(read, plain) > 0.999


WARNED: dict[str, tuple[dict[str, Any], str]] = {
    "window of width 0": ({"window": (2048, 0)}, "WINDOW_INVALID"),
    "window of width below 1": ({"window": (2048, 0.5)}, "WINDOW_INVALID"),
    "lossy before it was sent": ({"tags": {"LossyImageCompression": "01"}}, "LOSSY_COMPRESSION"),
    "AP view": ({"view": "AP"}, "VIEW_AP"),
    "no view": ({"view": None}, "VIEW_UNKNOWN"),
    "unknown view": ({"view": "LLD"}, "VIEW_UNKNOWN"),
    "no body part": ({"body_part": None}, "BODY_PART_UNKNOWN"),
    "no age": ({"age": None}, "AGE_UNKNOWN"),
    "unreadable age": ({"age": "YY"}, "AGE_UNKNOWN"),
    "text in the pixels": ({"tags": {"BurnedInAnnotation": "YES"}}, "BURNED_IN_ANNOTATION"),
    "negative without a tag that says so": ({"stored": FULL - LEVELS}, "POLARITY_SUSPECT"),
    "over-long value": ({"tags": {"PatientID": "9" * 600_000}}, "TAG_UNREADABLE"),
}


@pytest.mark.parametrize("case", WARNED)
def test_what_is_odd_but_readable_is_scored_with_a_warning(case: str) -> None:
    options, code = WARNED[case]

    codes = caution_codes(dicom_bytes(**options))

    assert codes == {code}


ACCEPTED: dict[str, bytes] = {
    "CR": dicom_bytes(modality="CR"),
    "one frame, said so": dicom_bytes(tags={"NumberOfFrames": 1}),
    "derived and primary": dicom_bytes(tags={"ImageType": ["DERIVED", "PRIMARY"]}),
    "body part in other words": dicom_bytes(body_part="PORT CHEST"),
    "18 years, by dates": dicom_bytes(age=None, tags={"PatientBirthDate": "20060615"}),
    "age in days": dicom_bytes(age="999W"),
    "TIFF preamble": dicom_bytes(preamble=b"II*\0" + bytes(124)),
    "no preamble": dicom_bytes()[132:],
    "no preamble, implicit VR": dicom_bytes(transfer_syntax=ImplicitVRLittleEndian)[132:],
    "ISO 2022 name": dicom_bytes(
        tags={
            "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
            "PatientName": "\u5c71\u7530^\u592a\u90ce",
        }
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_ordinary_variation_is_scored_without_a_warning(case: str) -> None:
    assert caution_codes(ACCEPTED[case]) == set()


@pytest.mark.parametrize(
    ("stored", "photometric", "shape"),
    [
        (LEVELS, "MONOCHROME1", "IDENTITY"),
        (FULL - LEVELS, "MONOCHROME1", "IDENTITY"),
        (LEVELS, "MONOCHROME2", "INVERSE"),
        (FULL - LEVELS, "MONOCHROME2", "INVERSE"),
    ],
)
def test_contradicting_polarity_is_decided_by_the_picture(
    stored: Words, photometric: str, shape: str, plain: Radiograph
) -> None:
    body = dicom_bytes(stored, photometric=photometric, presentation_lut_shape=shape)

    read = read_radiograph(body)

    assert correlation(read, plain) > 0.999
    assert [caution.code for caution in read.cautions] == ["POLARITY_AMBIGUOUS"]
    assert read.dicom is not None
    assert read.dicom.polarity_source == "IMAGE_CONTENT"

"""DICOM reader: which rule decided, what is padding, what the context holds, what leaks."""

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from service.core.appearance import Polarity, judge_polarity
from service.core.dicom import looks_like_dicom
from service.core.dicom_layout import find_layout
from service.core.dicom_tags import read_tags
from service.core.errors import DamagedFile, IntakeError
from service.core.intake import read_radiograph
from service.core.radiograph import WHITE, DicomContext, View
from service.core.scope import IntendedUse, check_scope
from tests.support.dicom_damage import replaced, with_sequence
from tests.support.radiographs import chest_levels, coded, dicom_bytes, sentinel_dicom_bytes

SMALL = chest_levels(96, 80)


def read_context(**options: Any) -> DicomContext:
    """Context of a small chest DX made by `options`."""
    context = read_radiograph(dicom_bytes(SMALL, **options)).dicom
    assert context is not None
    return context


def real_file(name: str) -> bytes:
    """Real radiographs of the pydicom-data package, found offline."""
    return Path(str(get_testdata_file(name, download=False))).read_bytes()


@pytest.mark.parametrize(
    ("options", "source"),
    [
        ({}, "PERCENTILES"),
        ({"window": (2048, 0)}, "PERCENTILES"),
        ({"window": (2048, 4096)}, "WINDOW_LINEAR"),
        ({"window": (2048, 9), "tags": {"VOILUTFunction": "SIGMOID"}}, "WINDOW_SIGMOID"),
        (
            {"window": (2048, 0.5), "tags": {"VOILUTFunction": "LINEAR_EXACT"}},
            "WINDOW_LINEAR_EXACT",
        ),
        ({"window": (2048, 9), "voi_lut": (list(range(4096)), 0, 12)}, "VOI_LUT"),
    ],
)
def test_rule_that_made_the_brightness_is_recorded(options: dict[str, Any], source: str) -> None:
    assert read_context(**options).window_source == source


@pytest.mark.parametrize(
    ("options", "source"),
    [
        ({}, "PHOTOMETRIC_INTERPRETATION"),
        ({"photometric": "MONOCHROME1"}, "PHOTOMETRIC_INTERPRETATION"),
        ({"presentation_lut_shape": "IDENTITY"}, "PRESENTATION_LUT_SHAPE"),
    ],
)
def test_tag_that_decided_the_polarity_is_recorded(options: dict[str, Any], source: str) -> None:
    assert read_context(**options).polarity_source == source


def test_linear_window_follows_the_standard_at_its_ends() -> None:
    stored = np.arange(96 * 80, dtype=np.uint16).reshape(96, 80) % 4096

    grey = read_radiograph(dicom_bytes(stored, window=(2048, 4096))).grey

    assert grey[stored == 0].max() == 0
    assert grey[stored == 4095].min() == WHITE


def test_sigmoid_window_is_half_bright_at_its_center() -> None:
    stored = np.arange(96 * 80, dtype=np.uint16).reshape(96, 80) % 4096
    body = dicom_bytes(stored, window=(2000, 800), tags={"VOILUTFunction": "SIGMOID"})

    grey = read_radiograph(body).grey

    assert abs(int(grey[stored == 2000][0]) - WHITE // 2) <= 1


@pytest.mark.parametrize("signed", [False, True])
def test_padding_range_is_masked_black_and_kept_out_of_the_percentiles(signed: bool) -> None:
    stored = SMALL.copy()
    stored[:10] = 4090
    stored[10:20] = 4094
    limits = (-6, -2) if signed else (4094, 4090)

    padded = read_radiograph(dicom_bytes(stored, padding=limits, signed=signed))

    assert padded.padding is not None
    assert padded.padding[:20].all()
    assert not padded.grey[:20].any()
    assert padded.padding.mean() < 0.25


def test_padding_value_beyond_the_stored_bits_is_compared_with_the_whole_word() -> None:
    stored = SMALL.copy()
    stored[:10] = 0xF000

    padded = read_radiograph(dicom_bytes(stored, padding=(0xF000,)))

    assert padded.padding is not None
    assert padded.padding.sum() == 10 * 80


def test_padding_value_with_a_sign_beside_pixels_without_is_compared_by_its_bits() -> None:
    stored = SMALL << np.uint16(3)
    stored[:10] = 0xFFFF
    body = dicom_bytes(stored, bits_stored=16, padding=(0xFFFF,))

    signed = read_radiograph(replaced(b"\x28\0\x20\x01US", b"\x28\0\x20\x01SS")(body))

    assert signed.padding is not None
    assert signed.padding[:10].all()
    assert not signed.padding[10:].any()


def test_number_of_frames_beyond_all_measure_is_not_repeated() -> None:
    body = dicom_bytes(SMALL, tags={"NumberOfFrames": 12_345})

    with pytest.raises(DamagedFile) as refused:
        read_radiograph(replaced(b"12345 ", b"1e300 ")(body))

    assert len(str(refused.value)) < 100


def test_padding_value_that_no_pixel_has_gives_no_mask() -> None:
    assert read_radiograph(dicom_bytes(SMALL, padding=(4095,))).padding is None


@given(
    slope=st.floats(0.01, 50) | st.floats(-50, -0.01),
    intercept=st.floats(-5000, 5000),
    bits=st.integers(10, 16),
)
@settings(max_examples=25, deadline=None)
def test_any_rescale_without_window_leaves_the_picture_alone(
    slope: float, intercept: float, bits: int
) -> None:
    levels = chest_levels(96, 80, bits=bits)
    stored = levels if slope > 0 else ((1 << bits) - 1 - levels).astype(np.uint16)
    rescale = (float(f"{slope:.6g}"), float(f"{intercept:.6g}"))

    plain = read_radiograph(dicom_bytes(levels, bits_stored=bits)).grey
    read = read_radiograph(dicom_bytes(stored, bits_stored=bits, rescale=rescale)).grey

    assert np.abs(read.astype(int) - plain).max() <= 1


def test_sequences_that_are_not_read_are_not_parsed() -> None:
    body = with_sequence(0x00400275, 3)(dicom_bytes(SMALL, tags={"ViewCodeSequence": coded("1")}))

    tags = read_tags(body, find_layout(body))

    assert "RequestAttributesSequence" not in tags
    assert tags.items("ViewCodeSequence")[0].text("CodeValue") == "1"
    assert not tags.cautions()


@pytest.mark.parametrize(
    ("tags", "view"),
    [
        ({"ViewPosition": "PA"}, View.PA),
        ({"ViewPosition": "AP_PORTABLE"}, View.AP),
        ({"ViewPosition": "RLAT"}, View.LATERAL),
        ({"ViewPosition": None, "ViewCodeSequence": coded("272479007")}, View.PA),
        ({"ViewPosition": "", "ViewCodeSequence": coded("R-10206")}, View.AP),
        ({"ViewPosition": None, "ViewCodeSequence": coded("399173006")}, View.LATERAL),
        ({"ViewPosition": None, "SeriesDescription": "CHEST PA"}, View.UNKNOWN),
        ({"ViewPosition": "RAO"}, View.OTHER),
    ],
)
def test_view_is_read_from_position_or_code(tags: dict[str, Any], view: View) -> None:
    assert read_context(tags=tags).view is view


@pytest.mark.parametrize(
    ("tags", "age_years"),
    [
        ({"PatientAge": "007Y"}, 7),
        ({"PatientAge": "7Y"}, 7),
        ({"PatientAge": "018M"}, 1.5),
        ({"PatientAge": "52"}, None),
        ({"PatientAge": "", "PatientBirthDate": "19800616"}, 43),
        ({"PatientAge": "", "PatientBirthDate": "19800615"}, 44),
        ({"PatientAge": "", "PatientBirthDate": "1980.06.15"}, 44),
        ({"PatientAge": "", "PatientBirthDate": "20300101"}, None),
        ({"PatientAge": "", "PatientBirthDate": "19801399"}, None),
        ({"PatientAge": "", "PatientBirthDate": "18500101"}, None),
    ],
)
def test_age_is_read_or_computed_or_unknown(tags: dict[str, Any], age_years: float | None) -> None:
    assert read_context(tags=tags).age_years == age_years


def test_anatomic_region_code_stands_in_for_the_body_part() -> None:
    chest = read_context(body_part=None, tags={"AnatomicRegionSequence": coded("51185008")})
    hand = read_context(body_part=None, tags={"AnatomicRegionSequence": coded("85562004")})

    assert (chest.body_part, hand.body_part) == ("CHEST", "85562004")


@pytest.mark.parametrize("body", [b"", b"hello", b"\x08\x00" * 400, b"\x02\x00\x10\x00" * 99])
def test_bytes_that_only_parse_when_forced_are_not_dicom(body: bytes) -> None:
    assert not looks_like_dicom(body)


@pytest.mark.parametrize(
    "keyword",
    ["RescaleSlope", "WindowCenter", "NumberOfFrames", "PixelSpacing", "PatientAge"],
)
def test_no_patient_value_leaks_into_error_warning_or_log(
    keyword: str, caplog: pytest.LogCaptureFixture
) -> None:
    body, sentinels = sentinel_dicom_bytes({keyword: "0007", "WindowWidth": "4096"})
    damaged = body.replace(b"0007", b"ZQ\xff\\").replace(b"ISO_IR 192", b"ZQ IR 1920")

    said = what_is_said(damaged, caplog)

    assert not [value for value in (*sentinels, "ZQ") if value in said]


def what_is_said(body: bytes, caplog: pytest.LogCaptureFixture) -> str:
    """All text that reading the bytes gives to anyone but the caller of a field."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.DEBUG):
        try:
            radiograph = read_radiograph(body)
            said += [repr(radiograph), *map(str, check_scope(radiograph, IntendedUse()))]
        except IntakeError as error:
            said += [str(error), repr(error), repr(error.__cause__)]
    return " ".join((*said, *(str(warning.message) for warning in warned), caplog.text))


@pytest.mark.parametrize("name", ["RG1_UNCI.dcm", "RG1_J2KI.dcm", "RG1_J2KR.dcm"])
def test_real_chest_is_the_same_picture_in_every_encoding(name: str) -> None:
    reference = read_radiograph(real_file("RG1_UNCR.dcm"))

    read = read_radiograph(real_file(name))

    assert np.corrcoef(read.grey[::4, ::4].ravel(), reference.grey[::4, ::4].ravel())[0, 1] > 0.999
    assert judge_polarity(read.grey) is Polarity.AS_IS


def test_real_chest_is_in_scope_without_a_warning() -> None:
    read = read_radiograph(real_file("RG1_UNCR.dcm"))

    assert read.cautions + check_scope(read, IntendedUse()) == ()
    assert read.dicom is not None
    assert (read.dicom.view, read.dicom.modality) == (View.PA, "CR")


@pytest.mark.parametrize("name", ["RG3_UNCI.dcm", "RG3_UNCR.dcm", "RG3_J2KI.dcm", "RG3_J2KR.dcm"])
def test_real_radiograph_of_another_body_part_is_read(name: str) -> None:
    assert read_radiograph(real_file(name)).grey.shape == (1760, 1760)


def test_real_twelve_bit_jpeg_is_read() -> None:
    read = read_radiograph(real_file("JPGExtended.dcm"))

    twin = read_radiograph(real_file("JPEG-LL.dcm"))

    assert np.corrcoef(read.grey.ravel(), twin.grey.ravel())[0, 1] > 0.98

"""Scope: what a model may read, what it must refuse, and what it may only doubt."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.errors import NotEvaluated
from service.core.radiograph import WHITE, DicomContext, FileFormat, Grey, Radiograph, View
from service.core.scope import IntendedUse, check_scope
from tests.support.radiographs import chest_levels

CHEST = chest_levels(128, 112, bits=16)
CONTEXT = DicomContext(
    modality="DX",
    view=View.PA,
    body_part="CHEST",
    age_years=45.0,
    presentation_intent="FOR PRESENTATION",
    image_type=("ORIGINAL", "PRIMARY"),
    sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
    polarity_source="PHOTOMETRIC_INTERPRETATION",
    window_source="PERCENTILES",
)


def make_radiograph(grey: Grey = CHEST, **changes: Any) -> Radiograph:
    """A chest DX with some of its context changed."""
    return Radiograph(grey, FileFormat.DICOM, dicom=replace(CONTEXT, **changes))


def refusal(radiograph: Radiograph, intended_use: IntendedUse) -> str:
    """Coded reason, or "" if the radiograph is in scope."""
    try:
        check_scope(radiograph, intended_use)
    except NotEvaluated as refused:
        return refused.reason
    return ""


def test_adult_frontal_chest_is_in_scope_without_caution() -> None:
    assert check_scope(make_radiograph(), IntendedUse()) == ()


@pytest.mark.parametrize(
    "body_part", ["CHEST", "THORAX", "CHEST_PA", "PORT CHEST", "Lung", "CHEST 2 VIEWS", "TORAX"]
)
def test_chest_by_other_names_is_accepted(body_part: str) -> None:
    assert refusal(make_radiograph(body_part=body_part), IntendedUse()) == ""


@pytest.mark.parametrize(
    "body_part", ["HAND", "ABDOMEN", "CHESTABDOMEN", "THORACIC SPINE", "RIBS", "T-D8700"]
)
def test_other_body_parts_are_refused(body_part: str) -> None:
    assert refusal(make_radiograph(body_part=body_part), IntendedUse()) == "NOT_A_CHEST_RADIOGRAPH"


@given(age=st.floats(0, 130))
def test_age_bounds_are_inclusive(age: float) -> None:
    use = IntendedUse(min_age_years=18, max_age_years=90)

    reason = refusal(make_radiograph(age_years=age), use)

    assert reason == ("" if 18 <= age <= 90 else "AGE_OUT_OF_SCOPE")


def test_unknown_age_is_refused_where_the_model_says_so() -> None:
    unknown = make_radiograph(age_years=None)

    assert refusal(unknown, IntendedUse(unknown_age="refuse")) == "AGE_UNKNOWN"
    assert [caution.code for caution in check_scope(unknown, IntendedUse())] == ["AGE_UNKNOWN"]


def test_view_outside_the_intended_use_is_refused_by_name() -> None:
    use = IntendedUse(views=(View.PA,))

    assert refusal(make_radiograph(view=View.AP), use) == "VIEW_AP"
    assert refusal(make_radiograph(view=View.LATERAL), use) == "VIEW_LATERAL"


def test_modality_outside_the_intended_use_is_refused() -> None:
    assert refusal(make_radiograph(modality="CR"), IntendedUse(modalities=("DX",)))


def test_details_hold_no_age() -> None:
    with pytest.raises(NotEvaluated) as refused:
        check_scope(make_radiograph(age_years=7.0), IntendedUse())

    assert "7" not in str(refused.value)


@pytest.mark.parametrize("level", [0, 300, WHITE])
def test_constant_picture_is_blank_even_without_tags(level: int) -> None:
    blank = Radiograph(np.full((128, 112), level, np.uint16), FileFormat.PNG)

    assert refusal(blank, IntendedUse()) == "IMAGE_BLANK"


@pytest.mark.parametrize(
    ("rows", "columns", "is_strip"), [(1, 4, False), (1, 5, True), (5, 1, True)]
)
def test_strip_is_no_chest(rows: int, columns: int, is_strip: bool) -> None:
    strip = Radiograph(np.tile(CHEST, (rows, columns)), FileFormat.PNG)

    if is_strip:
        assert refusal(strip, IntendedUse()) == "NOT_A_CHEST"
    else:
        check_scope(strip, IntendedUse())


def test_stretched_noise_is_blank() -> None:
    noise = np.random.default_rng(0).integers(0, WHITE, (600, 500)).astype(np.uint16)

    assert refusal(Radiograph(noise, FileFormat.PNG), IntendedUse()) == "IMAGE_BLANK"


def test_picture_that_is_constant_but_for_its_padding_is_blank() -> None:
    grey = np.full((128, 112), 30_000, np.uint16)
    padding = np.zeros(grey.shape, np.bool_)
    padding[:, :40] = True
    grey[padding] = 0

    assert refusal(Radiograph(grey, FileFormat.DICOM, padding), IntendedUse()) == "IMAGE_BLANK"


def test_negative_picture_is_doubted() -> None:
    negative = Radiograph(WHITE - CHEST, FileFormat.PNG)

    codes = [caution.code for caution in check_scope(negative, IntendedUse())]

    assert codes == ["POLARITY_SUSPECT"]


@pytest.mark.parametrize("field", [{"modality": ("DX",)}, {"unknown_age": "guess"}])
def test_intended_use_refuses_what_it_does_not_know(field: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        IntendedUse(**field)

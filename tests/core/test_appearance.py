"""What a picture looks like, whatever lies around it: padding, bars, a white frame."""

from typing import Any

import numpy as np
import pytest

from service.core.appearance import Polarity, compare, judge_polarity, turn_of
from service.core.borders import unframe
from service.core.intake import read_radiograph
from service.core.radiograph import WHITE, FileFormat, Grey, Radiograph
from service.core.scope import IntendedUse, check_scope
from tests.support.radiographs import chest_levels, dicom_bytes

CHEST = chest_levels(320, 280, bits=16)
STORED = chest_levels(160, 140, bits=12)
SIDES = {"left and right": ((0, 0), (1, 1)), "above and below": ((1, 1), (0, 0))}
WIDTHS = (0.1, 0.25, 0.45)


def framed(grey: Grey, sides: str, ratio: float, level: int) -> Grey:
    """Bars beside the picture, each so wide as this part of it."""
    (above, below), (left, right) = SIDES[sides]
    tall, wide = (round(ratio * side) for side in grey.shape)
    bars = ((above * tall, below * tall), (left * wide, right * wide))
    return np.pad(grey, bars, constant_values=level)


@pytest.mark.parametrize("ratio", WIDTHS)
@pytest.mark.parametrize("level", [0, WHITE])
@pytest.mark.parametrize("sides", SIDES)
def test_a_frame_changes_neither_polarity_nor_turn(sides: str, level: int, ratio: float) -> None:
    positive = framed(CHEST, sides, ratio, level)
    negative = framed(WHITE - CHEST, sides, ratio, level)

    assert (judge_polarity(positive), turn_of(compare(positive))) == (Polarity.AS_IS, 0)
    assert (judge_polarity(negative), turn_of(compare(negative))) == (Polarity.INVERTED, 0)
    assert turn_of(compare(np.rot90(positive, 2))) == 180


@pytest.mark.parametrize("level", [0, WHITE // 2, WHITE])
def test_padding_has_no_part_in_the_likeness(level: int) -> None:
    padding = np.zeros((320, 280), np.bool_)
    padding[np.add.outer(np.arange(320), np.arange(280)) < 200] = True
    covered = np.where(padding, level, CHEST).astype(np.uint16)
    wider = framed(covered, "left and right", 2.0, level)
    around = framed(padding.astype(np.uint16), "left and right", 2.0, 1).astype(np.bool_)

    assert np.allclose(compare(wider, around), compare(covered, padding), atol=0.02)
    assert abs(compare(covered, padding)[0] - compare(CHEST)[0]) < 0.1


@pytest.mark.parametrize("level", [0, WHITE])
def test_what_is_all_padding_or_constant_is_left_as_it_is(level: int) -> None:
    blank = np.full((70, 80), level, np.uint16)

    assert unframe(blank, np.ones(blank.shape, np.bool_)).shape == blank.shape
    assert judge_polarity(blank) is Polarity.UNDECIDED
    assert turn_of(compare(blank)) == 0


@pytest.mark.parametrize("ratio", [0.45, 1.5])
@pytest.mark.parametrize("level", [0, 4095])
@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize(
    "tags",
    [
        {"presentation_lut_shape": "INVERSE"},
        {"photometric": "MONOCHROME1", "presentation_lut_shape": "IDENTITY"},
    ],
)
def test_padding_does_not_decide_the_polarity(
    tags: dict[str, Any], sides: str, level: int, ratio: float
) -> None:
    stored = framed(np.clip(STORED, 1, 4094), sides, ratio, level)

    read = read_radiograph(dicom_bytes(stored, padding=(level,), window=(2048, 4096), **tags))

    assert read.padding is not None
    likeness = np.corrcoef(read.grey[~read.padding], stored[~read.padding])[0, 1]
    assert likeness > 0.99
    assert not read.grey[read.padding].any()


@pytest.mark.parametrize("ratio", [0.45, 1.5])
@pytest.mark.parametrize("sides", SIDES)
def test_padded_chest_is_not_doubted_and_a_padded_negative_is(sides: str, ratio: float) -> None:
    padding = framed(np.zeros_like(CHEST), sides, ratio, 1).astype(np.bool_)
    warnings = [
        {
            caution.code
            for caution in check_scope(
                Radiograph(framed(grey, sides, ratio, 0), FileFormat.PNG, padding), IntendedUse()
            )
        }
        for grey in (CHEST, WHITE - CHEST)
    ]

    assert warnings == [set(), {"POLARITY_SUSPECT"}]

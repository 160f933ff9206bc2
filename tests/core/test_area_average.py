"""Shrinking by areas: OpenCV's rule, exactly, for any ratio."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.area_average import MOST_PRODUCTS, average_areas
from service.core.radiograph import WHITE

SIDES = st.integers(1, 300)


@given(old=st.tuples(SIDES, SIDES), new=st.tuples(SIDES, SIDES), bits=st.sampled_from((8, 16)))
@settings(max_examples=60, deadline=None)
def test_agrees_with_opencv_in_double_precision(
    old: tuple[int, int], new: tuple[int, int], bits: int
) -> None:
    rows, columns = min(old[0], new[0]), min(old[1], new[1])
    levels = np.random.default_rng(old).integers(0, 2**bits, old)
    levels = levels.astype(np.uint8 if bits == 8 else np.uint16)

    averaged = average_areas(levels, rows, columns)

    expected = cv2.resize(
        levels.astype(np.float64), (columns, rows), interpolation=cv2.INTER_AREA
    ).reshape(rows, columns)
    assert averaged.dtype == np.float32
    assert averaged.flags.c_contiguous
    assert np.abs(averaged - expected).max() < 2.0**bits * 2e-6


@pytest.mark.parametrize("shape", [(2500, 2048), (3001, 70), (64, 9001)])
def test_large_pictures_are_averaged_in_parts(shape: tuple[int, int]) -> None:
    levels = np.random.default_rng(0).integers(0, WHITE, shape).astype(np.uint16)

    averaged = average_areas(levels, 64, 64)

    expected = cv2.resize(levels.astype(np.float64), (64, 64), interpolation=cv2.INTER_AREA)
    assert 4 * shape[0] / 64 * shape[1] > MOST_PRODUCTS or min(shape) < 100
    assert np.abs(averaged - expected).max() < 0.1


def test_a_view_of_a_picture_is_read_in_its_own_order() -> None:
    levels = np.random.default_rng(1).integers(0, WHITE, (400, 300)).astype(np.uint16)
    cropped = levels[::-1, 7:290].T

    averaged = average_areas(cropped, 50, 50)

    assert np.array_equal(averaged, average_areas(cropped.copy(), 50, 50))


def test_the_same_size_is_the_same_picture() -> None:
    levels = np.random.default_rng(2).integers(0, WHITE, (37, 41)).astype(np.uint16)

    assert np.array_equal(average_areas(levels, 37, 41), levels)


def test_white_stays_white() -> None:
    levels = np.full((1023, 997), WHITE, np.uint16)

    assert np.abs(average_areas(levels, 224, 224) - WHITE).max() < 0.05

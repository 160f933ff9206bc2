"""Preprocessing: properties that hold for any radiograph, in training and in serving."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.preprocess import PreprocessSpec, crop_box, normalise, preprocess
from service.core.radiograph import WHITE, FileFormat, Grey, Radiograph
from tests.support.radiographs import chest_levels

SPEC = PreprocessSpec(side_px=64)
CHEST = chest_levels(128, 112, bits=16)


def radiograph(grey: Grey, padding: object = None) -> Radiograph:
    """A radiograph of nothing but its grey levels."""
    mask = None if padding is None else np.asarray(padding, np.bool_)
    return Radiograph(grey, FileFormat.PNG, mask)


@given(
    rows=st.integers(64, 200),
    columns=st.integers(64, 200),
    side_px=st.sampled_from((32, 64, 96)),
    seed=st.integers(0, 9),
)
@settings(max_examples=25, deadline=None)
def test_any_size_gives_a_square_in_0_to_1(
    rows: int, columns: int, side_px: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    grey = random.integers(0, WHITE, (rows, columns)).astype(np.uint16)

    pixels = preprocess(radiograph(grey), PreprocessSpec(side_px=side_px))

    assert pixels.shape == (1, side_px, side_px)
    assert pixels.dtype == np.float32
    assert pixels.flags.c_contiguous
    assert 0.0 <= pixels.min() <= pixels.max() <= 1.0


@given(scale=st.floats(0.1, 0.9), shift=st.floats(0.0, 0.1))
@settings(max_examples=25, deadline=None)
def test_moving_the_display_window_changes_nothing(scale: float, shift: float) -> None:
    moved = np.rint(CHEST * scale + shift * WHITE).astype(np.uint16)

    pixels = preprocess(radiograph(moved), SPEC)

    assert np.abs(pixels - preprocess(radiograph(CHEST), SPEC)).max() < 0.002


@given(border=st.integers(1, 30))
@settings(max_examples=15, deadline=None)
def test_black_border_is_cropped_away(border: int) -> None:
    framed = np.pad(CHEST[:, 20:90], border)

    pixels = preprocess(radiograph(framed), SPEC)

    assert np.abs(pixels - preprocess(radiograph(CHEST[:, 20:90]), SPEC)).max() < 1e-6


@pytest.mark.parametrize("bars", [((9, 9), (9, 9)), ((0, 0), (14, 14)), ((0, 6), (0, 0))])
@pytest.mark.parametrize("around", ["white", "white around black", "black around white"])
def test_white_frame_is_cropped_away(bars: tuple[tuple[int, int], ...], around: str) -> None:
    inner = CHEST[:, 20:90]
    for level in {"white": [WHITE], "black around white": [WHITE, 0]}.get(around, [0, WHITE]):
        inner = np.pad(inner, bars, constant_values=level)

    pixels = preprocess(radiograph(inner), SPEC)

    assert np.abs(pixels - preprocess(radiograph(CHEST[:, 20:90]), SPEC)).max() < 1e-6


def test_white_edge_with_a_gap_is_no_frame() -> None:
    marked = CHEST.copy()
    marked[-8:] = WHITE
    marked[-1, 40:44] = CHEST[-1, 40:44]

    spans = crop_box(radiograph(marked), SPEC)

    assert spans == crop_box(radiograph(CHEST), SPEC)


def test_padding_is_cropped_away_whatever_its_level() -> None:
    framed = np.pad(CHEST, 16, constant_values=WHITE)
    padding = np.ones(framed.shape, np.bool_)
    padding[16:-16, 16:-16] = False

    pixels = preprocess(radiograph(framed, padding), SPEC)

    assert np.array_equal(pixels, preprocess(radiograph(CHEST), SPEC))


@pytest.mark.parametrize("level", [0, 1234, WHITE])
def test_constant_picture_gives_zeros(level: int) -> None:
    constant = np.full((80, 90), level, np.uint16)

    assert not preprocess(radiograph(constant), SPEC).any()


def test_picture_that_is_all_padding_does_not_crash() -> None:
    pixels = preprocess(radiograph(CHEST, np.ones(CHEST.shape)), SPEC)

    assert pixels.shape == (1, 64, 64)


def test_same_radiograph_gives_the_same_bits() -> None:
    first, second = (preprocess(radiograph(CHEST.copy()), SPEC) for _ in range(2))

    assert first.tobytes() == second.tobytes()


def test_radiograph_is_not_changed() -> None:
    grey = CHEST.copy()

    preprocess(radiograph(grey), SPEC)

    assert np.array_equal(grey, CHEST)


def test_normalise_shifts_and_scales_as_the_spec_says() -> None:
    batch = np.array([[[[0.0, 0.5], [0.75, 1.0]]]], np.float32)

    assert normalise(batch, SPEC).ravel().tolist() == [-2.0, 0.0, 1.0, 2.0]


@pytest.mark.parametrize("field", [{"side_px": 16}, {"side_px": 64, "resize": "crop"}, {}])
def test_spec_refuses_what_it_cannot_do(field: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        PreprocessSpec.model_validate(field)

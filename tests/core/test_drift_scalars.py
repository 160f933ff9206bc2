"""The scalars see what a physicist would see, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from service.core.drift_scalars import (
    SAMPLE_PIXELS,
    Scalar,
    Scalars,
    Stage,
    as_vector,
    measure_input,
    measure_raw,
    measure_scores,
    sample_radiograph,
)
from service.core.drift_shifts import parse_shift
from service.core.preprocess import PreprocessSpec, preprocess
from service.core.radiograph import FileFormat, Radiograph
from tests.support.drift import draw_radiograph, to_grey

SPEC = PreprocessSpec(side_px=64)


def measure(radiograph: Radiograph) -> Scalars:
    return measure_raw(sample_radiograph(radiograph)) | measure_input(preprocess(radiograph, SPEC))


def pad(radiograph: Radiograph, padding_level: int) -> Radiograph:
    """The same picture inside a frame of padding."""
    grey = np.pad(radiograph.grey, 8, constant_values=padding_level)
    padding = np.pad(np.zeros(radiograph.grey.shape, np.bool_), 8, constant_values=True)
    return replace(radiograph, grey=grey, padding=padding)


@pytest.mark.parametrize(
    ("shift", "scalar", "sign"),
    [
        ("gamma:0.8", Scalar.RAW_P50, 1),
        ("gamma:1.25", Scalar.INPUT_P50, -1),
        ("gain:0.9", Scalar.RAW_P99, -1),
        ("level:1.05", Scalar.RAW_MEAN, -1),
        ("width:0.7", Scalar.RAW_CLIPPED_WHITE, 1),
        ("width:1.3", Scalar.RAW_SD, -1),
        ("contrast:1.5", Scalar.RAW_SD, 1),
        ("blur:1.5", Scalar.RAW_SHARPNESS, -1),
        ("unsharp:1.5", Scalar.RAW_SHARPNESS, 1),
        ("gaussian_noise:0.03", Scalar.RAW_NOISE, 1),
        ("shot_noise:300", Scalar.RAW_NOISE, 1),
        ("impulse_noise:0.02", Scalar.RAW_SHARPNESS, 1),
        ("jpeg:10", Scalar.RAW_BLOCKS, 1),
        ("border:0.1", Scalar.RAW_BORDER, 1),
        ("invert", Scalar.RAW_POLARITY, -1),
        ("grey_levels:64", Scalar.RAW_GREY_LEVELS, -1),
        ("dead_columns:4", Scalar.RAW_STRIPES, 1),
    ],
)
def test_each_change_moves_its_scalar(shift: str, scalar: Scalar, sign: int) -> None:
    clean = draw_radiograph(5)

    before, after = measure(clean), measure(parse_shift(shift).apply(clean))

    assert sign * (after[scalar] - before[scalar]) > 0.02 * max(abs(before[scalar]), 0.05)


@pytest.mark.parametrize("padding_level", [0, 65535])
def test_padding_leaves_grey_scalars_as_they_are(padding_level: int) -> None:
    clean = draw_radiograph(3)

    padded = measure_raw(sample_radiograph(pad(clean, padding_level)))

    expected = measure_raw(sample_radiograph(clean))
    for scalar in (Scalar.RAW_MEAN, Scalar.RAW_P1, Scalar.RAW_P99, Scalar.RAW_CLIPPED_WHITE):
        assert padded[scalar] == pytest.approx(expected[scalar], abs=1e-9)


def test_percentiles_are_numpy_s() -> None:
    radiograph = draw_radiograph(9)

    measured = measure_raw(sample_radiograph(radiograph))

    p5, p50, p95 = np.percentile(radiograph.grey / 65535, (5, 50, 95))
    names = (Scalar.RAW_P5, Scalar.RAW_P50, Scalar.RAW_P95)
    assert [measured[name] for name in names] == pytest.approx([p5, p50, p95], abs=1e-3)


def test_large_radiograph_is_sampled_within_its_budget() -> None:
    grey = np.arange(2500 * 2048, dtype=np.uint32).astype(np.uint16).reshape(2500, 2048)

    sample = sample_radiograph(Radiograph(grey, FileFormat.PNG))

    assert sample.rows.size <= SAMPLE_PIXELS
    assert sample.rows.shape[1] == 2048


def test_constant_picture_has_finite_scalars() -> None:
    flat = Radiograph(np.full((40, 40), 900, np.uint16), FileFormat.PNG)

    assert all(np.isfinite(list(measure(flat).values())))


def test_scores_are_log_odds_of_the_abnormal_findings() -> None:
    measured = measure_scores(np.array([0.5, 0.25, 0.25], np.float32))

    assert measured[Scalar.SCORE_PNEUMONIA] == pytest.approx(np.log(1 / 3))
    assert {name.stage for name in measured} == {Stage.SCORE}


def test_what_was_not_measured_is_no_number() -> None:
    vector = as_vector({Scalar.RAW_MEAN: 0.5}, (Scalar.RAW_MEAN, Scalar.RAW_SD))

    assert vector[0] == 0.5
    assert np.isnan(vector[1])


def test_grey_levels_are_counted_in_bits() -> None:
    levels = np.tile(np.linspace(0, 1, 64), (64, 2))

    measured = measure_raw(sample_radiograph(Radiograph(to_grey(levels), FileFormat.PNG)))

    assert measured[Scalar.RAW_GREY_LEVELS] == 6

"""Radiograph, Pixels, Scores -> the scalars that are watched for drift.

The caller of a request pays only for `sample_radiograph`, a copy of some rows; the rest may run
later and elsewhere. Axes: H rows, W columns, R sampled rows, S side of the network's input,
F findings, D features, K scalars.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from service.core.findings import ABNORMAL, FINDINGS
from service.core.percentiles import median, percentiles
from service.core.radiograph import WHITE, Grey, Pixels, Radiograph

Levels = NDArray[np.float32]
Numbers = NDArray[np.float64]
Counts = NDArray[np.intp]

SAMPLE_PIXELS = 98_304
"""Whole rows in pairs of neighbours, up to so many pixels: all of a small picture, 48 rows of a
large one, and no column is missed."""

CLIP_LEVEL = WHITE // 510
"""Half a step of 8 bits: nearer to black, or to white, than the next level of an 8-bit picture."""

BORDER_LEVEL_RATIO = 0.02
"""Outer columns and rows below it are border, as in `PreprocessSpec.trim_level_ratio`."""

INPUT_BINS = 1024
LOWEST_PROBABILITY = 1e-5
TINY = 1e-6
SHARES = np.array([1, 5, 50, 95, 99]) / 100
"""Of the pixels that stay below a percentile; P of them."""

COARSE = 256
"""Groups of as many grey levels; a sum over all 65,536 would be made for five places."""


class Stage(StrEnum):
    """Where on the path of one X-ray a scalar is measured."""

    RAW = "raw"
    INPUT = "input"
    SCORE = "score"
    FEATURE = "feature"


class Scalar(StrEnum):
    """What is watched; the first word of the value is its stage."""

    RAW_MEAN = "raw_mean"
    RAW_SD = "raw_sd"
    RAW_P1 = "raw_p1"
    RAW_P5 = "raw_p5"
    RAW_P50 = "raw_p50"
    RAW_P95 = "raw_p95"
    RAW_P99 = "raw_p99"
    RAW_ENTROPY = "raw_entropy"
    RAW_CLIPPED_BLACK = "raw_clipped_black"
    RAW_CLIPPED_WHITE = "raw_clipped_white"
    RAW_GREY_LEVELS = "raw_grey_levels"
    RAW_SHARPNESS = "raw_sharpness"
    RAW_NOISE = "raw_noise"
    RAW_BORDER = "raw_border"
    RAW_POLARITY = "raw_polarity"
    RAW_STRIPES = "raw_stripes"
    RAW_BLOCKS = "raw_blocks"
    INPUT_MEAN = "input_mean"
    INPUT_SD = "input_sd"
    INPUT_P5 = "input_p5"
    INPUT_P50 = "input_p50"
    INPUT_P95 = "input_p95"
    INPUT_ENTROPY = "input_entropy"
    INPUT_SHARPNESS = "input_sharpness"
    INPUT_NOISE = "input_noise"
    SCORE_PNEUMONIA = "score_pneumonia"
    SCORE_TUBERCULOSIS = "score_tuberculosis"
    FEATURE_1 = "feature_1"
    FEATURE_2 = "feature_2"
    FEATURE_3 = "feature_3"
    FEATURE_DISTANCE = "feature_distance"

    @property
    def stage(self) -> Stage:
        """Where it is measured."""
        return Stage(self.value.partition("_")[0])


PIXEL_SCALARS = tuple(s for s in Scalar if s.stage in (Stage.RAW, Stage.INPUT))
"""Those that need no model."""

Scalars = Mapping[Scalar, float]


@dataclass(frozen=True, slots=True)
class GreySample:
    """Some rows of a radiograph, small enough to wait for their turn.

    Attributes
    ----------
    rows
        (R, W) uint16, R even: neighbours stand in pairs, 2i and 2i + 1.
    recorded
        (R, W) bool, false in padding; None where there is no padding.
    """

    rows: Grey = field(repr=False)
    recorded: NDArray[np.bool_] | None = field(repr=False)


def sample_radiograph(radiograph: Radiograph) -> GreySample:
    """Copy pairs of rows, evenly spaced inside the recorded part, up to `SAMPLE_PIXELS`."""
    first, stop = _recorded_rows(radiograph)
    affordable = SAMPLE_PIXELS // (2 * radiograph.grey.shape[1])
    pairs = max(1, min(affordable, (stop - first) // 2))
    starts = first + np.linspace(0, max(0, stop - first - 2), pairs).astype(np.intp)
    rows = np.minimum(np.stack([starts, starts + 1], axis=1).ravel(), stop - 1)
    padding = radiograph.padding
    recorded = None if padding is None else ~padding[rows]
    if recorded is not None and (recorded.all() or not recorded.any()):
        recorded = None
    return GreySample(radiograph.grey[rows], recorded)


def measure_raw(sample: GreySample) -> dict[Scalar, float]:
    """Grey levels as decoded, in display polarity, padding left out."""
    return {
        **_histogram_scalars(sample),
        **_texture_scalars(sample),
        Scalar.RAW_BORDER: _border_ratio(sample.rows),
        Scalar.RAW_POLARITY: _polarity(sample.rows),
    }


def measure_input(pixels: Pixels) -> dict[Scalar, float]:
    """What the network sees: (1, S, S) in 0..1."""
    square = pixels[0]
    steps = _steps(square)
    mean, deviation = (float(found.item()) for found in cv2.meanStdDev(square))
    bins = (square * np.float32(INPUT_BINS * (1 - TINY))).astype(np.intp)
    counts = np.bincount(bins.ravel(), minlength=INPUT_BINS)
    cumulated = np.cumsum(counts)
    places = np.searchsorted(cumulated, np.array([0.05, 0.5, 0.95]) * cumulated[-1])
    p5, p50, p95 = (places + 0.5) / INPUT_BINS
    return {
        Scalar.INPUT_MEAN: mean,
        Scalar.INPUT_SD: deviation,
        Scalar.INPUT_P5: float(p5),
        Scalar.INPUT_P50: float(p50),
        Scalar.INPUT_P95: float(p95),
        Scalar.INPUT_ENTROPY: _entropy(counts.reshape(64, -1).sum(axis=1)),
        Scalar.INPUT_SHARPNESS: _sharpness(steps, None, deviation),
        Scalar.INPUT_NOISE: _noise(steps[: len(steps) // 2 * 2], None, deviation),
    }


def measure_scores(probabilities: NDArray[np.float32]) -> dict[Scalar, float]:
    """Log-odds of each abnormal finding (F,)."""
    names = {finding: Scalar(f"score_{finding.value}") for finding in ABNORMAL}
    kept = np.clip(probabilities.astype(np.float64), LOWEST_PROBABILITY, 1 - LOWEST_PROBABILITY)
    log_odds = np.log(kept / (1 - kept))
    return {name: float(log_odds[FINDINGS.index(finding)]) for finding, name in names.items()}


def as_vector(measured: Scalars, names: Sequence[Scalar]) -> Levels:
    """(K,) in the order of the names; NaN for what was not measured."""
    return np.array([measured.get(name, np.nan) for name in names], np.float32)


def _recorded_rows(radiograph: Radiograph) -> tuple[int, int]:
    height = radiograph.grey.shape[0]
    if radiograph.padding is None:
        return 0, height
    rows = np.flatnonzero(~radiograph.padding.all(axis=1))
    return (int(rows[0]), int(rows[-1]) + 1) if rows.size else (0, height)


def _histogram_scalars(sample: GreySample) -> dict[Scalar, float]:
    levels = sample.rows if sample.recorded is None else sample.rows[sample.recorded]
    counts = np.bincount(levels.ravel(), minlength=WHITE + 1).reshape(COARSE, COARSE)
    coarse = counts.sum(axis=1)
    total = levels.size
    levels_p = _levels_of(SHARES * total, counts, coarse)
    p1, p5, p50, p95, p99 = (float(level) for level in levels_p)
    centres = (np.arange(COARSE) + 0.5) / COARSE
    mean = float(coarse @ centres) / total
    return {
        Scalar.RAW_MEAN: mean,
        Scalar.RAW_SD: math.sqrt(max(0.0, float(coarse @ (centres - mean) ** 2) / total)),
        Scalar.RAW_P1: p1,
        Scalar.RAW_P5: p5,
        Scalar.RAW_P50: p50,
        Scalar.RAW_P95: p95,
        Scalar.RAW_P99: p99,
        Scalar.RAW_ENTROPY: _entropy(coarse),
        Scalar.RAW_CLIPPED_BLACK: int(counts.ravel()[: CLIP_LEVEL + 1].sum()) / total,
        Scalar.RAW_CLIPPED_WHITE: int(counts.ravel()[WHITE - CLIP_LEVEL :].sum()) / total,
        Scalar.RAW_GREY_LEVELS: math.log2(max(1, int(np.count_nonzero(counts)))),
    }


def _levels_of(wanted_p: Numbers, counts: Counts, coarse: Counts) -> Numbers:
    """First levels that so many pixels do not exceed, 0..1: of their 256, then within them."""
    cumulated = np.cumsum(coarse)
    groups_p = np.searchsorted(cumulated, wanted_p)
    within_p = wanted_p - (cumulated - coarse)[groups_p]
    places_p = (np.cumsum(counts[groups_p], axis=1) < within_p[:, np.newaxis]).sum(axis=1)
    return np.asarray((COARSE * groups_p + places_p) / WHITE, np.float64)


def _texture_scalars(sample: GreySample) -> dict[Scalar, float]:
    rows = sample.rows.astype(np.float32)
    rows *= np.float32(1.0 / WHITE)
    deviation = float(cv2.meanStdDev(rows)[1].item())
    steps = _steps(rows)
    return {
        Scalar.RAW_SHARPNESS: _sharpness(steps, sample.recorded, deviation),
        Scalar.RAW_NOISE: _noise(steps, sample.recorded, deviation),
        Scalar.RAW_STRIPES: _stripes(rows),
        Scalar.RAW_BLOCKS: _blocks(steps),
    }


def _steps(rows: Levels) -> Levels:
    """(R, W) -> (R, W - 1), each pixel minus its left neighbour."""
    return np.asarray(cv2.subtract(rows[:, 1:], rows[:, :-1]))


def _sharpness(steps: Levels, recorded: NDArray[np.bool_] | None, deviation: float) -> float:
    """Mean absolute second difference along rows, against the spread of the picture."""
    right, left = steps[:, 1:], steps[:, :-1]
    if recorded is None:
        return cv2.norm(right, left, cv2.NORM_L1) / right.size / max(deviation, TINY)
    bend = cv2.absdiff(right, left)[recorded[:, 2:] & recorded[:, 1:-1] & recorded[:, :-2]]
    return float(bend.mean()) / max(deviation, TINY) if bend.size else 0.0


def _noise(steps: Levels, recorded: NDArray[np.bool_] | None, deviation: float) -> float:
    """Spread of 2 x 2 checkerboards, which edges leave out (after Immerkaer, CVIU 1996)."""
    checker = np.asarray(cv2.absdiff(steps[0::2], steps[1::2]))
    if recorded is not None:
        inside = recorded[0::2, 1:] & recorded[0::2, :-1] & recorded[1::2, 1:] & recorded[1::2, :-1]
        checker = checker[inside]
    sparse = checker.ravel()[:: max(1, checker.size // 8192)]
    return median(sparse) * 1.4826 / 2 / max(deviation, TINY) if sparse.size else 0.0


def _stripes(rows: Levels) -> float:
    """Largest jump of the column profile against its usual one, in decades: dead columns."""
    jumps = np.abs(np.diff(_mean_row(rows), n=2))
    return math.log10((float(jumps.max()) + TINY) / (median(jumps) + TINY)) if jumps.size else 0.0


def _blocks(steps: Levels) -> float:
    """Steps at the 8-pixel grid of JPEG against steps elsewhere, minus one."""
    profile = _mean_row(np.abs(steps))
    at_grid = float(profile[7::8].mean()) if profile.size > 8 else 0.0
    return (at_grid + TINY) / (float(profile.mean()) + TINY) - 1 if profile.size else 0.0


def _mean_row(rows: Levels) -> Numbers:
    """(R, W) -> (W,)."""
    share = np.full(len(rows), 1 / len(rows), np.float32)
    return np.asarray(share @ rows, np.float64)


def _border_ratio(rows: Grey) -> float:
    """Share of the picture in outer rows and columns that hold nothing bright."""
    row_peaks, column_peaks = rows.max(axis=1), rows.max(axis=0)
    level = BORDER_LEVEL_RATIO * WHITE
    return 1 - _inner_ratio(row_peaks > level) * _inner_ratio(column_peaks > level)


def _inner_ratio(is_bright: NDArray[np.bool_]) -> float:
    bright = np.flatnonzero(is_bright)
    return float(bright[-1] - bright[0] + 1) / is_bright.size if bright.size else 0.0


def _polarity(rows: Grey) -> float:
    """Mediastinum minus lungs, in ranges of the picture; a negative has the other sign."""
    small = cv2.resize(rows, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low, high = percentiles(small, 5, 95)
    lungs = (small[8:20, 6:12].mean() + small[8:20, 20:26].mean()) / 2
    return float(small[8:28, 14:18].mean() - lungs) / max(float(high - low), 1.0)


def _entropy(counts: NDArray[np.number]) -> float:
    """Bits."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())

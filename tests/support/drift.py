"""A small drift reference of drawn chests, and streams of the same kind."""

import functools
from collections.abc import Sequence

import numpy as np

from service.core.drift_cusum import ALLOWANCE
from service.core.drift_limits import fit_limits
from service.core.drift_reference import Header, Reference, Standardiser
from service.core.drift_scalars import (
    PIXEL_SCALARS,
    Levels,
    Scalar,
    as_vector,
    measure_input,
    measure_raw,
    sample_radiograph,
)
from service.core.drift_shifts import parse_shift
from service.core.findings import FINDINGS
from service.core.preprocess import PreprocessSpec, preprocess
from service.core.radiograph import FileFormat, Grey, Radiograph
from tests.support.phantoms import chest_phantom

SPEC = PreprocessSpec(side_px=64)
SHIFTS = ("gamma:0.8", "gamma:1.25", "blur:1", "gaussian_noise:0.03", "invert:1", "unsharp:1")
REFERENCE_IMAGES = 240
SCALARS = (*PIXEL_SCALARS, Scalar.SCORE_PNEUMONIA, Scalar.SCORE_TUBERCULOSIS)
LOG_ODDS = {0: (-2.5, -2.5), 1: (2.0, -2.5), 2: (-2.5, 2.0)}
"""Of pneumonia and tuberculosis for an image of each finding."""


def draw_radiograph(seed: int) -> Radiograph:
    """A phantom whose exposure and contrast vary from patient to patient."""
    random = np.random.default_rng(seed + 500_000)
    shown = chest_phantom(96, 84, seed=seed % 97)
    toned = 0.5 + random.normal(1, 0.06) * (shown ** np.exp(random.normal(0, 0.08)) - 0.5)
    noisy = toned + random.normal(0, 0.004, shown.shape)
    return Radiograph(to_grey(np.clip(noisy, 0, 1)), FileFormat.PNG)


def to_grey(shown: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Grey:
    """0..1 to 12 of 16 bits."""
    return (np.rint(shown * 4095) * 16).astype(np.uint16)


@functools.cache
def measure(seed: int, shift: str = "", finding: int | None = None) -> Levels:
    """(K,) of one drawn radiograph, changed if asked to; its finding decides its scores."""
    radiograph = draw_radiograph(seed)
    if shift:
        radiograph = parse_shift(shift).apply(radiograph)
    chosen = seed % len(FINDINGS) if finding is None else finding
    random = np.random.default_rng(seed + 1_000_003)
    scores = np.array(LOG_ODDS[chosen]) + random.normal(0, 0.7, 2)
    measured = measure_raw(sample_radiograph(radiograph)) | measure_input(
        preprocess(radiograph, SPEC)
    )
    names = (Scalar.SCORE_PNEUMONIA, Scalar.SCORE_TUBERCULOSIS)
    return as_vector(measured | dict(zip(names, map(float, scores), strict=True)), SCALARS)


@functools.cache
def small_reference(run_images: int = 400) -> Reference:
    """Of `REFERENCE_IMAGES` drawn chests, with the signatures of a few known changes."""
    seeds = range(REFERENCE_IMAGES)
    values = np.stack([measure(seed) for seed in seeds])
    findings = np.array([seed % len(FINDINGS) for seed in seeds], np.int8)
    blocks = np.arange(REFERENCE_IMAGES, dtype=np.int32)
    header = Header(
        created="2025-01-02T03:04:05+00:00",
        scalars=SCALARS,
        sources={"drawn": 1.0},
        allowance=ALLOWANCE,
        family_run_images=run_images,
        shifts=SHIFTS,
        sensitivity=tuple({"pneumonia": -0.1, "tuberculosis": -0.2} for _ in SHIFTS),
    )
    signatures = _signatures(values)
    limits = fit_limits(
        SCALARS,
        values,
        findings.astype(np.int64),
        blocks,
        signatures,
        images=run_images,
        streams=80,
    )
    return Reference(header, values, findings, blocks, limits, signatures)


def stream(count: int, *, first: int = 1000, shift: str = "") -> list[Levels]:
    """Images that the reference never saw."""
    return [measure(seed, shift) for seed in range(first, first + count)]


def _signatures(values: Levels) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    scale = Standardiser(values)
    clean = scale.standardise(values[:40])
    return np.stack([(_shifted(scale, text) - clean).mean(axis=0) for text in SHIFTS])


def _shifted(scale: Standardiser, text: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    rows: Sequence[Levels] = [measure(seed, text) for seed in range(40)]
    return scale.standardise(np.stack(rows))


@functools.cache
def tiny_reference() -> Reference:
    """Pixel scalars of the same chests, for the tiny model whose scores mean nothing."""
    whole = small_reference()
    pixels = len(PIXEL_SCALARS)
    header = whole.header.model_copy(update={"scalars": PIXEL_SCALARS})
    return Reference(
        header, whole.values[:, :pixels], whole.findings, whole.blocks,
        np.delete(whole.limits, _score_series()), whole.signatures[:, :pixels],
    )  # fmt: skip


def _score_series() -> list[int]:
    """Places of the scores among the limits: as they are, and adjusted."""
    scores = range(len(PIXEL_SCALARS), len(SCALARS))
    return [*scores, *(len(SCALARS) + place for place in scores)]

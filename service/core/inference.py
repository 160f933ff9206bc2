"""Batch -> scores: normalise, views, any engine's logits, average, calibrate.

Tuning, evaluation and serving all score through `score_batch`, so a threshold is tuned on
exactly what is served. Axes: N images, V views, M = N * V pictures, F findings, h x w feature map,
D features.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from service.core.artifact import Artifact
from service.core.ood import OOD, OodDetector, describe_image, read_detector
from service.core.preprocess import PreprocessSpec, normalise
from service.core.radiograph import Pixels
from service.core.tta import TtaView, average_attention, average_logits, build_views

Scalars = NDArray[np.float32]


class Outputs(NamedTuple):
    """What a network gives for M pictures.

    Attributes
    ----------
    logits
        (M, F), uncalibrated.
    maps
        (M, F, h, w) whose mean over h x w is the logit.
    features
        (M, D) channel means at several depths; D is 0 for a network that gives none.
    """

    logits: Scalars
    maps: Scalars
    features: Scalars


class Forward(Protocol):
    """What every engine can do."""

    def __call__(self, batch_nchw: Pixels) -> Outputs:
        """(M, 1, S, S) normalised -> outputs for any M."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that stands between an engine's outputs and what is said of a radiograph."""

    preprocess: PreprocessSpec
    views: tuple[TtaView, ...]
    temperature: float
    detector: OodDetector | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """One radiograph's result.

    Attributes
    ----------
    probabilities
        (F,), calibrated, sum to 1.
    tta_spread
        (F,), standard deviation over the views of the calibrated probability; 0 for one view.
    attention
        (F, h, w) class activation map in logits; positive speaks for the finding.
    features
        (D,) of the first view.
    out_of_distribution
        Share of real radiographs that are less unusual, 0..1; None where the model has no detector.
    """

    probabilities: Scalars
    tta_spread: Scalars
    attention: Scalars = field(repr=False)
    features: Scalars = field(repr=False, default_factory=lambda: np.zeros(0, np.float32))
    out_of_distribution: float | None = None

    @property
    def is_finite(self) -> bool:
        """False where an engine gave something that is no number: it would pass any threshold."""
        unusual = 0.0 if self.out_of_distribution is None else self.out_of_distribution
        known = (self.probabilities, self.tta_spread, unusual)
        return all(bool(np.isfinite(values).all()) for values in known)


def recipe_of(artifact: Artifact) -> Recipe:
    """The scoring recipe that the manifest prescribes."""
    manifest = artifact.manifest
    detector = read_detector(artifact.files[OOD]) if OOD in artifact.files else None
    return Recipe(manifest.preprocess, manifest.views, manifest.calibration.temperature, detector)


def score_batch(batch_nchw: Pixels, forward: Forward, recipe: Recipe) -> tuple[Scores, ...]:
    """Score preprocessed radiographs (N, 1, S, S); the answer is in the same order."""
    normalised = normalise(batch_nchw, recipe.preprocess)
    logits_mf, maps_mfhw, features_md = forward(build_views(normalised, recipe.views))
    mean_nf, views_vnf = average_logits(logits_mf, len(recipe.views))
    probabilities_nf = calibrate(mean_nf, recipe.temperature)
    spread_nf = calibrate(views_vnf, recipe.temperature).std(axis=0)
    attention_nfhw = average_attention(maps_mfhw, recipe.views)
    features_nd = features_md[: len(batch_nchw)]  # of the first view
    unusual_n: Sequence[float | None] = [None] * len(batch_nchw)
    if recipe.detector is not None:
        described = describe_image(features_nd, views_vnf[0])
        unusual_n = [float(score) for score in recipe.detector.scores(described)]
    parts_n = zip(probabilities_nf, spread_nf, attention_nfhw, features_nd, unusual_n, strict=True)
    return tuple(Scores(*parts) for parts in parts_n)


def describe_first_view(batch_nchw: Pixels, forward: Forward, recipe: Recipe) -> Scalars:
    """(N, 1, S, S) preprocessed -> (N, D + 1), what `score_batch` shows the detector."""
    normalised = normalise(batch_nchw, recipe.preprocess)
    outputs = forward(build_views(normalised, recipe.views[:1]))
    return describe_image(outputs.features, outputs.logits)


def calibrate(logits: Scalars, temperature: float) -> Scalars:
    """Softmax over the last axis of logits divided by the temperature."""
    scaled = logits / np.float32(temperature)
    log_of_sum = np.logaddexp.reduce(scaled, axis=-1, keepdims=True)
    return np.asarray(np.exp(scaled - log_of_sum), np.float32)


def stack_pixels(items: Sequence[Pixels]) -> Pixels:
    """(1, S, S) each -> (N, 1, S, S), contiguous."""
    return np.ascontiguousarray(np.stack(items), np.float32)

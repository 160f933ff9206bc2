"""What each known change of a scanner does to the scalars and to the sensitivity of a network.

Axes: N images, K scalars, C known changes, F findings.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.core.artifact import OperatingPoint, Purpose
from service.core.drift_cusum import Numbers
from service.core.drift_reference import FeatureSpace, Standardiser
from service.core.drift_scalars import (
    Levels,
    Scalar,
    as_vector,
    measure_input,
    measure_raw,
    measure_scores,
    sample_radiograph,
)
from service.core.drift_shifts import Shift, as_twelve_bit, known_shifts
from service.core.findings import FINDINGS
from service.core.inference import Forward, Recipe, Scores, score_batch, stack_pixels
from service.core.preprocess import preprocess
from service.core.radiograph import Radiograph
from training.data.dataset import read_study, targets_of
from training.data.studies import Study

OnImages = Callable[[int], None]
Measured = dict[Scalar, float]
CHUNK_IMAGES = 8


@dataclass(frozen=True, slots=True)
class Subject:
    """The network as it will serve, and the points at which it flags."""

    forward: Forward
    recipe: Recipe
    points: tuple[OperatingPoint, ...] = ()
    shifts: tuple[Shift, ...] = field(default_factory=known_shifts)
    weights_digest: str = ""
    prepare: Callable[[Radiograph], Radiograph] = lambda radiograph: radiograph
    """Before anything is measured; a study is used as it is, unless an experiment asks."""

    def read(self, folder: Path, study: Study) -> Radiograph:
        """One study, prepared."""
        return self.prepare(read_study(folder, study))

    def measure_pixels(self, radiograph: Radiograph) -> Measured:
        """Scalars that need no network."""
        square = preprocess(radiograph, self.recipe.preprocess)
        return measure_raw(sample_radiograph(radiograph)) | measure_input(square)

    def score(self, radiographs: Sequence[Radiograph]) -> list[Scores]:
        """As the service would, a few at a time."""
        pixels = [preprocess(radiograph, self.recipe.preprocess) for radiograph in radiographs]
        scored: list[Scores] = []
        for start in range(0, len(pixels), CHUNK_IMAGES):
            chunk = stack_pixels(pixels[start : start + CHUNK_IMAGES])
            scored += score_batch(chunk, self.forward, self.recipe)
        return scored


@dataclass(frozen=True, slots=True)
class Effects:
    """Of every known change.

    Attributes
    ----------
    signatures
        (C, K) mean change of the standardised scalars.
    sensitivity
        Change of the sensitivity at the flag threshold by finding, for each known change.
    """

    signatures: Numbers
    sensitivity: tuple[dict[str, float], ...]


def measure_effects(
    folder: Path,
    studies: Sequence[Study],
    subject: Subject,
    scale: Standardiser,
    scalars: tuple[Scalar, ...],
    features: FeatureSpace,
    on_images: OnImages,
) -> Effects:
    """Apply every known change to every study, and compare with the unchanged study."""
    count = len(subject.shifts)
    moved = np.zeros((count, len(scalars)))
    flags = np.zeros((count + 1, len(studies), len(subject.points)), np.bool_)
    for number, study in enumerate(studies):
        clean = as_twelve_bit(subject.read(folder, study))
        radiographs = [clean, *(shift.apply(clean) for shift in subject.shifts)]
        scored = subject.score(radiographs)
        values = np.stack(
            [
                measure_all(subject, radiograph, scores, features, scalars)
                for radiograph, scores in zip(radiographs, scored, strict=True)
            ]
        )
        z = scale.standardise(values)
        moved += z[1:] - z[0]
        flags[:, number] = [flags_of(scores, subject.points) for scores in scored]
        on_images(1)
    sensitivity = _sensitivity_changes(flags, targets_of(studies), subject.points)
    return Effects(moved / max(1, len(studies)), sensitivity)


def measure_all(
    subject: Subject,
    radiograph: Radiograph,
    scores: Scores,
    features: FeatureSpace,
    scalars: tuple[Scalar, ...],
) -> Levels:
    """(K,) of one scored radiograph."""
    measured = subject.measure_pixels(radiograph) | measure_scores(scores.probabilities)
    return as_vector(measured | features.measure(scores.features), scalars)


def flag_points(points: Sequence[OperatingPoint]) -> tuple[OperatingPoint, ...]:
    """Those that raise a flag, where a threshold could be certified."""
    return tuple(p for p in points if p.purpose is Purpose.FLAG and p.threshold is not None)


def flags_of(scores: Scores, points: Sequence[OperatingPoint]) -> list[bool]:
    """Whether one radiograph is flagged at each point."""
    return [
        point.threshold is not None
        and float(scores.probabilities[FINDINGS.index(point.finding)]) >= point.threshold
        for point in points
    ]


def _sensitivity_changes(
    flags: NDArray[np.bool_], targets: NDArray[np.int64], points: Sequence[OperatingPoint]
) -> tuple[dict[str, float], ...]:
    """Shifted minus clean, for each change; a finding without positives is left out."""
    changes: list[dict[str, float]] = [{} for _ in flags[1:]]
    for place, point in enumerate(points):
        is_positive = targets == FINDINGS.index(point.finding)
        if not is_positive.any():
            continue
        clean, *shifted = flags[:, is_positive, place].mean(axis=1)
        for change, found in zip(changes, shifted, strict=True):
            change[point.finding.value] = round(float(found - clean), 4)
    return tuple(changes)

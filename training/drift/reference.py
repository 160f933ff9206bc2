"""The images of a run -> `drift_reference.npz`, which its release carries.

Scores and features are those of held-out images: on images that it was trained on, a network is
surer than it will ever be again. An image that was trained on borrows them from a held-out image of
the same source and label. Axes: N images, K scalars, D features.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.core.drift_cusum import ALLOWANCE, FAMILY_RUN_IMAGES, SIMULATED_STREAMS
from service.core.drift_limits import fit_limits, lend_scalars
from service.core.drift_reference import (
    FEATURE_AXES,
    NO_FEATURES,
    FeatureSpace,
    Header,
    Reference,
    Standardiser,
)
from service.core.drift_scalars import Levels, Scalar, as_vector, measure_scores
from service.core.inference import Scores
from training.data.dataset import targets_of
from training.data.patients import patients_of
from training.data.studies import Split, Study
from training.drift.signatures import (
    CHUNK_IMAGES,
    Measured,
    OnImages,
    Subject,
    measure_effects,
)

SMALLEST_FEATURE_SPREAD = 1e-6


class TooFewImages(ValueError):
    """A reference of so few images would describe nothing."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Attributes
    ----------
    training_per_group, held_out_per_group
        Most images of one source with one label, so that no collection is the reference alone.
    signature_images
        Held-out images to which each known change is applied.
    run_images
        Stated mean images between false alarms of a scanner.
    """

    training_per_group: int = 400
    held_out_per_group: int = 200
    signature_images: int = 120
    streams: int = SIMULATED_STREAMS
    run_images: int = FAMILY_RUN_IMAGES
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Chosen:
    """The studies of a reference; only the held-out ones are scored."""

    held_out: tuple[Study, ...]
    trained: tuple[Study, ...]
    shown: tuple[Study, ...]
    """Those of the held-out ones to which the known changes are applied."""

    @property
    def studies(self) -> tuple[Study, ...]:
        """In the order of the rows of the reference."""
        return self.held_out + self.trained


def choose_studies(studies: Sequence[Study], effort: Effort) -> Chosen:
    """At most so many of each source and label, drawn at random.

    Raises
    ------
    TooFewImages
        Fewer than two are held out.
    """
    random = np.random.default_rng(effort.seed)
    is_held_out = [study.split is Split.VAL for study in studies]
    held_out = draw_studies(studies, is_held_out, effort.held_out_per_group, random)
    trained = draw_studies(
        studies, [not here for here in is_held_out], effort.training_per_group, random
    )
    if len(held_out) < 2:
        raise TooFewImages("a drift reference needs two or more validation images")
    shown = random.permutation(len(held_out))[: effort.signature_images]
    return Chosen(held_out, trained, tuple(held_out[i] for i in sorted(shown)))


def build_reference(
    folder: Path,
    chosen: Chosen,
    subject: Subject,
    effort: Effort,
    on_images: OnImages = lambda images: None,
    *,
    created: str,
) -> Reference:
    """Measure the chosen studies and what known changes would do, and set the limits.

    Parameters
    ----------
    created
        ISO 8601; stands in the header, and so in the digest of the version that carries it.
    on_images
        Told how many studies were measured since the last call.
    """
    features, scored = _measure_held_out(folder, chosen.held_out, subject, on_images)
    plain = list(_measure_trained(folder, chosen.trained, subject, on_images))
    scalars = tuple(name for name in Scalar if name in scored[0])
    measured = np.stack([as_vector(found, scalars) for found in [*scored, *plain]])
    groups = number_groups(chosen.studies)
    values = lend_scalars(measured, groups, np.random.default_rng(effort.seed))
    findings = targets_of(chosen.studies).astype(np.int8)
    blocks = _number_patients(chosen.studies)
    scale = Standardiser(values)
    effects = measure_effects(folder, chosen.shown, subject, scale, scalars, features, on_images)
    limits = fit_limits(
        scalars, measured, groups, blocks, effects.signatures,
        images=effort.run_images, streams=effort.streams, seed=effort.seed,
    )  # fmt: skip
    header = Header(
        created=created,
        scalars=scalars,
        sources=_shares(chosen.studies),
        allowance=ALLOWANCE,
        family_run_images=effort.run_images,
        shifts=tuple(map(str, subject.shifts)),
        weights_digest=subject.weights_digest,
        sensitivity=effects.sensitivity,
    )
    return Reference(header, values, findings, blocks, limits, effects.signatures, features)


def fit_features(features_nd: Levels) -> FeatureSpace:
    """First principal axes of standardised features, at unit variance."""
    mean = features_nd.mean(axis=0)
    spread = np.maximum(features_nd.std(axis=0), SMALLEST_FEATURE_SPREAD)
    if features_nd.shape[1] < FEATURE_AXES or len(features_nd) <= FEATURE_AXES:
        return NO_FEATURES
    _, lengths, directions = np.linalg.svd((features_nd - mean) / spread, full_matrices=False)
    deviations = np.maximum(lengths[:FEATURE_AXES] / len(features_nd) ** 0.5, 1e-9)
    axes = directions[:FEATURE_AXES] / deviations[:, np.newaxis] / spread
    return FeatureSpace(*(np.asarray(part, np.float32) for part in (mean, axes, spread)))


def _measure_held_out(
    folder: Path, studies: Sequence[Study], subject: Subject, on_images: OnImages
) -> tuple[FeatureSpace, list[Measured]]:
    measured: list[Measured] = []
    scored: list[Scores] = []
    for start in range(0, len(studies), CHUNK_IMAGES):
        chunk = studies[start : start + CHUNK_IMAGES]
        radiographs = [subject.read(folder, study) for study in chunk]
        scored += subject.score(radiographs)
        measured += [subject.measure_pixels(radiograph) for radiograph in radiographs]
        on_images(len(chunk))
    features = fit_features(np.stack([scores.features for scores in scored]))
    of_scores = [
        measure_scores(scores.probabilities) | features.measure(scores.features)
        for scores in scored
    ]
    return features, [seen | found for seen, found in zip(measured, of_scores, strict=True)]


def _measure_trained(
    folder: Path, studies: Sequence[Study], subject: Subject, on_images: OnImages
) -> list[Measured]:
    measured = []
    for study in studies:
        measured.append(subject.measure_pixels(subject.read(folder, study)))
        on_images(1)
    return measured


def draw_studies(
    studies: Sequence[Study], is_here: Sequence[bool], most: int, random: np.random.Generator
) -> tuple[Study, ...]:
    """At most so many of each source and label, of those that are here, in their order."""
    taken: Counter[tuple[str, str]] = Counter()
    chosen = []
    for index in random.permutation(len(studies)):
        study = studies[index]
        group = (study.source, study.finding.value)
        if is_here[index] and taken[group] < most:
            taken[group] += 1
            chosen.append(index)
    return tuple(studies[index] for index in sorted(chosen))


def _number_patients(studies: Sequence[Study]) -> NDArray[np.int32]:
    """(N,) the same number for the images of one patient."""
    named = zip(studies, patients_of(studies), strict=True)
    names = [f"{study.source}\t{patient}" for study, patient in named]
    return np.unique(names, return_inverse=True)[1].astype(np.int32)


def number_groups(studies: Sequence[Study]) -> NDArray[np.int64]:
    """(N,) the same number for one source and label."""
    names = [f"{study.source}\t{study.finding}" for study in studies]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def _shares(studies: Sequence[Study]) -> dict[str, float]:
    counts = Counter(study.source for study in studies)
    return {source: round(counts[source] / len(studies), 4) for source in sorted(counts)}

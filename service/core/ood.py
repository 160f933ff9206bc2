"""Features -> how unlike the radiographs that were learned from an image is, and what follows.

The detector compares an image's features, at each depth of the network, with those of the training
images: Mahalanobis distance to the nearest source under one shared covariance (Lee et al.,
NeurIPS 2018), kept as its leading directions and an even remainder (probabilistic PCA). Confidence,
as the free energy of the logits (Liu et al., NeurIPS 2020), counts as one depth more. It is fitted
by `training.ood.fitting` and stored in the artifact.
Axes: N images, F findings, D features of all depths, C channels of one depth, G sources,
K directions, Q knots, M golden uploads.
"""

import io
import zipfile
from dataclasses import dataclass, field
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.core.errors import ArtifactInvalid, NotEvaluated
from service.core.radiograph import Caution

OOD = "ood.npz"
"""Name of the stored detector among the files of an artifact."""

TAIL_SHAPE = 0.25
"""Of the generalised Pareto tail: heavier than an exponential, so that the score still tells a
strange image from a very strange one."""

Floats = NDArray[np.float32]
Distances = NDArray[np.float64]
Ratio = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class OodPoint(BaseModel):
    """The two thresholds of the out-of-distribution score, and what they cost; in the manifest.

    `review_threshold` sends a radiograph to review; `refuse_threshold` leaves it unevaluated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    review_threshold: Ratio
    refuse_threshold: Ratio
    review_ratio_target: Ratio
    refuse_ratio_target: Ratio
    confidence: Annotated[float, Field(gt=0, lt=1)]
    """With which the share of validation radiographs above the review threshold is certified."""
    radiographs: Count
    """Real validation radiographs that were measured."""
    patients: Count
    reviewed: Count
    """Of the radiographs, at or above the review threshold."""
    refused: Count
    refused_ratio_high: Ratio
    """Upper limit of the share that is refused: exact (Clopper-Pearson), one image per patient."""
    distance_tolerance: Annotated[float, Field(gt=0)]
    """Largest difference of a golden distance that the self-test accepts on any engine."""
    method: str
    weights_digest: str

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.refuse_threshold < self.review_threshold:
            raise ValueError("what is refused must be stranger than what is reviewed")
        return self


@dataclass(frozen=True, slots=True)
class Depth:
    """The training images' features at one depth.

    Attributes
    ----------
    center, scale
        (C,) mean and deviation of each channel; features are standardised by them first.
    sources
        (G, C) mean of each source, standardised.
    directions
        (K, C) leading directions of the covariance within sources, each divided by its deviation.
    remainder
        Variance in each direction that was not kept.
    location, spread
        Of the logarithm of the distance over validation radiographs.
    """

    center: Floats = field(repr=False)
    scale: Floats = field(repr=False)
    sources: Floats = field(repr=False)
    directions: Floats = field(repr=False)
    remainder: float
    location: float = 0.0
    spread: float = 1.0

    def log_distances(self, features_nc: Floats) -> Distances:
        """(N,) logarithm of the distance to the nearest source, per channel."""
        standardised = (features_nc - self.center) / self.scale
        nearest = np.full(len(features_nc), np.inf)
        for source in self.sources:
            away = (standardised - source).astype(np.float64)
            kept = away @ self.directions.T
            # Length of a whitened direction undone: what the kept directions explain of `away`.
            explained = kept**2 @ (1 / (self.directions.astype(np.float64) ** 2).sum(axis=1))
            left = np.maximum((away**2).sum(axis=1) - explained, 0)
            nearest = np.minimum(nearest, (kept**2).sum(axis=1) + left / self.remainder)
        return np.asarray(0.5 * np.log(nearest / self.center.size + 1e-12), np.float64)

    def unusualness(self, features_nc: Floats) -> Distances:
        """(N,) log distance in deviations above the typical validation radiograph."""
        return (self.log_distances(features_nc) - self.location) / self.spread


@dataclass(frozen=True, slots=True)
class OodDetector:
    """Scores how unlike the training images an image is; its features are of `describe_image`.

    Attributes
    ----------
    depths
        In the order in which the network concatenates their channels; confidence last.
    knots
        (Q,) quantiles, evenly spaced from 0 to `top`, of the distance over validation radiographs.
    top
        Share of validation radiographs below the last knot.
    tail_scale
        Of the tail above the last knot, see `TAIL_SHAPE`.
    golden
        (M,) distances of the golden uploads by the reference engine.
    """

    depths: tuple[Depth, ...]
    knots: Distances = field(repr=False)
    top: float
    tail_scale: float
    golden: Distances = field(repr=False, default_factory=lambda: np.zeros(0))

    @property
    def depth_channels(self) -> tuple[int, ...]:
        """C of each depth; together they are the D features that it expects."""
        return tuple(depth.center.size for depth in self.depths)

    def distances(self, features_nd: Floats) -> Distances:
        """(N,) unusualness at the depth where the image is most unusual; no upper bound.

        Raises
        ------
        ValueError
            The detector was fitted to another network's features.
        """
        *bounds, expected = np.cumsum(self.depth_channels)
        if features_nd.shape[1] != expected:
            raise ValueError(f"{features_nd.shape[1]} features; {OOD} is for {expected}")
        parts = np.split(features_nd, bounds, axis=1)
        each = [depth.unusualness(part) for depth, part in zip(self.depths, parts, strict=True)]
        return np.asarray(np.max(each, axis=0), np.float64)

    def scores(self, features_nd: Floats) -> Distances:
        """(N,) in 0..1: the share of real validation radiographs that are less unusual.

        0.99 is more unusual than 99 % of them. Above the last knot, where radiographs are too
        few to count, the share of more unusual ones follows a generalised Pareto tail.
        """
        return self.rank(self.distances(features_nd))

    def rank(self, distances: Distances) -> Distances:
        """Distances -> scores in 0..1, strictly increasing above the least unusual knot."""
        shares = np.linspace(0, self.top, self.knots.size)
        inside = np.interp(distances, self.knots, shares)
        beyond = np.maximum(distances - self.knots[-1], 0) / self.tail_scale
        tail = 1 - (1 - self.top) * (1 + TAIL_SHAPE * beyond) ** (-1 / TAIL_SHAPE)
        return np.asarray(np.where(distances > self.knots[-1], tail, inside), np.float64)


def describe_image(features_nd: Floats, logits_nf: Floats) -> Floats:
    """(N, D + 1): what a detector looks at, the channel means and the log of the summed odds."""
    energies = np.logaddexp.reduce(logits_nf, axis=1, keepdims=True)
    return np.hstack([features_nd, energies]).astype(np.float32)


def is_unusual(score: float | None, point: OodPoint | None) -> bool:
    """Whether the score is at or above the review threshold; False where there is none."""
    return score is not None and point is not None and score >= point.review_threshold


def check_distribution(score: float | None, point: OodPoint | None) -> tuple[Caution, ...]:
    """Warn of an unusual image; refuse one that is no chest radiograph by any measure.

    Raises
    ------
    NotEvaluated
        Reason `NOT_A_CHEST`.
    """
    if score is None or point is None or not is_unusual(score, point):
        return ()
    if score >= point.refuse_threshold:
        raise NotEvaluated("NOT_A_CHEST", "unlike every chest radiograph that the model knows")
    return (Caution("OUT_OF_DISTRIBUTION", "unlike most radiographs that the model learned from"),)


def write_detector(detector: OodDetector) -> bytes:
    """The bytes of `ood.npz`."""
    arrays: dict[str, NDArray[np.generic]] = {
        f"{name}_{place}": getattr(depth, name)
        for place, depth in enumerate(detector.depths)
        for name in ("center", "scale", "sources", "directions")
    }
    numbers = [(depth.remainder, depth.location, depth.spread) for depth in detector.depths]
    arrays |= {"depths": np.array(numbers), "knots": detector.knots, "golden": detector.golden}
    arrays["tail"] = np.array([detector.top, detector.tail_scale])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_detector(body: bytes) -> OodDetector:
    """Parse `ood.npz` without pickle.

    Raises
    ------
    ArtifactInvalid
        Not the arrays that `write_detector` writes, or they do not fit each other.
    """
    try:
        with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
            depths = tuple(
                _read_depth(arrays, place, *numbers)
                for place, numbers in enumerate(arrays["depths"].astype(float).tolist())
            )
            top, tail_scale = arrays["tail"].astype(float).tolist()
            knots, golden = arrays["knots"], arrays["golden"]
    except (KeyError, ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ArtifactInvalid(f"{OOD} does not hold a detector") from error
    detector = OodDetector(depths, knots, top, tail_scale, golden)
    _check_shapes(detector)
    return detector


def _read_depth(
    arrays: np.lib.npyio.NpzFile, place: int, remainder: float, location: float, spread: float
) -> Depth:
    center, scale, sources, directions = (
        np.asarray(arrays[f"{name}_{place}"], np.float32)
        for name in ("center", "scale", "sources", "directions")
    )
    return Depth(center, scale, sources, directions, remainder, location, spread)


def _check_shapes(detector: OodDetector) -> None:
    """A detector that broadcasts by accident would score nonsense."""
    for depth in detector.depths:
        channels = depth.center.size
        shapes = {
            depth.center.shape == (channels,),
            depth.scale.shape == (channels,),
            depth.sources.ndim == 2 and depth.sources.shape[1:] == (channels,),
            depth.directions.ndim == 2 and depth.directions.shape[1:] == (channels,),
            depth.remainder > 0 and depth.spread > 0 and bool((depth.scale > 0).all()),
        }
        if shapes != {True} or not len(depth.sources):
            raise ArtifactInvalid(f"{OOD}: the arrays of a depth do not fit each other")
    rising = detector.knots.ndim == 1 and detector.knots.size > 1
    if not rising or not (np.diff(detector.knots) > 0).all():
        raise ArtifactInvalid(f"{OOD}: the knots do not rise")
    if not (detector.depths and 0 < detector.top < 1 and detector.tail_scale > 0):
        raise ArtifactInvalid(f"{OOD}: no depths, or a tail without extent")

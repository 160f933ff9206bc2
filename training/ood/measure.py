"""What the out-of-distribution detector does: to strangers, to other hospitals, on other engines.

Axes: N images, D features.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from service.core.artifact import MetricInterval
from service.core.errors import NotEvaluated
from service.core.inference import Scalars
from service.core.ood import Distances, OodDetector, OodPoint
from service.core.radiograph import FileFormat, Radiograph
from service.core.scope import IntendedUse, check_scope
from training.measures.statistics import auc, delong, newcombe, wilson
from training.ood.features import FeatureSet
from training.ood.fitting import share_high, unknown_source_distances
from training.ood.packages import PackageAbsent
from training.ood.strangers import Group, Kind

FeaturesOf = Callable[[Sequence[Radiograph]], Scalars]
"""(N, D) of the first served view of each radiograph."""

OOD_EVALUATION = "ood.json"
CHUNK_IMAGES = 32
CAVEATS = (
    (
        "Intervals count images as independent. Several kinds are views of one picture or slices "
        "of one patient; their intervals are too narrow."
    ),
    (
        "Pictures from packages are few, and strangers of other kinds will come. The detector was "
        "fitted on none of them."
    ),
    (
        "A chest that is inverted, turned or cut keeps much of what a chest looks like; such kinds "
        "are listed apart and are no part of the pooled number."
    ),
    (
        "A source that the detector was not fitted on was still learned from by the network, so a "
        "hospital that neither has seen may lie further out."
    ),
)


@dataclass(frozen=True, slots=True)
class Alarms:
    """Radiographs or strangers at or above the two thresholds."""

    images: int
    reviewed: int
    """At or above the review threshold, refused ones included."""
    refused: int
    reviewed_share: MetricInterval
    refused_share: MetricInterval
    refused_share_high: float
    """Exact one-sided upper limit."""


@dataclass(frozen=True, slots=True)
class KindResult:
    """One kind of stranger; `absent` says which package is missing, and then nothing else."""

    name: str
    group: Group
    origin: str
    alarms: Alarms | None = None
    auc: MetricInterval | None = None
    """Against real test radiographs, by the distance alone."""
    content_refused: int = 0
    """Refused before the network looks: blank, or noise without anatomy."""
    absent: str | None = None


@dataclass(frozen=True, slots=True)
class DistanceAgreement:
    """A served precision against the reference, on the same radiographs."""

    images: int
    largest_difference: float
    """Of a distance."""
    other_side: int
    """Images that this precision puts on the other side of a threshold."""


@dataclass(frozen=True, slots=True)
class Strangers:
    """All kinds that are no chest, each picture counted once."""

    auc: MetricInterval
    alarms: Alarms
    lowest_kind_auc: float


@dataclass(frozen=True, slots=True)
class OodEvaluation:
    """Every number about the detector; `ood.json` of a run."""

    weights_digest: str
    split_digest: str
    detector_digest: str
    detector_bytes: int
    training_images: int
    point: OodPoint
    strangers: Strangers
    validation: dict[str, Alarms]
    """By source, and `all`."""
    test: dict[str, Alarms]
    unknown_sources: dict[str, Alarms]
    """Training images by a detector that was fitted without their source."""
    kinds: tuple[KindResult, ...]
    engines: dict[str, DistanceAgreement]
    caveats: tuple[str, ...]
    config_digest: str = ""
    """Empty in a record of before it was kept."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A detector with its thresholds, and the distances of real test radiographs."""

    detector: OodDetector
    point: OodPoint
    known: Distances

    def alarms(self, distances: Distances) -> Alarms:
        """How many reach each threshold."""
        scores = self.detector.rank(distances)
        reviewed = int((scores >= self.point.review_threshold).sum())
        refused = int((scores >= self.point.refuse_threshold).sum())
        return Alarms(
            images=scores.size,
            reviewed=reviewed,
            refused=refused,
            reviewed_share=wilson(reviewed, scores.size),
            refused_share=wilson(refused, scores.size),
            refused_share_high=share_high(refused, scores.size),
        )

    def separate(self, strange: Distances) -> MetricInterval:
        """AUC of strangers against the known radiographs."""
        distances = np.concatenate([strange, self.known])
        is_strange = np.arange(distances.size) < strange.size
        if min(strange.size, self.known.size) > 1:
            return delong(distances, is_strange)
        return newcombe(auc(distances, is_strange), strange.size, self.known.size)


KindMeasured = tuple[KindResult, Distances]


def measure_kind(kind: Kind, features_of: FeaturesOf, measured: Measured) -> KindMeasured:
    """Measure one kind; also its distances, none where its package is absent."""
    found, refused = [], 0
    try:
        for radiographs in _chunks(kind):
            refused += sum(_has_no_content(radiograph) for radiograph in radiographs)
            found.append(measured.detector.distances(features_of(radiographs)))
    except PackageAbsent as absent:
        return KindResult(kind.name, kind.group, kind.origin, absent=str(absent)), np.zeros(0)
    distances = np.concatenate(found)
    result = KindResult(
        kind.name,
        kind.group,
        kind.origin,
        alarms=measured.alarms(distances),
        auc=measured.separate(distances),
        content_refused=refused,
    )
    return result, distances


def pool_strangers(kinds: Sequence[KindMeasured], measured: Measured) -> Strangers:
    """Everything that is no chest against real test radiographs."""
    chosen = [
        (result.auc.value, distances)
        for result, distances in kinds
        if result.group is Group.NOT_A_CHEST and result.auc is not None
    ]
    distances = np.concatenate([distances for _, distances in chosen])
    return Strangers(
        auc=measured.separate(distances),
        alarms=measured.alarms(distances),
        lowest_kind_auc=min(value for value, _ in chosen),
    )


def alarms_by_source(
    distances: Distances, images: FeatureSet, measured: Measured
) -> dict[str, Alarms]:
    """False alarms among real radiographs of each source, and of all."""
    groups = {source: images.is_of(source) for source in images.sources}
    groups["all"] = np.ones(distances.size, bool)
    return {name: measured.alarms(distances[members]) for name, members in groups.items()}


def alarms_of_unknown_sources(
    fitted_on: FeatureSet, train: FeatureSet, validation: FeatureSet, measured: Measured
) -> dict[str, Alarms]:
    """False alarms where the detector was fitted without the source."""
    channels = measured.detector.depth_channels
    distances = unknown_source_distances(fitted_on, train, validation, channels)
    return alarms_by_source(distances, train, measured)


def compare_distances(
    measured: Measured, reference_nd: Scalars, other_nd: Scalars
) -> DistanceAgreement:
    """One engine's features against the reference's."""
    detector, point = measured.detector, measured.point
    thresholds = [point.review_threshold, point.refuse_threshold]
    ours, theirs = detector.distances(reference_nd), detector.distances(other_nd)
    sides = [np.digitize(detector.rank(distances), thresholds) for distances in (ours, theirs)]
    return DistanceAgreement(
        images=ours.size,
        largest_difference=float(np.abs(ours - theirs).max()),
        other_side=int((sides[0] != sides[1]).sum()),
    )


def _chunks(kind: Kind) -> Iterator[list[Radiograph]]:
    pictures = iter(kind.draw())
    while chunk := list(itertools.islice(pictures, CHUNK_IMAGES)):
        yield [Radiograph(grey, FileFormat.PNG) for grey in chunk]


def _has_no_content(radiograph: Radiograph) -> bool:
    try:
        check_scope(radiograph, IntendedUse())
    except NotEvaluated:
        return True
    return False

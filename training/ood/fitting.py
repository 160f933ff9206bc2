"""The out-of-distribution detector: fitted on training images, its thresholds on validation.

Nothing here has seen a stranger or the test split: both only measure, see `training.ood.measure`.
Axes: N images, D features of all depths, C channels of one depth, G sources.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import beta
from sklearn.covariance import ledoit_wolf

from service.core.inference import Scalars
from service.core.ood import TAIL_SHAPE, Depth, Distances, Floats, OodDetector, OodPoint
from training.data.lots import one_per_patient
from training.data.studies import Study
from training.measures.statistics import LEVEL, RISK, certified_threshold, positives_needed
from training.ood.features import FeatureSet

DIRECTIONS = 128
"""Most directions of a depth's covariance that are kept; with three depths well below 1.5 MB."""

SMALLEST_SCALE_RATIO = 0.05
"""Of the median channel's deviation: a channel that no radiograph moves must not outvote all."""

SMALLEST_VARIANCE_RATIO = 0.3
"""Of the mean variance: a direction in which radiographs hardly differ must not turn the rounding
of a bf16 engine into a distance. On ImageNet features of 156 test radiographs the largest
difference between the engines fell from 0.78 to 0.47, the AUC of damaged chests from 0.9990 to
0.9984."""

UPPER_DEVIATION = 0.84
"""Quantile one deviation above the median of a normal distribution."""

KNOTS = 101
TOP = 0.95
"""Validation radiographs below the last knot; the rest fit the tail."""

REVIEW_RATIO, REFUSE_RATIO = 0.01, 0.001
"""Real radiographs that may be sent to review, and left unevaluated, by the detector."""

METHOD = (
    "Mahalanobis distance of channel means to the nearest source at each depth, shared covariance, "
    "and of the free energy of the logits; the largest of them. Review: exact bound on one "
    "validation image per patient. Refusal: {how}."
)


VIEWS_PER_SOURCE = 10
"""Fewest views of training images for each source; each image is seen twice, see `acts.ood`."""

VIEWS = 2
"""Of each training image: as it is, and augmented."""


class DetectorRefused(ValueError):
    """Too few radiographs to fit or to certify."""


def check_counts(training: Sequence[Study], validation: Sequence[Study]) -> None:
    """Whether there are enough radiographs, before any is read.

    Raises
    ------
    DetectorRefused
        Says how many of what there are, and how many are needed.
    """
    sources = sorted({study.source for study in training})
    sizes = [sum(study.source == source for study in training) for source in sources]
    smallest_rest = len(training) - max(sizes, default=0)
    needed = -(-VIEWS_PER_SOURCE * len(sources) // VIEWS)
    rest_needed = -(-VIEWS_PER_SOURCE * (len(sources) - 1) // VIEWS)
    patients = one_per_patient(validation).size
    patients_needed = positives_needed(1 - REVIEW_RATIO, 0)
    counted = (
        ("training images", len(training), needed),
        ("training images beside those of the largest source", smallest_rest, rest_needed),
        ("validation images", len(validation), KNOTS),
        ("validation patients", patients, patients_needed),
    )
    short = [f"{have} {what} of {least} needed" for what, have, least in counted if have < least]
    if short:
        raise DetectorRefused(f"too few radiographs for the detector: {', '.join(short)}")


def fit_detector(train: FeatureSet, validation: FeatureSet, channels: Sequence[int]) -> OodDetector:
    """Fit each depth on training images, and the score's scale on validation radiographs.

    Parameters
    ----------
    channels
        C of each depth, in the order in which they make up D.

    Raises
    ------
    DetectorRefused
        Too few images of the training or the validation split.
    """
    least = VIEWS_PER_SOURCE * len(train.sources)
    if len(train.studies) < least or len(validation.studies) < KNOTS:
        raise DetectorRefused(f"needs {least} training and {KNOTS} validation radiographs")
    bounds = np.cumsum(channels)[:-1]
    parts = zip(
        np.split(train.features_nd, bounds, axis=1),
        np.split(validation.features_nd, bounds, axis=1),
        strict=True,
    )
    depths = tuple(_fit_depth(part, train, known) for part, known in parts)
    return _with_ranks(depths, validation.features_nd)


def choose_point(
    detector: OodDetector,
    fitted_on: FeatureSet,
    train: FeatureSet,
    validation: FeatureSet,
    *,
    weights_digest: str,
    distance_tolerance: float,
) -> OodPoint:
    """Certify both thresholds: review on validation, refusal as if every hospital were a new one.

    At most `REVIEW_RATIO` of radiographs like those of the validation split go to review. For the
    refusal each training image is measured by a detector that was fitted without its source, and
    at most `REFUSE_RATIO` of those may be refused; where they are too few to certify that, or of
    one source only, the largest distance of all known radiographs is taken.

    Raises
    ------
    DetectorRefused
        Too few validation patients to certify the review threshold.
    """
    known = detector.distances(validation.features_nd)
    chosen = one_per_patient(validation.studies)
    review = _highest_kept(known[chosen], REVIEW_RATIO)
    if review is None:
        raise DetectorRefused(f"{chosen.size} patients cannot certify {REVIEW_RATIO:.0%} to review")
    foreign = unknown_source_distances(fitted_on, train, validation, detector.depth_channels)
    picked = one_per_patient(train.studies)
    certified = _highest_kept(foreign[picked], REFUSE_RATIO) if len(train.sources) > 1 else None
    largest = float(max(known.max(), foreign.max()))
    refuse = max(review, largest if certified is None else certified)
    scores, thresholds = detector.rank(known), detector.rank(np.array([review, refuse]))
    refused = scores >= thresholds[1]
    return OodPoint(
        review_threshold=float(thresholds[0]),
        refuse_threshold=float(thresholds[1]),
        review_ratio_target=REVIEW_RATIO,
        refuse_ratio_target=REFUSE_RATIO,
        confidence=LEVEL,
        radiographs=len(validation.studies),
        patients=int(chosen.size),
        reviewed=int((scores >= thresholds[0]).sum()),
        refused=int(refused.sum()),
        refused_ratio_high=share_high(int(refused[chosen].sum()), int(chosen.size)),
        distance_tolerance=distance_tolerance,
        method=METHOD.format(how=_how(certified, picked.size)),
        weights_digest=weights_digest,
    )


def unknown_source_distances(
    fitted_on: FeatureSet, train: FeatureSet, validation: FeatureSet, channels: Sequence[int]
) -> Distances:
    """(N,) distance of each training image by a detector that never saw its source.

    With one source only there is no such detector: the distances are those of the only one.
    """
    distances = np.full(len(train.studies), -np.inf)
    for source in train.sources:
        inside, others = train.is_of(source), ~validation.is_of(source)
        known = fitted_on.of(~fitted_on.is_of(source)) if len(train.sources) > 1 else fitted_on
        scaled_on = validation.of(others) if others.sum() >= KNOTS else validation
        detector = fit_detector(known, scaled_on, channels)
        distances[inside] = detector.distances(train.features_nd[inside])
    return distances


def share_high(events: int, count: int) -> float:
    """Upper limit of a share, exact (Clopper-Pearson), one-sided."""
    return 1.0 if events == count else float(beta.ppf(1 - RISK, events + 1, count - events))


def _fit_depth(features_nc: Scalars, train: FeatureSet, validation_nc: Scalars) -> Depth:
    center, deviation = features_nc.mean(axis=0), features_nc.std(axis=0)
    scale = np.maximum(deviation, SMALLEST_SCALE_RATIO * np.median(deviation) + 1e-12)
    standardised = ((features_nc - center) / scale).astype(np.float64)
    members = [train.is_of(source) for source in train.sources]
    sources = np.stack([standardised[member].mean(axis=0) for member in members])
    within = standardised.copy()
    for member, mean in zip(members, sources, strict=True):
        within[member] -= mean
    directions, remainder = _whiten(within)
    unscaled = Depth(_floats(center), _floats(scale), _floats(sources), directions, remainder)
    logs = unscaled.log_distances(validation_nc)
    location = float(np.median(logs))
    # The upper half only: strangers are judged on it, and the lower one may be of any length.
    spread = max(float(np.quantile(logs, UPPER_DEVIATION)) - location, 1e-6)
    return replace(unscaled, location=location, spread=spread)


def _whiten(within_nc: Distances) -> tuple[Floats, float]:
    """Leading directions divided by their deviation, and the variance of each of the others.

    The covariance is shrunk towards a multiple of the identity (Ledoit and Wolf, 2004).
    """
    covariance, _ = ledoit_wolf(within_nc, assume_centered=True)
    variances, vectors = np.linalg.eigh(covariance)
    variances = np.maximum(variances, SMALLEST_VARIANCE_RATIO * variances.mean())
    kept = min(DIRECTIONS, variances.size)
    leading, rest = variances[::-1][:kept], variances[::-1][kept:]
    directions = (vectors[:, ::-1][:, :kept] / np.sqrt(leading)).T
    return _floats(directions), float(rest.mean() if rest.size else leading[-1])


def _with_ranks(depths: tuple[Depth, ...], validation_nd: Scalars) -> OodDetector:
    """Knots and tail of the score: how the distances of validation radiographs are spread."""
    unranked = OodDetector(depths, np.array([0.0, 1.0]), TOP, 1.0)
    known = unranked.distances(validation_nd)
    knots = np.quantile(known, np.linspace(0, TOP, KNOTS))
    knots += np.arange(KNOTS) * 1e-9  # equal distances would leave a knot that does not rise
    excess = known[known > knots[-1]] - knots[-1]
    tail_scale = max(float(excess.mean()) * (1 - TAIL_SHAPE), 1e-6)
    return replace(unranked, knots=knots, tail_scale=tail_scale)


def _highest_kept(distances: Distances, ratio: float) -> float | None:
    """Just above the largest distance that must be kept, so that at most `ratio` is beyond it."""
    certified = certified_threshold(-distances, 1 - ratio).threshold
    return None if certified is None else float(np.nextafter(-certified, np.inf))


def _how(certified: float | None, patients: int) -> str:
    if certified is None:
        return "the largest distance of any training or validation radiograph; not certified"
    return f"certified on {patients} training patients, each by a detector without their source"


def _floats(values: Distances | Scalars) -> Floats:
    return np.ascontiguousarray(values, np.float32)

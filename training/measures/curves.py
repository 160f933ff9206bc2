"""ROC and precision-recall curves and score histograms, as numbers.

Axes: N images, F findings.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import logit
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

from service.core.findings import ABNORMAL, FINDINGS, Finding
from training.data.studies import Study
from training.measures.discrimination import Opponents, Question
from training.measures.evidence import Curve, Histogram, Points
from training.measures.operating import count_images, is_finding, is_source
from training.measures.statistics import SMALLEST_PROBABILITY, Indices, Mask, Numbers, bootstrap

LARGEST_POINTS = 150
"""Of one curve; more cannot be told apart in a figure."""

LOG_ODDS_EDGES = np.linspace(-9, 9, 37)


def measure_curve(question: Question, opponents: Opponents) -> Curve:
    """Both curves of one question, and its average precision with patients resampled."""
    column, images, positive = FINDINGS.index(question.finding), question.images, question.positive
    scores, truth = opponents.network_nf[:, column], positive[images]

    def average_precision(draw: Indices) -> float:
        kept = draw[images[draw]]
        if not positive[kept].any():
            return float("nan")
        return float(average_precision_score(positive[kept], scores[kept]))

    return Curve(
        finding=question.finding.value,
        positives=int(truth.sum()),
        negatives=int((~truth).sum()),
        roc=roc_points(scores[images], truth),
        baseline_roc=roc_points(opponents.baseline_nf[images, column], truth),
        precision_recall=precision_recall_points(scores[images], truth),
        average_precision=bootstrap(average_precision, len(images), opponents.draws),
    )


def roc_points(scores: Numbers, positive: Mask) -> Points:
    """(1 - specificity, sensitivity) at each corner."""
    false_rate, true_rate, _ = roc_curve(positive, scores)
    return _thin(false_rate, true_rate)


def precision_recall_points(scores: Numbers, positive: Mask) -> Points:
    """(sensitivity, ppv), from the lowest threshold to the highest."""
    ppv, sensitivity, _ = precision_recall_curve(positive, scores, drop_intermediate=True)
    return _thin(sensitivity, ppv)


def measure_histograms(
    probabilities_nf: Numbers, studies: Sequence[Study]
) -> tuple[Histogram, ...]:
    """Of each abnormal finding, by source and truth."""
    return tuple(
        Histogram(
            finding=finding.value,
            edges=tuple(LOG_ODDS_EDGES.tolist()),
            counts=_count(probabilities_nf[:, FINDINGS.index(finding)], studies),
        )
        for finding in ABNORMAL
    )


def _count(probabilities: Numbers, studies: Sequence[Study]) -> dict[str, tuple[int, ...]]:
    bounded = np.clip(
        probabilities.astype(np.float64), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY
    )
    log_odds = np.clip(logit(bounded), LOG_ODDS_EDGES[0], LOG_ODDS_EDGES[-1])
    groups = {
        f"{source}: {truth}": is_source(studies, source) & is_finding(studies, Finding(truth))
        for source, found in count_images(studies).items()
        for truth in found
    }
    return {
        name: tuple(np.histogram(log_odds[inside], LOG_ODDS_EDGES)[0].tolist())
        for name, inside in groups.items()
    }


def _thin(across: Numbers, up: Numbers) -> Points:
    """At most `LARGEST_POINTS` of the corners, both ends kept."""
    count = min(len(across), LARGEST_POINTS)
    chosen = np.unique(np.linspace(0, len(across) - 1, count).round().astype(int))
    return tuple((round(float(across[i]), 6), round(float(up[i]), 6)) for i in chosen)

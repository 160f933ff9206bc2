"""Intervals, certified thresholds, AUC and calibration measures; pure.

Axes: N images, F findings. `positive` is a boolean mask over the images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import binom, binomtest, norm, rankdata
from sklearn.linear_model import LogisticRegression

from service.core.artifact import MetricInterval

Numbers = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]

LEVEL = 0.95
"""Of every interval in this project."""

RISK = 0.05
"""Accepted probability that a certified threshold misses its target."""

Z = float(norm.ppf((1 + LEVEL) / 2))
SMALLEST_PROBABILITY = 1e-6


@dataclass(frozen=True, slots=True)
class CertifiedThreshold:
    """A threshold with a guarantee, or the fact that none can be given."""

    threshold: float | None
    positives: int
    misses_allowed: int | None


@dataclass(frozen=True, slots=True)
class CalibrationLine:
    """Logistic recalibration: slope 1, intercept 0 is perfect; slope below 1 is overconfident."""

    slope: MetricInterval
    intercept: MetricInterval


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Images whose probability lies in one tenth of the scale."""

    low: float
    high: float
    images: int
    mean_probability: float
    observed: MetricInterval


def certified_threshold(
    positive_scores: Numbers, target_sensitivity: float, risk: float = RISK
) -> CertifiedThreshold:
    """The highest threshold that keeps the target with probability 1 - risk, by the exact binomial.

    A positive counts as found when its score is equal to the threshold or above it. The scores
    must be independent: one per patient.
    """
    ordered = np.sort(positive_scores)
    allowed = misses_allowed(len(ordered), target_sensitivity, risk)
    threshold = None if allowed is None else float(ordered[allowed])
    return CertifiedThreshold(threshold, len(ordered), allowed)


@cache
def misses_allowed(positives: int, target_sensitivity: float, risk: float = RISK) -> int | None:
    """Largest m with P(at most m misses | sensitivity is the target) <= risk; None if 0 is over."""
    misses = np.arange(positives)
    safe = np.flatnonzero(binom.cdf(misses, positives, 1 - target_sensitivity) <= risk)
    return int(safe[-1]) if safe.size else None


def positives_needed(target_sensitivity: float, misses: int, risk: float = RISK) -> int:
    """Fewest positives that certify the target with so many of them missed."""
    positives = misses + 1
    while binom.cdf(misses, positives, 1 - target_sensitivity) > risk:
        positives += 1
    return positives


def wilson(successes: int, count: int) -> MetricInterval:
    """A proportion with its Wilson score interval; each trial counts as independent."""
    interval = binomtest(successes, count).proportion_ci(LEVEL, method="wilson")
    return MetricInterval(value=successes / count, low=interval.low, high=interval.high)


def predictive_values(
    sensitivity: MetricInterval, specificity: MetricInterval, prevalence: float
) -> tuple[MetricInterval, MetricInterval]:
    """PPV and NPV at a prevalence (Bayes); both lower limits make the lower: conservative."""
    pairs = [
        _predictive_values(getattr(sensitivity, limit), getattr(specificity, limit), prevalence)
        for limit in ("value", "low", "high")
    ]
    ppv, npv = zip(*pairs, strict=True)
    return (
        MetricInterval(value=ppv[0], low=ppv[1], high=ppv[2]),
        MetricInterval(value=npv[0], low=npv[1], high=npv[2]),
    )


def _predictive_values(
    sensitivity: float, specificity: float, prevalence: float
) -> tuple[float, float]:
    found, missed = prevalence * sensitivity, prevalence * (1 - sensitivity)
    cleared, alarmed = (1 - prevalence) * specificity, (1 - prevalence) * (1 - specificity)
    ppv = found / (found + alarmed) if found + alarmed else 0.0
    npv = cleared / (cleared + missed) if cleared + missed else 0.0
    return ppv, npv


def auc(scores: Numbers, positive: Mask) -> float:
    """Area under the ROC curve, ties counted half; NaN when a side is empty."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(scores)
    wins = ranks[positive].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))


def delong(scores: Numbers, positive: Mask) -> MetricInterval:
    """AUC with DeLong's interval on the logit scale; images count as independent.

    A perfect separation has no DeLong variance; Newcombe's method takes over.

    References
    ----------
    DeLong et al., Biometrics 1988; mid-rank form of Sun and Xu, IEEE SPL 2014.
    """
    value = auc(scores, positive)
    ranks = rankdata(scores)
    count, rest = int(positive.sum()), int((~positive).sum())
    wins = (ranks[positive] - rankdata(scores[positive])) / rest
    losses = (ranks[~positive] - rankdata(scores[~positive])) / count
    variance = _variance(wins) / count + _variance(losses) / rest
    if variance == 0 or value in (0.0, 1.0):
        return newcombe(value, count, rest)
    reach = Z * np.sqrt(variance) / (value * (1 - value))
    low, high = expit(logit(value) - reach), expit(logit(value) + reach)
    return MetricInterval(value=value, low=float(low), high=float(high))


def newcombe(value: float, positives: int, negatives: int) -> MetricInterval:
    """AUC interval from the counts alone, sensible at 1 too (Newcombe, Stat Med 2006, method 5)."""
    half = (positives + negatives) / 2 - 1

    def gap(theta: float) -> float:
        inner = 1 + half * (1 - theta) / (2 - theta) + half * theta / (1 + theta)
        variance = theta * (1 - theta) * inner / (positives * negatives)
        return abs(value - theta) - Z * float(np.sqrt(variance))

    # At the value itself, and at 0 and 1, the gap is 0 or less: search just beside them.
    edge = 1e-9
    low = brentq(gap, edge, value - edge) if value > 2 * edge and gap(edge) > 0 else 0.0
    high = (
        brentq(gap, value + edge, 1 - edge) if value < 1 - 2 * edge and gap(1 - edge) > 0 else 1.0
    )
    return MetricInterval(value=value, low=float(low), high=float(high))


def patient_draws(patients: Sequence[str], draws: int, seed: int) -> tuple[Indices, ...]:
    """Image indices of each bootstrap draw: whole patients, drawn with replacement."""
    _, groups = np.unique(np.asarray(patients), return_inverse=True)
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(groups))[:-1])
    generator = np.random.default_rng(seed)
    drawn = generator.integers(len(members), size=(draws, len(members)))
    return tuple(np.concatenate([members[index] for index in row]) for row in drawn)


def bootstrap(
    statistic: Callable[[Indices], float], images: int, draws: Sequence[Indices]
) -> MetricInterval:
    """Percentile interval over draws; draws in which the statistic is undefined are left out."""
    value = statistic(np.arange(images))
    replicates = np.array([statistic(draw) for draw in draws])
    known = replicates[np.isfinite(replicates)]
    if not known.size:
        return MetricInterval(value=value, low=value, high=value)
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return MetricInterval(value=value, low=float(low), high=float(high))


def reliability(
    probabilities: Numbers, positive: Mask, bins: int = 10
) -> tuple[ReliabilityBin, ...]:
    """Observed rate with its Wilson interval in each equal-width bin that holds an image."""
    edges = np.linspace(0, 1, bins + 1)
    places = np.clip(np.digitize(probabilities, edges[1:-1]), 0, bins - 1)
    return tuple(
        ReliabilityBin(
            low=float(edges[place]),
            high=float(edges[place + 1]),
            images=int((places == place).sum()),
            mean_probability=float(probabilities[places == place].mean()),
            observed=wilson(int(positive[places == place].sum()), int((places == place).sum())),
        )
        for place in np.unique(places)
    )


def calibration_error(
    probabilities_nf: Numbers, targets: NDArray[np.int64], bins: int = 10
) -> float:
    """Expected calibration error of the most likely finding, equal bins (Guo et al., 2017)."""
    confidence = probabilities_nf.max(axis=1)
    right = probabilities_nf.argmax(axis=1) == targets
    places = np.clip((confidence * bins).astype(int), 0, bins - 1)
    gaps = np.bincount(places, weights=right - confidence.astype(np.float64), minlength=bins)
    return float(np.abs(gaps).sum() / len(targets))


def brier(probabilities_nf: Numbers, targets: NDArray[np.int64]) -> float:
    """Squared distance to the truth, summed over findings, averaged over images: 0..2."""
    truth = np.eye(probabilities_nf.shape[1])[targets]
    return float(((probabilities_nf - truth) ** 2).sum(axis=1).mean())


def log_loss(probabilities_nf: Numbers, targets: NDArray[np.int64]) -> float:
    """Mean negative log-probability of the true finding."""
    chosen = probabilities_nf[np.arange(len(targets)), targets].astype(np.float64)
    return float(-np.log(np.clip(chosen, SMALLEST_PROBABILITY, 1)).mean())


def calibration_line(probabilities: Numbers, positive: Mask) -> CalibrationLine | None:
    """Outcome regressed on the log-odds of the probability; None where a line separates the two.

    Limits are Wald's, from the inverse of the Fisher information.
    """
    if auc(probabilities, positive) in (0.0, 1.0) or positive.all() or not positive.any():
        return None
    bounded = np.clip(probabilities.astype(np.float64), SMALLEST_PROBABILITY, 1 - 1e-6)
    odds = logit(bounded)[:, None]
    line = LogisticRegression(C=np.inf, max_iter=1000).fit(odds, positive)
    expected = line.predict_proba(odds)[:, 1]
    design = np.hstack([odds, np.ones_like(odds)])
    information = (design * (expected * (1 - expected))[:, None]).T @ design
    errors = np.sqrt(np.diag(np.linalg.pinv(information)))
    return CalibrationLine(
        slope=_wald(float(line.coef_[0, 0]), float(errors[0])),
        intercept=_wald(float(line.intercept_[0]), float(errors[1])),
    )


def _wald(value: float, error: float) -> MetricInterval:
    return MetricInterval(value=value, low=value - Z * error, high=value + Z * error)


def _variance(parts: Numbers) -> float:
    return float(parts.var(ddof=1)) if len(parts) > 1 else 0.0

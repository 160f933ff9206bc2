"""Counts -> rates with intervals, paired comparisons, and sequences that may be looked at daily."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy  # its parts are imported where they are used first; `stats` takes half a second
from numpy.typing import NDArray

from service.review.crowds import Places, find_places, widest_gap

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CONFIDENCE = 0.95
PRIOR = (0.5, 0.5)
"""Of the mixture over p; Jeffreys' prior loses least in the worst case."""

MOST_FOR_EXACT = 100_000
"""Cases of a sample; beyond, the exact distribution costs a second and differs by a thousandth."""

MOST_POSITIVES = 1_000_000
"""More than anyone will wait for."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its interval; `value` is None where nothing was counted."""

    successes: int
    total: int
    value: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class AucPair:
    """Two AUCs on the same cases (DeLong)."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Shift:
    """How far two samples of scores lie apart (Kolmogorov and Smirnov)."""

    statistic: float
    p_value: float


@dataclass(frozen=True, slots=True)
class PairedCounts:
    """Two classifiers on the same cases, and McNemar's exact two-sided p."""

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float


def rate(successes: int, total: int, confidence: float = CONFIDENCE) -> Rate:
    """Share with Wilson's score interval.

    References
    ----------
    Wilson, J Am Stat Assoc 1927;22:209-212.
    """
    if total == 0:
        return Rate(0, 0, None, 0.0, 1.0)
    z = _deviations(confidence)
    share, z2 = successes / total, z * z
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = z * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == total else min(1.0, centre + half)
    return Rate(successes, total, share, low, high)


def _deviations(confidence: float) -> float:
    """Half the width of an interval of a normal distribution, in standard deviations."""
    return float(scipy.special.ndtri((1 + confidence) / 2))


def mcnemar(first: Bools, second: Bools) -> PairedCounts:
    """Compare what two classifiers got right; the exact binomial test on the discordant cases."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    p_value = 1.0
    if discordant:
        rarer = min(only_first, only_second)
        p_value = min(1.0, 2 * float(scipy.special.bdtr(rarer, discordant, 0.5)))
    return PairedCounts(
        int((first & second).sum()), only_first, only_second, int((~first & ~second).sum()), p_value
    )


def delong(first: Floats, second: Floats, truth: Bools) -> AucPair | None:
    """Compare two AUCs on the same cases; None without both kinds of case.

    References
    ----------
    DeLong et al., Biometrics 1988;44:837-845; each placement by counting, not pair by pair.
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if min(positives, negatives) < 2:
        return None
    parts = [_placements(scores, truth) for scores in (first, second)]
    aucs = [float(of_positives.mean()) for of_positives, _ in parts]
    covariance = (
        np.cov([of_positives for of_positives, _ in parts]) / positives
        + np.cov([of_negatives for _, of_negatives in parts]) / negatives
    )
    deviation = math.sqrt(max(0.0, covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]))
    difference = aucs[1] - aucs[0]
    half = _deviations(CONFIDENCE) * deviation
    p_value = 1.0 if deviation == 0 else float(2 * scipy.special.ndtr(-abs(difference) / deviation))
    return AucPair(aucs[0], aucs[1], difference, difference - half, difference + half, p_value)


def _placements(scores: Floats, truth: Bools) -> tuple[Floats, Floats]:
    """Share of the other kind that each case is ranked above, ties half."""
    positives, negatives = scores[truth], scores[~truth]
    of_positives, of_negatives = find_places(positives, negatives)
    return (
        _share_under(of_positives, len(negatives)),
        1 - _share_under(of_negatives, len(positives)),
    )


def _share_under(places: Places, others: int) -> Floats:
    return np.asarray((places.below + places.up_to) / (2 * others), np.float64)


def ks_shift(first: Floats, second: Floats) -> Shift:
    """Two-sided, two samples; no shift where there is no case.

    Beyond `MOST_FOR_EXACT` cases the p-value is that of the limiting distribution.
    """
    n, m = len(first), len(second)
    if not n or not m:
        return Shift(0.0, 1.0)
    if max(n, m) <= MOST_FOR_EXACT:
        told = scipy.stats.ks_2samp(first, second)
        return Shift(float(told.statistic), float(told.pvalue))
    statistic = widest_gap(first, second)
    return Shift(statistic, float(scipy.special.kolmogorov(statistic * math.sqrt(n * m / (n + m)))))


def confidence_sequence(successes: int, total: int, confidence: float) -> tuple[float, float]:
    """Interval that covers p at every look at once, however often and whenever one looks.

    By Ville's inequality: the likelihood ratio of a Beta mixture against p is a martingale under
    p, so it exceeds 1 / alpha at any time with probability at most alpha.

    References
    ----------
    Robbins, Ann Math Stat 1970;41:1397-1409; Howard et al., Ann Stat 2021;49:1055-1080.
    """
    if total == 0:
        return 0.0, 1.0
    limit = -math.log1p(-confidence)
    a, b = PRIOR
    mixture = float(
        scipy.special.betaln(a + successes, b + total - successes) - scipy.special.betaln(a, b)
    )

    def excess(p: float) -> float:
        failures = total - successes
        fit = (successes * math.log(p) if successes else 0.0) + (
            failures * math.log1p(-p) if failures else 0.0
        )
        return mixture - fit - limit

    share, edge = successes / total, 1e-12
    low = 0.0 if successes == 0 else _root(excess, edge, min(share, 1 - edge))
    high = 1.0 if successes == total else _root(excess, max(share, edge), 1 - edge)
    return low, high


def _root(excess: Callable[[float], float], low: float, high: float) -> float:
    if excess(low) * excess(high) > 0:
        return low if abs(excess(low)) < abs(excess(high)) else high
    return float(scipy.optimize.brentq(excess, low, high, xtol=1e-10))


def still_needed(successes: int, total: int, target: float, confidence: float) -> int | None:
    """How many more cases it takes, at the share seen so far, to prove the target.

    Returns
    -------
    None where that share, with half a case more of each kind, does not exceed the target: nothing
    says that waiting would prove it.
    """
    share = (successes + PRIOR[0]) / (total + sum(PRIOR))
    if share <= target:
        return None

    def is_enough(more: int) -> bool:
        seen = total + more
        return confidence_sequence(round(share * seen), seen, confidence)[0] >= target

    if is_enough(0):
        return 0
    most = 1
    while not is_enough(most):
        most *= 2
        if most > MOST_POSITIVES:
            return None
    least = most // 2
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if is_enough(middle) else (middle, most)
    return most

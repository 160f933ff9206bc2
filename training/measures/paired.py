"""Paired tests of two versions on the same images; pure.

`positive` is a boolean mask over the images; images count as independent, unlike in the bootstrap.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm, rankdata

from service.core.artifact import MetricInterval
from training.measures.evidence import McNemar, PairedAuc
from training.measures.statistics import Mask, Numbers, Z, auc

Zones = NDArray[np.int64]
"""(N,) 0 routine, 1 refer, 2 flag."""


def paired_delong(current: Numbers, previous: Numbers, positive: Mask) -> PairedAuc:
    """Difference of two correlated AUCs; p is 1 where no pair of images is ranked otherwise.

    References
    ----------
    DeLong et al., Biometrics 1988; mid-rank form of Sun and Xu, IEEE SPL 2014.
    """
    difference = auc(current, positive) - auc(previous, positive)
    wins_now, losses_now = _placements(current, positive)
    wins_then, losses_then = _placements(previous, positive)
    wins, losses = wins_now - wins_then, losses_now - losses_then
    variance = _mean_variance(wins) + _mean_variance(losses)
    if variance < 1e-15:
        return PairedAuc(MetricInterval(value=difference, low=difference, high=difference), 1.0)
    error = float(np.sqrt(variance))
    interval = MetricInterval(
        value=difference, low=difference - Z * error, high=difference + Z * error
    )
    return PairedAuc(interval, float(2 * norm.sf(abs(difference) / error)))


def mcnemar(current_right: Mask, previous_right: Mask) -> McNemar:
    """Exact test that each is as often right where the other is wrong."""
    only_current = int((current_right & ~previous_right).sum())
    only_previous = int((previous_right & ~current_right).sum())
    changed = only_current + only_previous
    p_value = float(binomtest(only_current, changed).pvalue) if changed else 1.0
    return McNemar(only_current, only_previous, p_value)


def net_moved_up(current: Zones, previous: Zones) -> float:
    """Share of images in a more urgent zone than before, less the share in a less urgent one.

    Of positives this is the first half of the net reclassification improvement; of negatives, its
    opposite is the second (Pencina et al., Stat Med 2008).
    """
    return float(np.sign(current - previous).mean()) if len(current) else float("nan")


def _placements(scores: Numbers, positive: Mask) -> tuple[Numbers, Numbers]:
    """Share of the other side that each positive is above, and each negative below."""
    ranks = rankdata(scores)
    positives, negatives = int(positive.sum()), int((~positive).sum())
    wins = (ranks[positive] - rankdata(scores[positive])) / negatives
    losses = 1 - (ranks[~positive] - rankdata(scores[~positive])) / positives
    return wins, losses


def _mean_variance(parts: Numbers) -> float:
    return float(parts.var(ddof=1) / len(parts)) if len(parts) > 1 else 0.0

"""Distances that people expect to see: population stability index and Wasserstein distance."""

from dataclasses import dataclass, field

import numpy as np

from service.core.drift_cusum import Numbers
from service.core.drift_scalars import Levels

PSI_BINS = 10
FEWEST_IMAGES = 30
"""Below, both would measure chance; they are 0."""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """One scalar of the reference, prepared for many comparisons.

    Attributes
    ----------
    edges, expected
        Deciles of the reference, and its share between them.
    ordered
        All its values, ascending: fewer quantiles would cut off its tails.
    sums
        Of the first of them, none to all.
    """

    edges: Numbers = field(repr=False)
    expected: Numbers = field(repr=False)
    ordered: Numbers = field(repr=False)
    sums: Numbers = field(repr=False)

    def psi(self, window: Levels) -> float:
        """Population stability index; NaN entries are left out.

        Half an image is added to every bin, so that an empty one does not make it infinite.
        """
        now = _known(window)
        if now.size < FEWEST_IMAGES:
            return 0.0
        found = _shares(self.edges, now)
        return float(((found - self.expected) * np.log(found / self.expected)).sum())

    def wasserstein(self, window: Levels) -> float:
        """Area between the two distribution functions, in the unit of the values.

        NaN entries are left out.
        """
        now = np.sort(_known(window))
        if now.size < FEWEST_IMAGES:
            return 0.0
        low, high = self.ordered[[0, -1]]
        ends = np.concatenate(([min(low, now[0])], now, [max(high, now[-1])]))
        share, size = np.arange(now.size + 1) / now.size, self.ordered.size
        # Between two values of the window its share is constant, and crosses the reference's once.
        ranks = np.ceil(share * size).astype(np.int64) - 1
        crossing = np.clip(self.ordered[np.clip(ranks, 0, size - 1)], ends[:-1], ends[1:])
        at_end, at_crossing = self._area_below(ends), self._area_below(crossing)
        above = share * (2 * crossing - ends[:-1] - ends[1:])
        return float((above + at_end[:-1] + at_end[1:] - 2 * at_crossing).sum())

    def _area_below(self, levels: Numbers) -> Numbers:
        """Of the reference's distribution function, up to each level."""
        counts = self.ordered.searchsorted(levels, "right")
        return np.asarray((levels * counts - self.sums[counts]) / self.ordered.size, np.float64)


def make_yardstick(reference: Levels) -> Yardstick:
    """From the values of one scalar; NaN entries are left out."""
    known = _known(reference)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, PSI_BINS + 1)[1:-1]))
    ordered = np.sort(known)
    sums = np.concatenate(([0.0], np.cumsum(ordered)))
    return Yardstick(edges, _shares(edges, known), ordered, sums)


def _known(values: Levels) -> Numbers:
    return np.asarray(values[~np.isnan(values)], np.float64)


def _shares(edges: Numbers, values: Numbers) -> Numbers:
    counts = np.bincount(np.searchsorted(edges, values), minlength=edges.size + 1) + 0.5
    return np.asarray(counts / counts.sum(), np.float64)

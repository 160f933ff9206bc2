"""Distances that people expect to see: population stability index and Wasserstein distance."""

from dataclasses import dataclass, field

import numpy as np

from service.core.drift_cusum import Numbers
from service.core.drift_scalars import Levels

PSI_BINS = 10
FEWEST_IMAGES = 30
"""Below, both would measure chance; they are 0."""

RANKS = np.linspace(0, 1, 257)


@dataclass(frozen=True, slots=True)
class Yardstick:
    """One scalar of the reference, prepared for many comparisons.

    Attributes
    ----------
    edges, expected
        Deciles of the reference, and its share between them.
    quantiles
        Its values at `RANKS`.
    """

    edges: Numbers = field(repr=False)
    expected: Numbers = field(repr=False)
    quantiles: Numbers = field(repr=False)

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
        """Mean distance of equal ranks, in the unit of the values; NaN entries are left out."""
        now = _known(window)
        if now.size < FEWEST_IMAGES:
            return 0.0
        ranks = (np.arange(now.size) + 0.5) / now.size
        return float(np.abs(np.sort(now) - np.interp(ranks, RANKS, self.quantiles)).mean())


def make_yardstick(reference: Levels) -> Yardstick:
    """From the values of one scalar; NaN entries are left out."""
    known = _known(reference)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, PSI_BINS + 1)[1:-1]))
    return Yardstick(edges, _shares(edges, known), np.quantile(known, RANKS))


def _known(values: Levels) -> Numbers:
    return np.asarray(values[~np.isnan(values)], np.float64)


def _shares(edges: Numbers, values: Numbers) -> Numbers:
    counts = np.bincount(np.searchsorted(edges, values), minlength=edges.size + 1) + 0.5
    return np.asarray(counts / counts.sum(), np.float64)

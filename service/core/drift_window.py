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
    """

    edges: Numbers = field(repr=False)
    expected: Numbers = field(repr=False)
    ordered: Numbers = field(repr=False)

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
        places = np.sort(np.concatenate((self.ordered, now)))
        share = self.ordered.searchsorted(places[:-1], "right") / self.ordered.size
        share_now = now.searchsorted(places[:-1], "right") / now.size
        return float((np.abs(share - share_now) * np.diff(places)).sum())


def make_yardstick(reference: Levels) -> Yardstick:
    """From the values of one scalar; NaN entries are left out."""
    known = _known(reference)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, PSI_BINS + 1)[1:-1]))
    return Yardstick(edges, _shares(edges, known), np.sort(known))


def _known(values: Levels) -> Numbers:
    return np.asarray(values[~np.isnan(values)], np.float64)


def _shares(edges: Numbers, values: Numbers) -> Numbers:
    counts = np.bincount(np.searchsorted(edges, values), minlength=edges.size + 1) + 0.5
    return np.asarray(counts / counts.sum(), np.float64)

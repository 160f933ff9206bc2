"""Standardised scalars -> the series that CUSUM follows, and the scalar that each speaks for.

Each scalar as it is; each pixel scalar adjusted for the others; and, for each known change of a
scanner, the one combination of pixel scalars that tells it best from patients.
Axes: N images, K scalars, P pixel scalars (they stand first), C known changes, S = 2K + C series.
"""

import numpy as np
from numpy.typing import NDArray

from service.core.drift_cusum import Numbers
from service.core.drift_reference import SMALLEST_SPREAD, Standardiser
from service.core.drift_scalars import PIXEL_SCALARS, Levels, Scalar

SHRINKAGE = 0.1
"""Towards independence, of the correlation that is inverted."""

TINY = 1e-9

FARTHEST = 3.5
"""As far as a rank among some thousand images goes, so that no image alone moves a combination
further than a scalar; unbounded, one odd picture reached 20 and was an alarm whenever it came."""


class Series:
    """Values of an image -> (S,) numbers of mean 0 and variance 1 on the reference.

    Parameters
    ----------
    values
        (N, K) reference, NaN where not measured.
    signatures
        (C, K) mean change of the standardised scalars under each known change.

    References
    ----------
    Hawkins, Multivariate quality control based on regression-adjusted variables (1991); Healy, A
    note on multivariate CUSUM procedures (1987), for the combination in a known direction; Hawkins,
    Robustification of cumulative sum charts by winsorization (1993), for the bound.
    """

    def __init__(self, scalars: tuple[Scalar, ...], values: Levels, signatures: Numbers) -> None:
        self.scale = Standardiser(values)
        self._pixels = sum(name in PIXEL_SCALARS for name in scalars)
        z = self.scale.standardise(values)[:, : self._pixels]
        known = z[~np.isnan(z).any(axis=1)]
        correlation = known.T @ known / max(1, len(known))
        shrunk = (1 - SHRINKAGE) * correlation + SHRINKAGE * np.eye(self._pixels)
        precision = np.linalg.inv(shrunk)
        unscaled = np.concatenate([precision, signatures[:, : self._pixels] @ precision])
        spread = np.sqrt(np.einsum("ij,jk,ik->i", unscaled, correlation, unscaled))
        self._combinations = unscaled / np.maximum(spread, TINY)[:, np.newaxis]
        bounded = self._combine(known)
        self._centre = bounded.sum(axis=0) / max(1, len(known))
        self._spread = np.maximum(bounded.std(axis=0, mean=self._centre), SMALLEST_SPREAD)
        self._blank = len(scalars) - self._pixels
        self.owners = _owners(len(scalars), signatures[:, : self._pixels])

    def __len__(self) -> int:
        return len(self.owners)

    def follow(self, z: Numbers) -> Numbers:
        """(..., K) standardised scalars -> (..., S).

        NaN for what cannot be adjusted: scores, features, and images without a model input.
        """
        combined = (self._combine(z[..., : self._pixels]) - self._centre) / self._spread
        adjusted, directed = np.split(combined, [self._pixels], axis=-1)
        blank = np.full((*z.shape[:-1], self._blank), np.nan)
        return np.concatenate([z, adjusted, blank, directed], axis=-1)

    def _combine(self, pixels: Numbers) -> Numbers:
        combined = np.clip(pixels @ self._combinations.T, -FARTHEST, FARTHEST)
        return np.asarray(combined, np.float64)


def _owners(scalars: int, signatures: Numbers) -> NDArray[np.intp]:
    """(S,) the scalar of each series; of a known change, the one that it moves most."""
    each = np.arange(scalars)
    most = np.abs(signatures).argmax(axis=1) if len(signatures) else np.zeros(0, np.intp)
    return np.concatenate([each, each, most])

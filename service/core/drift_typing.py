"""Did the pictures change, or only who is sent? Covariate against prevalence shift.

If only the prevalence changed, the reference reweighted to the new prevalence explains the window:
its means, its distributions (Kolmogorov-Smirnov) and its kernel mean (MMD).
Axes: N reference images, M images of a window, K scalars, F findings, G grid points, B draws.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import scipy  # its parts are imported where they are used first
from numpy.typing import NDArray

from service.core.drift_cusum import Numbers
from service.core.findings import FINDINGS

MIN_IMAGES = 50
"""Fewer say nothing about a cause."""

DRAWS = 399
SIGNIFICANCE = 0.01
KERNEL_IMAGES = 400
"""Reference images in the kernel matrix: more would only cost time."""

LEAST_SHIFT = 0.4
"""Standard deviations: smaller shifts of a mean are below what the CUSUM is made for (0.5)."""

LEAST_DISTANCE = 0.16
"""Kolmogorov-Smirnov distance of two normal distributions that lie `LEAST_SHIFT` apart."""

SUM_WEIGHT = 100.0
"""Of the equation that the shares sum to one, against one standard deviation."""

FAR, TINY = 1e6, 1e-9
GRID = np.linspace(-2, 2, 17)
"""In robust standard deviations."""


class ShiftKind(StrEnum):
    """What changed."""

    NONE = "none"
    COVARIATE = "covariate"
    """The pictures: look at the scanner."""
    PREVALENCE = "prevalence"
    """The patients: look at who is sent, and at the predictive values."""
    UNDECIDED = "undecided"
    """Too few images so far."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The kind, and the prevalence that fits best."""

    kind: ShiftKind
    prevalence: dict[str, float]
    p_value: float
    """Of the reweighted reference: small says that prevalence alone does not explain it."""


@dataclass(frozen=True, slots=True)
class _Fit:
    """How well a weighted reference explains a window."""

    p_value: float
    is_small: bool

    @property
    def is_explained(self) -> bool:
        """By chance, or but for differences that nobody would act on."""
        return self.p_value > SIGNIFICANCE or self.is_small


class Typist:
    """Compares windows of one scanner with the reference.

    Parameters
    ----------
    z
        (N, K) standardised reference, NaN where not measured.
    findings
        (N,) place of each label in `FINDINGS`.
    """

    def __init__(self, z: Numbers, findings: NDArray[np.int8], *, seed: int = 0) -> None:
        self._findings = findings
        self._seed = seed
        self._z = _filled(z)
        self._shares = np.bincount(findings, minlength=len(FINDINGS)) / len(findings)
        # A finding that the reference lacks lies where no window can be.
        self._means = np.stack(
            [
                self._z[findings == f].mean(axis=0) if share else np.full(z.shape[1], FAR)
                for f, share in enumerate(self._shares)
            ],
            axis=1,
        )
        random = np.random.default_rng(seed)
        self._kernel_rows = random.permutation(len(z))[:KERNEL_IMAGES]
        self._kernel = _kernel(self._z[self._kernel_rows], self._z[self._kernel_rows])
        self._places = _places(self._z)

    def type_shift(self, window: Numbers) -> Verdict:
        """Say what changed.

        Parameters
        ----------
        window
            (M, K) standardised images since the change.
        """
        filled = _filled(window)
        shares = self._estimate_prevalence(filled)
        named = {f.value: round(float(s), 3) for f, s in zip(FINDINGS, shares, strict=True)}
        if len(window) < MIN_IMAGES:
            return Verdict(ShiftKind.UNDECIDED, named, 1.0)
        if self._compare(filled, np.ones(len(self._z))).is_explained:
            return Verdict(ShiftKind.NONE, named, 1.0)
        fit = self._compare(filled, (shares / np.maximum(self._shares, TINY))[self._findings])
        kind = ShiftKind.PREVALENCE if fit.is_explained else ShiftKind.COVARIATE
        return Verdict(kind, named, round(fit.p_value, 4))

    def _estimate_prevalence(self, window: Numbers) -> Numbers:
        """(F,) the mix of labels whose mean scalars come nearest to the window's.

        Black-box shift estimation (Lipton et al., ICML 2018), with every scalar as a box.
        """
        if not len(window):
            return self._shares
        sum_to_one = SUM_WEIGHT * np.ones((1, self._means.shape[1]))
        found, _ = scipy.optimize.nnls(
            np.concatenate([self._means, sum_to_one]),
            np.append(window.mean(axis=0), SUM_WEIGHT),
        )
        return np.asarray(found / max(found.sum(), TINY), np.float64)

    def _compare(self, window: Numbers, weights: Numbers) -> _Fit:
        """How often a draw from the weighted reference is as far from it as the window."""
        random = np.random.default_rng(self._seed)
        chances = weights / weights.sum()
        kernel_chances = weights[self._kernel_rows]
        kernel_chances = kernel_chances / kernel_chances.sum()
        drawn = random.choice(len(self._z), (DRAWS, len(window)), p=chances)
        near = random.choice(len(self._kernel), (DRAWS, len(window)), p=kernel_chances)
        mean, ranks = chances @ self._z, _ranks(self._z, chances)
        spread = np.sqrt(chances @ (self._z - mean) ** 2) + 1e-9
        across = _kernel(window, self._z[self._kernel_rows])
        near_mean = self._kernel @ kernel_chances
        found = (
            *_distances(window, _places(window), mean, spread, ranks),
            _mmd(window, across, kernel_chances),
        )
        null = np.array(
            [
                (*_distances(self._z[rows], self._places[rows], mean, spread, ranks),
                 _mmd_of_rows(self._kernel, kernel_rows, near_mean))
                for rows, kernel_rows in zip(drawn, near, strict=True)
            ]
        )  # fmt: skip
        beyond = (null >= np.array(found)).sum(axis=0)
        p_value = min(1.0, len(found) * float((beyond.min() + 1) / (DRAWS + 1)))
        return _Fit(p_value, is_small=found[0] < LEAST_SHIFT and found[1] < LEAST_DISTANCE)


def _filled(z: Numbers) -> Numbers:
    """What was not measured stands at the centre."""
    return np.asarray(np.nan_to_num(z, nan=0.0), np.float64)


def _ranks(z: Numbers, chances: Numbers) -> Numbers:
    """(K, G) weighted distribution function on the grid."""
    return np.stack([chances @ (z <= point) for point in GRID], axis=1)


def _places(z: Numbers) -> NDArray[np.intp]:
    """(N, K) how many points of the grid lie below; each scalar counts in a range of its own."""
    return np.searchsorted(GRID, z) + (len(GRID) + 1) * np.arange(z.shape[1])


def _distances(
    window: Numbers, places: NDArray[np.intp], mean: Numbers, spread: Numbers, ranks: Numbers
) -> tuple[float, float]:
    """Largest shift of a mean, largest Kolmogorov-Smirnov distance."""
    shift = np.abs(window.mean(axis=0) - mean) / spread
    counts = np.bincount(places.ravel(), minlength=(len(GRID) + 1) * window.shape[1])
    cumulated = counts.reshape(window.shape[1], -1).cumsum(axis=1)
    here = cumulated[:, :-1] / len(window)
    return float(shift.max()), float(np.abs(here - ranks).max())


def _kernel(left: Numbers, right: Numbers) -> Numbers:
    """Gaussian kernel whose width is that of K independent standard scalars."""
    squares = (left**2).sum(axis=1)[:, np.newaxis] + (right**2).sum(axis=1) - 2 * left @ right.T
    return np.asarray(np.exp(-np.maximum(squares, 0) / (2 * left.shape[1])), np.float64)


def _mmd(window: Numbers, across: Numbers, chances: Numbers) -> float:
    """Squared maximum mean discrepancy, up to what is the same for every window."""
    inside = _kernel(window, window)
    return _without_diagonal(inside) - 2 * float((across @ chances).mean())


def _mmd_of_rows(kernel: Numbers, rows: NDArray[np.int64], near_mean: Numbers) -> float:
    """The same for rows of the kernel matrix, whose diagonal is one; rows may repeat."""
    times = np.bincount(rows, minlength=len(kernel)).astype(np.float64)
    pairs = float(times @ kernel @ times) - len(rows)
    return pairs / max(1, len(rows) * (len(rows) - 1)) - 2 * float(near_mean[rows].mean())


def _without_diagonal(kernel: Numbers) -> float:
    count = len(kernel)
    return float(kernel.sum() - np.trace(kernel)) / max(1, count * (count - 1))

"""Did the pictures change, or only who is sent? Covariate against prevalence shift.

If only the prevalence changed, the reference reweighted to the new prevalence explains the window:
its means, its distributions (Kolmogorov-Smirnov) and its kernel mean (MMD).
Axes: N reference images, M images of a window, K scalars, F findings, G grid points, B draws.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from service.core.drift_cusum import Numbers
from service.core.drift_scalars import Scalar
from service.core.findings import ABNORMAL, FINDINGS

MIN_IMAGES = 50
"""Fewer say nothing about a cause."""

DRAWS = 399
SIGNIFICANCE = 0.01
KERNEL_IMAGES = 400
"""Reference images in the kernel matrix: more would only cost time."""

EM_STEPS = 50
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


class Typist:
    """Compares windows of one scanner with the reference.

    Parameters
    ----------
    z
        (N, K) standardised reference, NaN where not measured.
    findings
        (N,) place of each label in `FINDINGS`.
    """

    def __init__(
        self, scalars: tuple[Scalar, ...], z: Numbers, findings: NDArray[np.int8], *, seed: int = 0
    ) -> None:
        names = [Scalar(f"score_{finding.value}") for finding in ABNORMAL]
        self._scores = [scalars.index(name) for name in names if name in scalars]
        self._findings = findings
        self._seed = seed
        self._z = _filled(z)
        self._shares = np.bincount(findings, minlength=len(FINDINGS)) / len(findings)
        random = np.random.default_rng(seed)
        self._kernel_rows = random.permutation(len(z))[:KERNEL_IMAGES]
        self._kernel = _kernel(self._z[self._kernel_rows], self._z[self._kernel_rows])

    def type_shift(self, window: Numbers, values: Numbers) -> Verdict:
        """Say what changed.

        Parameters
        ----------
        window
            (M, K) standardised images since the change.
        values
            (M, K) the same, not standardised: their log-odds tell the prevalence.
        """
        shares = self._estimate_prevalence(values)
        named = {f.value: round(float(s), 3) for f, s in zip(FINDINGS, shares, strict=True)}
        if len(window) < MIN_IMAGES:
            return Verdict(ShiftKind.UNDECIDED, named, 1.0)
        filled = _filled(window)
        if self._p_value(filled, np.ones(len(self._z))) > SIGNIFICANCE:
            return Verdict(ShiftKind.NONE, named, 1.0)
        weights = (shares / np.maximum(self._shares, 1e-9))[self._findings]
        p_value = self._p_value(filled, weights)
        is_explained = p_value > SIGNIFICANCE
        kind = ShiftKind.PREVALENCE if is_explained else ShiftKind.COVARIATE
        return Verdict(kind, named, round(p_value, 4))

    def _estimate_prevalence(self, values: Numbers) -> Numbers:
        """(F,) by expectation maximisation (Saerens et al., Neural Computation 2002)."""
        known = values[~np.isnan(values[:, self._scores]).any(axis=1)]
        if len(self._scores) < len(ABNORMAL) or not len(known):
            return self._shares
        abnormal = expit(known[:, self._scores])
        posterior = np.column_stack([np.clip(1 - abnormal.sum(axis=1), 1e-5, 1), abnormal])
        shares = self._shares
        for _ in range(EM_STEPS):
            weighted = posterior * shares / np.maximum(self._shares, 1e-9)
            weighted /= weighted.sum(axis=1, keepdims=True)
            shares = weighted.mean(axis=0)
        return shares

    def _p_value(self, window: Numbers, weights: Numbers) -> float:
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
        found = (*_distances(window, mean, spread, ranks), _mmd(window, across, kernel_chances))
        null = np.array(
            [
                (*_distances(self._z[rows], mean, spread, ranks),
                 _mmd_of_rows(self._kernel, places, kernel_chances))
                for rows, places in zip(drawn, near, strict=True)
            ]
        )  # fmt: skip
        beyond = (null >= np.array(found)).sum(axis=0)
        return min(1.0, len(found) * float((beyond.min() + 1) / (DRAWS + 1)))


def _filled(z: Numbers) -> Numbers:
    """What was not measured stands at the centre."""
    return np.asarray(np.nan_to_num(z, nan=0.0), np.float64)


def _ranks(z: Numbers, chances: Numbers) -> Numbers:
    """(K, G) weighted distribution function on the grid."""
    return np.stack([chances @ (z <= point) for point in GRID], axis=1)


def _distances(
    window: Numbers, mean: Numbers, spread: Numbers, ranks: Numbers
) -> tuple[float, float]:
    """Largest shift of a mean, largest Kolmogorov-Smirnov distance."""
    shift = np.abs(window.mean(axis=0) - mean) / spread
    here = np.stack([(window <= point).mean(axis=0) for point in GRID], axis=1)
    return float(shift.max()), float(np.abs(here - ranks).max())


def _kernel(left: Numbers, right: Numbers) -> Numbers:
    """Gaussian kernel whose width is that of K independent standard scalars."""
    squares = (left**2).sum(axis=1)[:, np.newaxis] + (right**2).sum(axis=1) - 2 * left @ right.T
    return np.asarray(np.exp(-np.maximum(squares, 0) / (2 * left.shape[1])), np.float64)


def _mmd(window: Numbers, across: Numbers, chances: Numbers) -> float:
    """Squared maximum mean discrepancy, up to what is the same for every window."""
    inside = _kernel(window, window)
    return _without_diagonal(inside) - 2 * float((across @ chances).mean())


def _mmd_of_rows(kernel: Numbers, rows: NDArray[np.int64], chances: Numbers) -> float:
    inside = kernel[np.ix_(rows, rows)]
    return _without_diagonal(inside) - 2 * float((kernel[rows] @ chances).mean())


def _without_diagonal(kernel: Numbers) -> float:
    count = len(kernel)
    return float(kernel.sum() - np.trace(kernel)) / max(1, count * (count - 1))

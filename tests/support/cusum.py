"""What the textbooks say of a CUSUM, and its sums step by step, to compare with."""

import math
from collections.abc import Iterator

import numpy as np

from service.core.drift_cusum import ALLOWANCE, Numbers, step

OVERSHOOT = 1.166
"""Siegmund (1985): mean overshoot of a Gaussian walk beyond both of its limits."""


def siegmund_run_length(limit: float, allowance: float, shift: float = 0.0) -> float:
    """Mean run length of a two-sided CUSUM on independent standard normal numbers.

    References
    ----------
    Siegmund, Sequential Analysis (1985); Montgomery, Statistical Quality Control, 9.1.4.
    """
    rates = [1 / _one_sided(limit, sign * shift - allowance) for sign in (1, -1)]
    return 1 / sum(rates)


def _one_sided(limit: float, drift: float) -> float:
    reach = limit + OVERSHOOT
    if abs(drift) < 1e-9:
        return reach**2
    return (math.exp(-2 * drift * reach) + 2 * drift * reach - 1) / (2 * drift**2)


def iterate_sums(z: Numbers, allowance: float = ALLOWANCE) -> Iterator[Numbers]:
    """(2, ...) sums after each image of a stream (T, ...)."""
    sums = np.zeros((2, *z.shape[1:]))
    for now in z:
        sums = step(sums, now, allowance)
        yield sums

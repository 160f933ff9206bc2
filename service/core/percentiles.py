"""Percentiles and medians by sorting: the numbers of numpy, more than twice as fast.

numpy sorts float32 with vector instructions and partitions it about several places at once
without (`python -m bench.steps`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def percentiles(values: NDArray[np.float32], *percents: float) -> tuple[float, ...]:
    """What `np.percentile` gives, bit for bit: linear between neighbours, 0..100.

    Parameters
    ----------
    values
        Of any shape, at least one; no NaN.
    """
    ordered = np.sort(values, axis=None)
    return tuple(_at(ordered, (ordered.size - 1) * (percent / 100)) for percent in percents)


def median(values: NDArray[Any]) -> float:
    """What `np.median` gives for numbers of any shape, at least one; no NaN."""
    ordered = np.sort(values, axis=None)
    half, is_odd = divmod(ordered.size, 2)
    return float(ordered[half]) if is_odd else float(ordered[half - 1 : half + 1].mean())


def _at(ordered: NDArray[np.float32], place: float) -> float:
    """Between the neighbours of a place, counted from the nearer one as numpy does."""
    below = int(place)
    share = place - below
    low, high = ordered[below], ordered[min(below + 1, ordered.size - 1)]
    step = float(high - low)
    return float(low) + step * share if share < 0.5 else float(high) - step * (1 - share)

"""Radiograph, Pixels -> a few grey statistics each, to be watched per scanner.

Axes: H rows, W columns, S side of the network's square input.
"""

import numpy as np
from numpy.typing import NDArray

from service.core.radiograph import WHITE, Pixels, Radiograph

SAMPLES_PER_SIDE = 512
"""Statistics of every n-th pixel; the error of a percentile is far below a histogram's bucket."""

PERCENTILES = {"p5": 5, "p50": 50, "p95": 95}


def raw_statistics(radiograph: Radiograph) -> dict[str, float]:
    """Mean and percentiles in 0..1 of the grey levels as decoded, padding left out."""
    step = max(1, min(radiograph.grey.shape) // SAMPLES_PER_SIDE)
    grey = radiograph.grey[::step, ::step]
    if radiograph.padding is not None:
        recorded = grey[~radiograph.padding[::step, ::step]]
        grey = recorded if recorded.size else grey
    return _statistics(grey, 1.0 / WHITE)


def input_statistics(pixels: Pixels) -> dict[str, float]:
    """Mean and percentiles in 0..1 of what the network sees."""
    return _statistics(pixels, 1.0)


def _statistics(levels: NDArray[np.uint16] | NDArray[np.float32], scale: float) -> dict[str, float]:
    found = np.percentile(levels, list(PERCENTILES.values())) * scale
    by_name = dict(zip(PERCENTILES, map(float, found), strict=True))
    return {"mean": float(levels.mean()) * scale, **by_name}

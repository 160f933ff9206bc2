"""Two-sided CUSUM over many scalars at once, and its limits by bootstrap.

Axes: J series side by side, K scalars, T images in time.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Counts = NDArray[np.int64]

ALLOWANCE = 0.25
"""k: half of the smallest shift worth an alarm, half a standard deviation (Hawkins and Olwell,
Cumulative Sum Charts, 1998)."""

FAMILY_RUN_IMAGES = 10_000
"""Mean images of one scanner between false alarms of all its scalars together (ARL0)."""

SIMULATED_STREAMS = 1000
"""Fifty for each of twenty references: its quantile is known to 7 % of probability."""

SURE = 0.9
"""Share of the references for which the family run length holds."""


def step(sums: Numbers, z: Numbers, allowance: float = ALLOWANCE) -> Numbers:
    """Page's recursion for one image.

    Parameters
    ----------
    sums
        (2, ...), upper and lower sums.
    z
        (...), standardised; NaN leaves its sums as they are.
    """
    moved = np.maximum(0.0, sums + np.stack([z - allowance, -z - allowance]))
    return np.where(np.isnan(z), sums, moved)


@dataclass(frozen=True, slots=True)
class Blocks:
    """Rows that belong together, in the order in which they came.

    Attributes
    ----------
    order
        (N,) rows, block after block.
    starts, lengths
        (B,) of each block in `order`.
    """

    order: Counts
    starts: Counts
    lengths: Counts

    def draw_rows(self, images: int, random: np.random.Generator) -> Counts:
        """(T,) rows of a stream: whole blocks, drawn with replacement."""
        count = math.ceil(images / float(self.lengths.mean()) * 1.2) + 32
        chosen = random.integers(len(self.starts), size=count)
        lengths = self.lengths[chosen]
        ends = np.cumsum(lengths)
        within = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
        rows = self.order[np.repeat(self.starts[chosen], lengths) + within]
        return np.resize(rows, images)


def find_blocks(labels: Counts) -> Blocks:
    """Rows with the same label, for example one patient's, are one block."""
    order = np.argsort(labels, kind="stable")
    _, starts, lengths = np.unique(labels[order], return_index=True, return_counts=True)
    return Blocks(order, starts, lengths)


def simulate_peaks(
    z_rnk: Numbers,
    blocks: Blocks,
    *,
    images: int,
    streams: int,
    random: np.random.Generator,
    allowance: float = ALLOWANCE,
) -> Numbers:
    """(J, K) highest two-sided sum of each scalar in each bootstrap stream of so many images.

    Parameters
    ----------
    z_rnk
        (R, N, K) the same N images standardised in R ways; each stream keeps to one of them.
    """
    ways, count, scalars = z_rnk.shape
    flat = z_rnk.reshape(ways * count, scalars)
    drawn = [blocks.draw_rows(images, random) + count * (j % ways) for j in range(streams)]
    sums = np.zeros((2, streams, scalars))
    peaks = np.zeros((streams, scalars))
    for rows in np.stack(drawn, axis=1):
        sums = step(sums, flat[rows], allowance)
        np.maximum(peaks, sums.max(axis=0), out=peaks)
    return peaks


def limits_of(
    peaks: Numbers, images: int, run_images: int = FAMILY_RUN_IMAGES, references: int = 1
) -> Numbers:
    """(K,) limits h: the scalars share the false alarms evenly, the family has the run length.

    A first passage is memoryless but for its first steps, so a stream of `images` survives with
    probability exp(-images / run length): that is the quantile of its highest sum. A mean over
    references would be carried by the lucky ones, so the limits do for `SURE` of them.

    Parameters
    ----------
    peaks
        (J, K) of `simulate_peaks`.
    images
        Length of those streams.
    references
        R; stream j was standardised by reference j modulo R.

    References
    ----------
    Gandy and Kvaløy, Guaranteed conditional performance of control charts via bootstrap methods,
    Scandinavian Journal of Statistics (2013).
    """
    usual = np.maximum(np.median(peaks, axis=0), 1.0)
    family = (peaks / usual).max(axis=1)
    survive = math.exp(-images / run_images)
    streams_of = [family[r::references] for r in range(min(references, len(family)))]
    factors = [np.quantile(found, survive) for found in streams_of]
    return np.asarray(usual * np.quantile(factors, SURE), np.float64)

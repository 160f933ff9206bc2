"""Detectors side by side over many streams: ours, and what people use; one number per image.

Every detector is a statistic of one scanner's stream that alarms above a limit; a family of scalars
alarms with its largest. Axes: T images, J streams, K scalars, B bins.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from service.core.drift_cusum import Numbers, step

Rows = NDArray[np.int64]
WINDOW_IMAGES = 250
BINS = 20
EVERY_IMAGES = 5
"""The windows are compared every so many images."""

BATCH_IMAGES = 25
BUCKET_IMAGES, BUCKETS = 16, 32
SMALLEST_SHARE = 0.5 / WINDOW_IMAGES


@dataclass(frozen=True, slots=True)
class Measured:
    """One kind of image, prepared for all detectors.

    Attributes
    ----------
    z
        (N, K) standardised scalars.
    series
        (N, S) what our CUSUM follows.
    bins
        (N, K) place among `BINS` equally frequent bins of the reference.
    """

    z: Numbers = field(repr=False)
    series: Numbers = field(repr=False)
    bins: NDArray[np.int64] = field(repr=False)


Stream = Callable[[int], tuple[Measured, Rows]]
"""Time -> the kind of image of this moment, and (J,) rows of it."""

Detector = Callable[[Stream, int, int], Iterator[Numbers]]
"""Stream, its length, and J -> (J,) statistic after each image."""


def prepare(z: Numbers, series: Numbers) -> Measured:
    """NaN, of what cannot be adjusted, never moves a sum."""
    bins = np.clip((ndtr(z) * BINS).astype(np.int64), 0, BINS - 1)
    return Measured(z, series, bins)


def cusum(limits: Numbers, allowance: float) -> Detector:
    """Ours: largest ratio of a sum to its limit."""

    def follow(stream: Stream, images: int, streams: int) -> Iterator[Numbers]:
        sums = np.zeros((2, streams, limits.size))
        for now in range(images):
            kind, rows = stream(now)
            sums = step(sums, kind.series[rows], allowance)
            yield (sums / limits).max(axis=(0, 2))

    return follow


def rolling_bins(distance: Callable[[Numbers, Numbers], Numbers], expected: Numbers) -> Detector:
    """A distance between the last `WINDOW_IMAGES` and the reference, largest over the scalars."""

    def follow(stream: Stream, images: int, streams: int) -> Iterator[Numbers]:
        scalars = len(expected)
        counts = np.zeros((streams, scalars, BINS))
        kept = np.full((WINDOW_IMAGES, streams, scalars), -1, np.int64)
        places = np.ix_(np.arange(streams), np.arange(scalars))
        found = np.zeros(streams)
        for now in range(images):
            kind, rows = stream(now)
            slot = now % WINDOW_IMAGES
            if now >= WINDOW_IMAGES:
                counts[(*places, kept[slot])] -= 1
            kept[slot] = kind.bins[rows]
            counts[(*places, kept[slot])] += 1
            if now >= WINDOW_IMAGES - 1 and now % EVERY_IMAGES == 0:
                found = distance(counts / WINDOW_IMAGES, expected).max(axis=1)
            yield found

    return follow


def psi(shares: Numbers, expected: Numbers) -> Numbers:
    """(J, K) over ten bins."""
    paired = shares.reshape(*shares.shape[:-1], -1, 2).sum(axis=-1) + SMALLEST_SHARE
    wanted = expected.reshape(*expected.shape[:-1], -1, 2).sum(axis=-1) + SMALLEST_SHARE
    return np.asarray(((paired - wanted) * np.log(paired / wanted)).sum(axis=-1), np.float64)


def kolmogorov_smirnov(shares: Numbers, expected: Numbers) -> Numbers:
    """(J, K) largest distance of the distribution functions, on the edges of the bins."""
    distance = np.abs(np.cumsum(shares, axis=-1) - np.cumsum(expected, axis=-1))
    return np.asarray(distance.max(axis=-1), np.float64)


def batch_mean(stream: Stream, images: int, streams: int) -> Iterator[Numbers]:
    """Mean of each batch of `BATCH_IMAGES` against that of the reference, in standard errors."""
    total, found = np.zeros(()), np.zeros(streams)
    for now in range(images):
        kind, rows = stream(now)
        total = total + kind.z[rows]
        if now % BATCH_IMAGES == BATCH_IMAGES - 1:
            found = np.abs(total).max(axis=1) / BATCH_IMAGES**0.5
            total = np.zeros(())
        yield found


def adwin(stream: Stream, images: int, streams: int) -> Iterator[Numbers]:
    """ADWIN on equal buckets: largest cut of the last 512 images against its bound.

    The statistic is -log10 of the delta at which the cut would be made, so that a limit is a delta.

    References
    ----------
    Bifet and Gavalda, Learning from time-changing data with adaptive windowing, SDM 2007.
    """
    sums: list[Numbers] = []
    total, found = np.zeros(()), np.zeros(streams)
    for now in range(images):
        kind, rows = stream(now)
        total = total + ndtr(kind.z[rows])
        if now % BUCKET_IMAGES == BUCKET_IMAGES - 1:
            sums = [*sums[-BUCKETS + 1 :], total]
            total = np.zeros(())
            found = _best_cut(np.stack(sums)) if len(sums) > 1 else found
        yield found


def _best_cut(sums: Numbers) -> Numbers:
    """(J,) largest evidence over cuts and scalars; uniform ranks have variance 1/12."""
    buckets = len(sums)
    left = np.cumsum(sums, axis=0)[:-1]
    before = np.arange(1, buckets) * float(BUCKET_IMAGES)
    after = buckets * BUCKET_IMAGES - before
    shape = (-1, *(1,) * (sums.ndim - 1))
    gap = np.abs(left / before.reshape(shape) - (sums.sum(axis=0) - left) / after.reshape(shape))
    harmonic = (1 / (1 / before + 1 / after)).reshape(shape)
    # The bound is sqrt(2 / m * variance * L) + 2 / (3 m) * L: solved for the square root of L.
    a, b = 2 / (3 * harmonic), np.sqrt(2 / harmonic / 12)
    root = (-b + np.sqrt(b**2 + 4 * a * gap)) / (2 * a)
    return np.asarray((root**2).max(axis=(0, 2)) / np.log(10), np.float64)

"""Reference values -> limits h for a stated family run length, by block bootstrap.

Axes: N reference images, K scalars.
"""

import numpy as np
from numpy.typing import NDArray

from service.core.drift_cusum import (
    ALLOWANCE,
    FAMILY_RUN_IMAGES,
    SIMULATED_STREAMS,
    Numbers,
    find_blocks,
    limits_of,
    simulate_peaks,
)
from service.core.drift_scalars import Levels, Scalar
from service.core.drift_series import Series

REFERENCES = 20
"""Bootstrap references: the streams are judged by a reference that is itself a finite sample."""


def fit_limits(
    scalars: tuple[Scalar, ...],
    values: Levels,
    groups: NDArray[np.int64],
    blocks: NDArray[np.int32],
    signatures: Numbers,
    *,
    images: int = FAMILY_RUN_IMAGES,
    allowance: float = ALLOWANCE,
    streams: int = SIMULATED_STREAMS,
    seed: int = 0,
) -> Numbers:
    """(S,) limits of the series that are followed.

    Streams are made of whole patients, drawn with replacement. They are standardised by references
    whose patients were drawn likewise, so that the limits bear the error of a finite reference: the
    run length holds for nine in ten of them, each by itself.

    Parameters
    ----------
    values
        (N, K), NaN where not measured.
    groups
        (N,) images of one number may lend each other scalars.
    images
        Family run length, and length of the simulated streams.
    """
    random = np.random.default_rng(seed)
    filled = lend_scalars(values, groups, random)
    patients = find_blocks(blocks.astype(np.int64))
    drawn = [patients.draw_rows(len(filled), random) for _ in range(REFERENCES)]
    references = [lend_scalars(values[rows], groups[rows], random) for rows in drawn]
    ways = [Series(scalars, reference, signatures) for reference in references]
    z_rnk = np.stack([series.follow(series.scale.standardise(filled)) for series in ways])
    peaks = simulate_peaks(
        z_rnk, patients, images=images, streams=streams, random=random, allowance=allowance
    )
    return limits_of(peaks, images, images, REFERENCES)


def lend_scalars(values: Levels, groups: NDArray[np.int64], random: np.random.Generator) -> Levels:
    """Lend an image without scores those of another one of its group, or else of any.

    In service every evaluated image has scores; images that were trained on have none here. Without
    the loan, scores would be those of another mix of sources and labels than the grey levels.
    """
    filled = values.copy()
    is_whole = ~np.isnan(values).any(axis=1)
    for group in np.unique(groups[~is_whole]):
        givers = np.flatnonzero(is_whole & (groups == group))
        givers = givers if givers.size else np.flatnonzero(is_whole)
        takers = np.flatnonzero(~is_whole & (groups == group))
        if givers.size:
            lent = values[random.choice(givers, takers.size)]
            filled[takers] = np.where(np.isnan(values[takers]), lent, values[takers])
    return filled

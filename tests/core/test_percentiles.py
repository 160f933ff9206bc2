"""Partitioning gives the very numbers of numpy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from service.core.percentiles import median, percentiles

SQUARES = arrays(
    np.float32,
    array_shapes(min_dims=1, max_dims=2, max_side=40),
    elements=st.floats(0, 1, width=32) | st.floats(-1e6, 1e6, width=32),
)
PERCENTS = st.floats(0, 100)


@given(SQUARES, PERCENTS, PERCENTS)
def test_percentiles_are_those_of_numpy_bit_for_bit(
    values: NDArray[np.float32], one: float, two: float
) -> None:
    assert percentiles(values, one, two) == tuple(np.percentile(values, (one, two)))


@given(SQUARES)
def test_median_is_that_of_numpy(values: NDArray[np.float32]) -> None:
    assert median(values) == float(np.median(values))
    assert median(values.astype(np.float64)) == float(np.median(values.astype(np.float64)))

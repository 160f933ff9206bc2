"""Places in a crowd against a sorted crowd; the widest gap against its definition and scipy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from service.review.crowds import MOST_CELLS, find_places, widest_gap

Floats = NDArray[np.float64]
SCORES = st.lists(
    st.one_of(
        st.floats(0, 1),
        st.sampled_from([0.0, 5e-324, 0.25, 0.5, 0.5 + 2**-53, 1 - 2**-53, 1.0]),
        st.floats(-1000, 1000),
    ),
    min_size=1,
    max_size=60,
).map(lambda values: np.array(values, np.float64))


@given(SCORES, SCORES)
@settings(max_examples=300, deadline=None)
def test_places_are_those_in_the_sorted_crowd(scores: Floats, others: Floats) -> None:
    placed = find_places(scores, others)

    for places, asked, crowd in zip(placed, (scores, others), (others, scores), strict=True):
        ordered = np.sort(crowd)
        assert places.below.tolist() == np.searchsorted(ordered, asked, side="left").tolist()
        assert places.up_to.tolist() == np.searchsorted(ordered, asked, side="right").tolist()


@given(SCORES, SCORES)
@settings(max_examples=300, deadline=None)
def test_gap_is_the_largest_between_the_two_shares(first: Floats, second: Floats) -> None:
    points = np.concatenate([first, second])
    shares = [(side[:, None] <= points).mean(axis=0) for side in (first, second)]
    expected = np.abs(shares[0] - shares[1]).max()

    assert widest_gap(first, second) == pytest.approx(expected, abs=1e-12)
    assert widest_gap(second, first) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("sharpness", [0.05, 1.0, 30.0], ids=["saturated", "flat", "peaked"])
@pytest.mark.parametrize("decimals", [3, 17], ids=["ties", "no ties"])
def test_a_crowd_beyond_the_number_of_cells_is_counted_to_the_last(
    sharpness: float, decimals: int
) -> None:
    random = np.random.default_rng(8)
    first = random.beta(sharpness, sharpness, MOST_CELLS + 9).round(decimals)
    second = random.beta(sharpness, sharpness * 1.02, 90_001).round(decimals)

    (places, _), gap = find_places(first, second), widest_gap(first, second)

    ordered = np.sort(second)
    assert np.array_equal(places.below, np.searchsorted(ordered, first, side="left"))
    assert np.array_equal(places.up_to, np.searchsorted(ordered, first, side="right"))
    assert gap == pytest.approx(stats.ks_2samp(first, second, method="asymp").statistic, abs=1e-12)

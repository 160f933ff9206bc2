"""Distances that people expect: against what scipy says of the same two samples."""

import numpy as np
import pytest
import scipy.stats

from service.core.drift_window import FEWEST_IMAGES, make_yardstick

REFERENCE = np.random.default_rng(3).lognormal(sigma=1.5, size=2411).astype(np.float32)
"""As skewed as a share of pixels at the end of the scale."""


@pytest.mark.parametrize("count", [FEWEST_IMAGES, 250])
@pytest.mark.parametrize("gain", [1.0, 1.1, 5.0])
def test_wasserstein_distance_is_that_of_all_values(count: int, gain: float) -> None:
    drawn = gain * np.random.default_rng(count).lognormal(sigma=1.5, size=count)
    window = drawn.astype(np.float32)

    found = make_yardstick(REFERENCE).wasserstein(window)

    assert found == pytest.approx(scipy.stats.wasserstein_distance(REFERENCE, window), rel=1e-9)


def test_what_was_not_measured_has_no_part_in_the_distance() -> None:
    window = np.append(REFERENCE[:100], np.float32("nan"))
    reference = np.append(REFERENCE, np.float32("nan"))

    found = make_yardstick(reference).wasserstein(window)

    assert found == make_yardstick(REFERENCE).wasserstein(REFERENCE[:100])

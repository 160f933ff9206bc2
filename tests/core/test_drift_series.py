"""What the sums follow: of mean 0 and variance 1 on the reference, and no image counts too much."""

import numpy as np
import pytest

from service.core.drift_cusum import Numbers
from service.core.drift_scalars import PIXEL_SCALARS, Scalar
from service.core.drift_series import FARTHEST, Series
from tests.support.drift import small_reference


@pytest.fixture(scope="module")
def series() -> Series:
    reference = small_reference()
    return Series(reference.header.scalars, reference.values, reference.signatures)


@pytest.fixture(scope="module")
def followed(series: Series) -> Numbers:
    return series.follow(series.scale.standardise(small_reference().values))


def test_each_series_is_standard_on_the_reference(followed: Numbers) -> None:
    is_followed = ~np.isnan(followed).any(axis=0)

    spread = followed[:, is_followed].std(axis=0)
    np.testing.assert_allclose(followed[:, is_followed].mean(axis=0), 0, atol=0.02)
    assert np.quantile(spread, 0.1) > 0.9
    assert spread.max() < 1.1


def test_scores_have_no_combination(followed: Numbers) -> None:
    scalars = small_reference().header.scalars
    scores = [k for k, name in enumerate(scalars) if name not in PIXEL_SCALARS]

    assert scores
    assert np.isnan(followed[:, [len(scalars) + k for k in scores]]).all()


def test_picture_that_contradicts_itself_moves_no_series_far(series: Series) -> None:
    scalars = small_reference().header.scalars
    z = np.zeros(len(scalars))
    z[scalars.index(Scalar.RAW_MEAN)], z[scalars.index(Scalar.RAW_P50)] = 3.5, -3.5

    moved = np.abs(series.follow(z))

    assert FARTHEST - 1 < np.nanmax(moved) < FARTHEST + 1

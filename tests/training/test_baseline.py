"""The trivial baseline where there is little to regress on."""

import numpy as np

from training.baseline import fit_baseline


def test_baseline_of_one_finding_is_certain_of_it() -> None:
    features = np.random.default_rng(0).random((6, 4))

    probabilities_nf = fit_baseline(features, np.full(6, 2), features[:3])

    np.testing.assert_array_equal(probabilities_nf, [[0, 0, 1]] * 3)


def test_finding_without_a_training_image_is_impossible() -> None:
    features = np.random.default_rng(0).random((8, 4))

    probabilities_nf = fit_baseline(features, np.array([0, 2] * 4), features)

    assert not probabilities_nf[:, 1].any()
    np.testing.assert_allclose(probabilities_nf.sum(axis=1), 1)

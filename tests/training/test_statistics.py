"""Intervals, thresholds and calibration measures against textbooks, scikit-learn and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss

from service.core.artifact import MetricInterval
from training.measures.statistics import (
    auc,
    bootstrap,
    brier,
    calibration_error,
    calibration_line,
    certified_threshold,
    delong,
    log_loss,
    misses_allowed,
    newcombe,
    patient_draws,
    positives_needed,
    predictive_values,
    reliability,
    wilson,
)

TARGET = 0.97
DRAWS = 2000


@pytest.mark.parametrize(
    ("target", "needed"),
    [(0.90, (29, 46, 76, 103)), (0.95, (59, 93, 153, 208)), (0.97, (99, 157, 257, 348))],
)
def test_positives_needed_are_the_published_ones(target: float, needed: tuple[int, ...]) -> None:
    found = tuple(positives_needed(target, misses) for misses in (0, 1, 3, 5))

    assert found == needed


@pytest.mark.parametrize(
    ("positives", "allowed"), [(0, None), (98, None), (99, 0), (156, 0), (157, 1)]
)
def test_misses_allowed_change_where_the_table_says(positives: int, allowed: int | None) -> None:
    assert misses_allowed(positives, TARGET) == allowed


def test_too_few_positives_give_no_threshold() -> None:
    certified = certified_threshold(np.linspace(0.5, 1, 98), TARGET)

    assert certified.threshold is None
    assert certified.positives == 98


@given(
    st.lists(st.floats(0, 1, width=32), min_size=99, max_size=400),
    st.sampled_from([0.9, 0.95, 0.97]),
)
def test_scores_below_the_threshold_are_never_more_than_allowed(
    scores: list[float], target: float
) -> None:
    certified = certified_threshold(np.array(scores, np.float32), target)

    assert certified.threshold is not None
    assert certified.misses_allowed is not None
    assert sum(score < certified.threshold for score in scores) <= certified.misses_allowed


def test_certified_threshold_misses_its_target_in_at_most_five_per_cent_of_draws() -> None:
    generator = np.random.default_rng(5)
    thresholds = [
        certified_threshold(generator.normal(size=300), TARGET).threshold for _ in range(DRAWS)
    ]

    missed = np.mean(norm.sf(np.array(thresholds, float)) < TARGET)

    monte_carlo_error = 3 * np.sqrt(0.05 * 0.95 / DRAWS)
    assert missed <= 0.05 + monte_carlo_error


def test_naive_threshold_misses_its_target_in_about_half_of_the_draws() -> None:
    generator = np.random.default_rng(5)
    thresholds = [np.quantile(generator.normal(size=300), 1 - TARGET) for _ in range(DRAWS)]

    missed = np.mean(norm.sf(thresholds) < TARGET)

    assert 0.4 < missed < 0.6


def test_wilson_interval_is_the_published_one() -> None:
    # Newcombe, Statistics in Medicine 1998, table I: 81 of 263.
    interval = wilson(81, 263)

    assert interval.low == pytest.approx(0.2553, abs=1e-4)
    assert interval.high == pytest.approx(0.3662, abs=1e-4)


@given(st.integers(0, 10_000))
def test_auc_is_that_of_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    positive = np.r_[True, False, generator.random(40) < 0.4]
    scores = generator.normal(size=42).round(1) + positive

    assert auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))


def test_auc_of_one_side_is_not_a_number() -> None:
    assert np.isnan(auc(np.arange(4.0), np.ones(4, bool)))


def test_delong_variance_is_that_of_all_pairs() -> None:
    generator = np.random.default_rng(3)
    positive = np.arange(60) < 25
    scores = generator.normal(size=60).round(1) + positive
    pairs = np.sign(scores[positive][:, None] - scores[~positive][None, :]) / 2 + 0.5
    variance = pairs.mean(axis=1).var(ddof=1) / 25 + pairs.mean(axis=0).var(ddof=1) / 35
    area = pairs.mean()

    interval = delong(scores, positive)

    reach = 1.959964 * np.sqrt(variance) / (area * (1 - area))
    odds = np.log(area / (1 - area))
    assert interval.value == pytest.approx(area)
    assert interval.low == pytest.approx(expit(odds - reach))
    assert interval.high == pytest.approx(expit(odds + reach))


def test_perfect_separation_still_has_an_interval() -> None:
    few = delong(np.arange(20.0), np.arange(20) >= 10)
    many = delong(np.arange(200.0), np.arange(200) >= 100)

    assert few.value == many.value == few.high == many.high == 1
    assert few.low < many.low < 1


@given(st.floats(0.02, 0.98), st.integers(5, 200), st.integers(5, 200))
def test_newcombe_interval_holds_its_value(value: float, positives: int, negatives: int) -> None:
    interval = newcombe(value, positives, negatives)

    assert 0 <= interval.low < value < interval.high <= 1


def test_repeated_images_of_a_patient_do_not_narrow_the_interval() -> None:
    generator = np.random.default_rng(1)
    patients = [f"p{index}" for index in range(50)]
    positive = generator.random(50) < 0.5
    scores = generator.normal(size=50) + positive
    once = patient_draws(patients, 200, seed=7)
    fourfold = patient_draws(patients * 4, 200, seed=7)
    fourfold_scores, fourfold_positive = np.tile(scores, 4), np.tile(positive, 4)

    single = bootstrap(lambda draw: auc(scores[draw], positive[draw]), 50, once)
    repeated = bootstrap(
        lambda draw: auc(fourfold_scores[draw], fourfold_positive[draw]), 200, fourfold
    )

    assert repeated.low == pytest.approx(single.low)
    assert repeated.high == pytest.approx(single.high)


def test_predictive_values_follow_bayes() -> None:
    exactly = MetricInterval(value=0.9, low=0.8, high=0.95)

    ppv, npv = predictive_values(exactly, exactly, 0.01)

    assert ppv.value == pytest.approx(0.009 / (0.009 + 0.099))
    assert npv.value == pytest.approx(0.891 / (0.891 + 0.001))
    assert ppv.low < ppv.value < ppv.high


def test_brier_and_log_loss_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(2)
    probabilities = generator.dirichlet([1, 1, 1], size=50)
    targets = generator.integers(0, 3, size=50)

    one_by_one = [brier_score_loss(targets == f, probabilities[:, f]) for f in range(3)]

    assert brier(probabilities, targets) == pytest.approx(sum(one_by_one))
    assert log_loss(probabilities, targets) == pytest.approx(
        sklearn_log_loss(targets, probabilities, labels=[0, 1, 2])
    )


def test_calibration_error_is_confidence_minus_hits() -> None:
    probabilities = np.tile([0.8, 0.1, 0.1], (10, 1))
    targets = np.array([0] * 6 + [1] * 4)

    assert calibration_error(probabilities, targets) == pytest.approx(0.2)


def test_calibration_slope_finds_overconfidence() -> None:
    generator = np.random.default_rng(4)
    odds = generator.normal(scale=1.5, size=4000)
    outcomes = generator.random(4000) < expit(odds)

    line = calibration_line(expit(2 * odds), outcomes)

    assert line is not None
    assert line.slope.low < 0.5 < line.slope.high
    assert line.intercept.low < 0 < line.intercept.high


def test_separated_outcomes_have_no_calibration_line() -> None:
    assert calibration_line(np.linspace(0.1, 0.9, 10), np.arange(10) >= 5) is None


def test_reliability_counts_every_image_once() -> None:
    probabilities = np.linspace(0, 1, 101)

    bins = reliability(probabilities, probabilities > 0.5)

    assert sum(part.images for part in bins) == 101
    assert bins[0].observed.value == 0
    assert bins[-1].observed.value == 1

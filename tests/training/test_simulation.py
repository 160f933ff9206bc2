"""The guarantee of a certified threshold, measured where the truth is known."""

import numpy as np
import pytest
from scipy.stats import binom

from training.measures.simulation import (
    LogOddsNormal,
    Resampled,
    simulate,
    simulate_positives,
    simulate_table,
)
from training.measures.statistics import misses_allowed, positives_needed

DRAWS = 2000
FIXED = np.random.default_rng(6).normal(3, 2, 290)


@pytest.mark.parametrize(("positives", "target"), [(59, 0.95), (103, 0.90), (348, 0.97)])
def test_certified_threshold_misses_as_often_as_the_binomial_says(
    positives: int, target: float
) -> None:
    allowed = misses_allowed(positives, target)
    exact = float(binom.cdf(allowed, positives, 1 - target))

    found = simulate("", LogOddsNormal(), positives, target)

    assert found.draws == DRAWS
    assert found.certified_missed is not None
    error = 4 * np.sqrt(exact * (1 - exact) / DRAWS)
    assert found.certified_missed.value == pytest.approx(exact, abs=error)
    assert found.is_held


def test_naive_threshold_misses_in_about_half_of_the_draws() -> None:
    found = simulate("", LogOddsNormal(), 348, 0.97)

    assert 0.4 < found.naive_missed.value < 0.7
    assert found.certified_sensitivity is not None
    assert found.certified_sensitivity > found.naive_sensitivity


def test_guarantee_holds_where_a_runs_own_positives_are_the_population() -> None:
    found = simulate("", Resampled(FIXED), len(FIXED), 0.97)

    assert found.certified_missed is not None
    assert found.certified_missed.value <= found.allowed
    assert found.naive_missed.value > 0.3


def test_guarantee_holds_where_most_scores_are_tied() -> None:
    found = simulate("", Resampled(np.round(FIXED / 4)), len(FIXED), 0.97)

    assert found.is_held


def test_broken_guarantee_is_noticed() -> None:
    found = simulate("", LogOddsNormal(), 290, 0.97, risk=0.4)
    strict = simulate("", LogOddsNormal(), 290, 0.97)

    assert found.certified_missed is not None
    assert found.certified_missed.value > strict.allowed


def test_too_few_positives_have_no_certifiable_threshold() -> None:
    found = simulate("", LogOddsNormal(), 98, 0.97, draws=50)

    assert found.misses_allowed is None
    assert found.certified_missed is None
    assert found.certified_sensitivity is None
    assert found.is_held


def test_table_stands_at_the_positives_needed() -> None:
    found = simulate_table(LogOddsNormal(), draws=10)

    needed = [positives_needed(0.90, 0) - 1, *(positives_needed(0.90, m) for m in (0, 1, 3, 5))]
    assert [row.positives for row in found if row.target_sensitivity == 0.90] == needed
    assert [row.misses_allowed for row in found] == [None, 0, 1, 3, 5] * 3


def test_probabilities_are_simulated_as_both_populations() -> None:
    probabilities = np.linspace(0.2, 1.0, 120).astype(np.float32)

    resampled, fitted = simulate_positives("flag", probabilities, 0.9, draws=100)

    assert (resampled.positives, fitted.positives) == (120, 120)
    assert "themselves" in resampled.population
    assert "normal" in fitted.population


def test_finding_without_positives_is_not_simulated() -> None:
    assert simulate_positives("flag", np.zeros(0), 0.9) == ()


def test_same_seed_gives_the_same_simulation() -> None:
    first = simulate("", LogOddsNormal(), 60, 0.95, draws=100, seed=3)

    assert first == simulate("", LogOddsNormal(), 60, 0.95, draws=100, seed=3)
    assert first != simulate("", LogOddsNormal(), 60, 0.95, draws=100, seed=4)

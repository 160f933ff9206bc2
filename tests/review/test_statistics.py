"""Every number against a library or a computation that shares no line with it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.proportion import proportion_confint

from service.review.statistics import (
    MOST_FOR_EXACT,
    Shift,
    confidence_sequence,
    delong,
    ks_shift,
    mcnemar,
    rate,
    still_needed,
)

Floats = NDArray[np.float64]


@given(st.integers(1, 5000), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_rate_has_wilsons_interval(total: int, share: float) -> None:
    successes = round(share * total)

    told = rate(successes, total)

    low, high = proportion_confint(successes, total, method="wilson")
    assert (told.low, told.high) == pytest.approx((low, high), abs=1e-9)


def test_rate_of_nothing_is_no_number() -> None:
    assert (rate(0, 0).value, rate(0, 0).low, rate(0, 0).high) == (None, 0.0, 1.0)


def test_mcnemar_is_the_exact_test() -> None:
    random = np.random.default_rng(3)
    first, second = random.random(300) < 0.9, random.random(300) < 0.8

    told = mcnemar(first, second)

    table = [[told.both, told.only_first], [told.only_second, told.neither]]
    assert sum(map(sum, table)) == 300
    assert told.p_value == pytest.approx(statsmodels_mcnemar(table, exact=True).pvalue)


def _scores(seed: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    random = np.random.default_rng(seed)
    truth = random.random(240) < 0.3
    base = truth * 1.2 + random.normal(size=240)
    return base.round(1), (base + truth * 0.5 + random.normal(size=240) * 0.7).round(1), truth


def _delong_by_definition(first: Floats, second: Floats, truth: NDArray[np.bool_]) -> float:
    """Structural components by comparing each positive with each negative (DeLong 1988, eq. 4)."""
    kernels = [
        (np.subtract.outer(s[truth], s[~truth]) > 0) + 0.5 * np.equal.outer(s[truth], s[~truth])
        for s in (first, second)
    ]
    of_positives = np.cov([kernel.mean(axis=1) for kernel in kernels]) / truth.sum()
    of_negatives = np.cov([kernel.mean(axis=0) for kernel in kernels]) / (~truth).sum()
    covariance = of_positives + of_negatives
    contrast = np.array([-1.0, 1.0])
    difference = kernels[1].mean() - kernels[0].mean()
    return float(2 * stats.norm.sf(abs(difference) / np.sqrt(contrast @ covariance @ contrast)))


@pytest.mark.parametrize("seed", range(4))
def test_delong_equals_its_definition(seed: int) -> None:
    first, second, truth = _scores(seed)

    told = delong(first, second, truth)

    assert told is not None
    assert told.first == pytest.approx(roc_auc_score(truth, first))
    assert told.second == pytest.approx(roc_auc_score(truth, second))
    assert told.p_value == pytest.approx(_delong_by_definition(first, second, truth))


def test_delong_needs_both_kinds() -> None:
    scores = np.linspace(0, 1, 10)

    assert delong(scores, scores, np.zeros(10, np.bool_)) is None


@pytest.mark.parametrize("share", [0.5, 0.9, 0.97])
def test_confidence_sequence_holds_at_every_look(share: float) -> None:
    """A fixed-size interval looked at daily would fail far more often than 5 %."""
    random = np.random.default_rng(11)
    looks, runs = (5, 10, 20, 40, 80, 160, 320), 400
    failures = 0
    for _ in range(runs):
        successes = np.cumsum(random.random(max(looks)) < share)
        bounds = [confidence_sequence(int(successes[n - 1]), n, 0.95) for n in looks]
        failures += any(not low <= share <= high for low, high in bounds)

    assert stats.binom.cdf(failures, runs, 0.05) < 0.999


@given(st.integers(1, 400), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
@settings(max_examples=60, deadline=None)
def test_confidence_sequence_is_wider_than_a_single_look(
    total: int, share: float, confidence: float
) -> None:
    successes = round(share * total)

    low, high = confidence_sequence(successes, total, confidence)

    once = stats.binomtest(successes, total).proportion_ci(confidence, method="wilson")
    assert low <= successes / total <= high
    assert high - low >= (once.high - once.low) * 0.99


def test_cases_still_needed_are_the_fewest_that_prove_the_target() -> None:
    needed = still_needed(95, 100, 0.9, 0.95)

    assert needed is not None
    share = 95.5 / 101
    enough, short = 100 + needed, 100 + needed - 1
    assert confidence_sequence(round(share * enough), enough, 0.95)[0] >= 0.9
    assert confidence_sequence(round(share * short), short, 0.95)[0] < 0.9


def test_a_share_below_the_target_is_not_proven_by_waiting() -> None:
    assert still_needed(80, 100, 0.9, 0.95) is None


@pytest.mark.parametrize("decimals", [2, 9], ids=["ties", "no ties"])
@pytest.mark.parametrize("shift", [0.0, 0.004, 0.3])
def test_shift_of_many_scores_is_that_of_scipy(decimals: int, shift: float) -> None:
    random = np.random.default_rng(3)
    first = np.round(random.beta(2, 5, MOST_FOR_EXACT + 1), decimals)
    moved = random.beta(2, 5, MOST_FOR_EXACT + 700) + shift
    second = np.round(np.clip(moved, 0, 1), decimals).astype(np.float64)

    told = ks_shift(first, second)

    expected = stats.ks_2samp(first, second)
    assert told.statistic == pytest.approx(expected.statistic, abs=1e-12)
    assert told.p_value == pytest.approx(expected.pvalue, rel=0.01, abs=1e-6)


def test_shift_of_few_scores_is_exact() -> None:
    first, second = np.array([0.1, 0.2, 0.2, 0.7]), np.array([0.2, 0.3, 0.9])

    told = ks_shift(first, second)

    assert told.p_value == pytest.approx(stats.ks_2samp(first, second).pvalue)
    assert ks_shift(first, np.array([])) == Shift(0.0, 1.0)

"""Paired tests against brute force, scipy and known tables."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from training.measures.paired import mcnemar, net_moved_up, paired_delong
from training.measures.statistics import Mask

Floats = NDArray[np.float64]


def drawn(seed: int, images: int = 60) -> tuple[Floats, Floats, Mask]:
    generator = np.random.default_rng(seed)
    positive = np.arange(images) < images * 2 // 5
    shared = generator.normal(size=images) + positive
    first = (shared + generator.normal(size=images) * 0.5).round(1)
    second = (shared + generator.normal(size=images)).round(1)
    return first, second, positive


def pairs(scores: Floats, positive: Mask) -> Floats:
    return np.sign(scores[positive][:, None] - scores[~positive][None, :]) / 2 + 0.5


@settings(deadline=None)
@given(st.integers(0, 500))
def test_paired_variance_is_that_of_all_pairs(seed: int) -> None:
    first, second, positive = drawn(seed)
    differences = pairs(first, positive) - pairs(second, positive)
    rows, columns = differences.mean(axis=1), differences.mean(axis=0)
    error = np.sqrt(rows.var(ddof=1) / len(rows) + columns.var(ddof=1) / len(columns))

    found = paired_delong(first, second, positive)

    area = roc_auc_score(positive, first) - roc_auc_score(positive, second)
    assert found.difference.value == pytest.approx(area)
    assert found.difference.high - area == pytest.approx(1.959964 * error)
    assert found.difference.low == pytest.approx(area - 1.959964 * error)


def test_paired_p_value_is_uniform_where_neither_is_better() -> None:
    generator = np.random.default_rng(3)
    positive = np.arange(120) < 50
    p_values = []
    for _ in range(400):
        shared = generator.normal(size=120) + positive
        first, second = (shared + generator.normal(size=120) for _ in range(2))
        p_values.append(paired_delong(first, second, positive).p_value)

    rejected = np.mean(np.array(p_values) < 0.05)

    assert rejected == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 400))


def test_paired_interval_is_narrower_than_that_of_strangers() -> None:
    first, second, positive = drawn(1)
    stranger = np.random.default_rng(2).permutation(second[positive])
    shuffled = second.copy()
    shuffled[positive] = stranger

    paired = paired_delong(first, second, positive).difference
    unpaired = paired_delong(first, shuffled, positive).difference

    assert paired.high - paired.low < unpaired.high - unpaired.low


def test_equal_rankings_do_not_differ() -> None:
    first, _, positive = drawn(4)

    found = paired_delong(first, first * 2 + 1, positive)

    assert found.p_value == 1
    assert found.difference.low == found.difference.high == 0


def test_mcnemar_counts_only_what_one_of_them_has_right() -> None:
    current = np.array([True] * 8 + [False] * 2 + [True] * 5)
    previous = np.array([False] * 8 + [True] * 2 + [True] * 5)

    found = mcnemar(current, previous)

    assert (found.only_current, found.only_previous) == (8, 2)
    assert found.p_value == pytest.approx(binomtest(2, 10).pvalue)
    # Tail by hand: 2 * (1 + 10 + 45) / 1024.
    assert found.p_value == pytest.approx(0.109375)


def test_mcnemar_without_a_change_is_no_evidence() -> None:
    same = np.array([True, False, True])

    assert mcnemar(same, same).p_value == 1


def test_moves_up_and_down_cancel() -> None:
    previous = np.array([0, 0, 1, 2])
    current = np.array([2, 1, 0, 2])

    assert net_moved_up(current, previous) == pytest.approx(0.25)
    assert np.isnan(net_moved_up(current[:0], previous[:0]))

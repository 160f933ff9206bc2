"""The reading room against queues that have a formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.review.queueing import Discipline, simulate_waits

Floats = NDArray[np.float64]
CASES = 250_000
WARM_UP = 5_000


def _poisson(load: float, seed: int) -> tuple[Floats, Floats]:
    """Arrivals at rate `load`, readings of mean 1 with the sum of draws brought to their mean."""
    random = np.random.default_rng(seed)
    gaps, readings = random.exponential(1 / load, CASES), random.exponential(1, CASES)
    return np.cumsum(gaps / gaps.mean() / load), readings / readings.mean()


@pytest.mark.slow
def test_first_come_matches_the_mm1_formula() -> None:
    arrivals, readings = _poisson(0.5, 5)
    ranks = np.zeros(CASES, np.int64)

    waits = simulate_waits(
        arrivals, ranks, readings, readers=1, discipline=Discipline.FIRST_COME, cap_minutes=1
    )

    assert waits[WARM_UP:].mean() == pytest.approx(0.5 / (1 - 0.5), rel=0.02)


@pytest.mark.slow
def test_priority_matches_cobham() -> None:
    """Non-preemptive M/M/1: W_k = W0 / ((1 - s_{k-1}) (1 - s_k)), Cobham, Oper Res 1954;2:70-76."""
    arrivals, readings = _poisson(0.5, 8)
    shares = np.array([0.3, 0.3, 0.4])
    ranks = np.random.default_rng(9).choice(3, CASES, p=shares)

    waits = simulate_waits(
        arrivals, ranks, readings, readers=1, discipline=Discipline.PRIORITY, cap_minutes=1
    )

    load = 0.5 * shares
    before = np.concatenate([[0.0], np.cumsum(load)])
    formula = load.sum() / ((1 - before[:-1]) * (1 - before[1:]))
    found = [waits[WARM_UP:][ranks[WARM_UP:] == rank].mean() for rank in range(3)]
    assert found == pytest.approx(formula.tolist(), rel=0.02)


def _run(discipline: Discipline, seed: int, cap: float = 5.0) -> tuple[Floats, NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    arrivals = np.cumsum(random.exponential(1.1, 400))
    ranks = random.integers(0, 3, 400)
    readings = random.exponential(1, 400)
    waits = simulate_waits(
        arrivals, ranks, readings, readers=1, discipline=discipline, cap_minutes=cap
    )
    return waits, ranks


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_priority_only_moves_the_waiting_about(seed: int) -> None:
    first_come, ranks = _run(Discipline.FIRST_COME, seed)
    priority, _ = _run(Discipline.PRIORITY, seed)

    assert priority[ranks == 0].mean() <= first_come[ranks == 0].mean() + 1e-9
    assert priority.max() >= first_come.max() - 1e-9


def test_a_cap_of_nothing_is_first_come() -> None:
    first_come, _ = _run(Discipline.FIRST_COME, 4)
    capped, _ = _run(Discipline.CAPPED, 4, cap=-1.0)

    assert capped.tolist() == first_come.tolist()


def test_a_cap_that_nobody_reaches_is_priority() -> None:
    priority, _ = _run(Discipline.PRIORITY, 4)
    capped, _ = _run(Discipline.CAPPED, 4, cap=1e9)

    assert capped.tolist() == priority.tolist()

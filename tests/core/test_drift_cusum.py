"""CUSUM: the numbers of the textbooks, and limits that keep the run length that they promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from service.core.drift_cusum import (
    Numbers,
    find_blocks,
    limits_of,
    simulate_peaks,
    step,
)
from tests.support.cusum import iterate_sums, siegmund_run_length

STREAMS = 1500
LONGEST = 2500


def measure_run_length(limit: float, allowance: float, shift: float = 0.0) -> float:
    """Mean images until the sum of independent normal numbers passes the limit."""
    random = np.random.default_rng(1)
    sums, alive, images = np.zeros((2, STREAMS)), np.ones(STREAMS, np.bool_), 0
    for _ in range(LONGEST):
        sums = step(sums, random.normal(shift, 1, STREAMS), allowance)
        images += int(alive.sum())
        alive &= (sums <= limit).all(axis=0)
    return images / (STREAMS - int(alive.sum()))


@pytest.mark.parametrize(("limit", "published"), [(4.0, 168), (5.0, 465)])
def test_run_length_is_the_textbook_s(limit: float, published: int) -> None:
    """Montgomery, Statistical Quality Control, table 9.3 (k = 0.5)."""
    assert measure_run_length(limit, 0.5) == pytest.approx(published, rel=0.08)


@pytest.mark.parametrize(("limit", "published"), [(4.0, 168), (5.0, 465), (4.77, 370)])
def test_siegmund_s_formula_is_within_a_few_per_cent(limit: float, published: int) -> None:
    assert siegmund_run_length(limit, 0.5) == pytest.approx(published, rel=0.02)


@pytest.mark.parametrize(("shift", "delay"), [(0.5, 77), (1.0, 27), (2.0, 12)])
def test_design_of_sixteen_scalars_has_its_delays(shift: float, delay: int) -> None:
    assert siegmund_run_length(20.0, 0.25, shift) == pytest.approx(delay, abs=0.7)


def test_design_of_sixteen_scalars_has_its_run_length() -> None:
    assert siegmund_run_length(20.0, 0.25) / 16 == pytest.approx(10_000, rel=0.03)


@pytest.mark.parametrize(("shift", "delay"), [(1.0, 10.4), (2.0, 4.0)])
def test_delay_is_the_textbook_s(shift: float, delay: float) -> None:
    """Montgomery, table 9.3: k = 0.5, h = 5."""
    assert measure_run_length(5.0, 0.5, shift) == pytest.approx(delay, rel=0.04)


@given(arrays(np.float64, (30, 3), elements=st.floats(-6, 6)))
def test_sums_of_the_mirrored_stream_are_mirrored(z: Numbers) -> None:
    upper_lower = np.stack(list(iterate_sums(z)))
    mirrored = np.stack(list(iterate_sums(-z)))

    np.testing.assert_array_equal(upper_lower[:, ::-1], mirrored)
    assert (upper_lower >= 0).all()


def test_scalar_that_was_not_measured_keeps_its_sums() -> None:
    before = np.array([[3.0, 1.0], [0.0, 2.0]])

    after = step(before, np.array([np.nan, 1.25]))

    np.testing.assert_allclose(after, [[3.0, 2.0], [0.0, 0.5]])


def test_blocks_are_drawn_whole() -> None:
    labels = np.array([7, 3, 7, 3, 3, 9])

    rows = find_blocks(labels).draw_rows(60, np.random.default_rng(0)).tolist()

    text = "".join(map(str, rows))
    assert set(text.replace("02", "a").replace("134", "b")[:-3]) == {"a", "b", "5"}


def test_limits_keep_the_family_run_length_on_fresh_streams() -> None:
    random = np.random.default_rng(0)
    reference = random.normal(size=(4000, 4))
    blocks = find_blocks(np.arange(4000))
    peaks = simulate_peaks(reference[np.newaxis], blocks, images=400, streams=300, random=random)

    limits = limits_of(peaks, 400, run_images=400)

    found = siegmund_run_length(float(limits.mean()), 0.25) / 4
    assert found == pytest.approx(400, rel=0.2)


def test_run_length_holds_for_nine_references_of_ten_each_by_itself() -> None:
    random = np.random.default_rng(0)
    reach = np.linspace(20, 40, 10)
    peaks = random.normal(np.tile(reach, 200)[:, np.newaxis], 1, (2000, 1))

    limits = limits_of(peaks, 100, 100, references=10)

    survived = (peaks[:, 0] <= limits[0]).reshape(200, 10).mean(axis=0)
    assert (survived >= math.exp(-1)).sum() == 9


def test_dependent_images_get_higher_limits() -> None:
    random = np.random.default_rng(0)
    single = random.normal(size=(1000, 2))
    repeated = np.repeat(single, 5, axis=0)
    labels = np.repeat(np.arange(1000), 5)

    def fit(z: Numbers, names: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
        peaks = simulate_peaks(
            z[np.newaxis], find_blocks(names), images=300, streams=100, random=random
        )
        return float(limits_of(peaks, 300, 300).mean())

    assert fit(repeated, labels) > 1.5 * fit(repeated, np.arange(5000))

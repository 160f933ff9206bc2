"""The benchmark measures what it says, on drawn chests whose answers are known."""

import numpy as np
import pytest

from bench.drift import run, standardise
from bench.drift_detectors import adwin, batch_mean, cusum, kolmogorov_smirnov, prepare, psi
from bench.drift_pool import CLEAN, SHIFTS, Pool
from bench.drift_report import Report, check_bars, write_report
from bench.drift_streams import Extent
from service.core.drift_cusum import Numbers
from tests.support.cusum import iterate_sums
from tests.support.drift import measure, small_reference

EXTENT = Extent(
    streams=12, null_images=300, calibration_images=300, usual_images=300, typed=2, controls=3
)  # fmt: skip

IMAGES, SHOWN = 60, 40


@pytest.fixture(scope="module")
def pool() -> Pool:
    """Fresh drawn chests under every shift; no network, so no flag."""
    seeds = range(40_000, 40_000 + IMAGES)
    return Pool(
        small_reference(),
        np.array([seed % 3 for seed in seeds]),
        np.full(IMAGES, 1 / IMAGES),
        np.full(SHOWN, 1 / SHOWN),
        np.full(SHOWN, 1 / SHOWN),
        {
            name: np.stack([measure(seed, name) for seed in (seeds[:SHOWN] if name else seeds)])
            for name in (CLEAN, *SHIFTS)
        },
        {name: np.ones((SHOWN if name else IMAGES, 1), np.bool_) for name in (CLEAN, *SHIFTS)},
        ("pneumonia",),
    )


@pytest.fixture(scope="module")
def report(pool: Pool) -> Report:
    return run(pool, EXTENT)


def test_gross_shift_is_found_at_once_and_at_the_right_scanner(report: Report) -> None:
    inverted = next(row for row in report.rows if row.shift == "invert:1")

    assert inverted.ours().median <= 15
    assert inverted.ours(0.1).median <= 15
    assert inverted.reading.causes["invert"] == EXTENT.typed


def test_page_has_a_line_for_each_shift_and_each_bar(report: Report) -> None:
    page = write_report(report, "Model drawn/0.0.1, on this machine.")

    assert "Model drawn/0.0.1, on this machine." in page
    assert all(page.count(f"\n| {shift} |") == 3 for shift in SHIFTS)
    assert all(f"| {bar} |" in page for bar, _, _ in check_bars(report))


def test_cusum_of_the_benchmark_is_that_of_the_service(pool: Pool) -> None:
    measured = standardise(pool)[CLEAN]
    rows = np.arange(20)[:, np.newaxis]
    limits = pool.reference.limits

    found = list(cusum(limits, 0.25)(lambda now: (measured, rows[now]), 20, 1))

    expected = [(sums / limits).max() for sums in iterate_sums(measured.series[:20])]
    np.testing.assert_allclose(np.ravel(found), expected)


def test_distances_are_zero_without_a_change_and_rise_with_one() -> None:
    expected = np.full((1, 20), 0.05)
    moved = np.roll(np.linspace(0, 0.1, 20), 0)[np.newaxis]

    for distance in (psi, kolmogorov_smirnov):
        assert distance(expected, expected)[0] == pytest.approx(0)
        assert distance(moved, expected)[0] > 0.1


@pytest.mark.parametrize("detector", [adwin, batch_mean])
def test_baseline_rises_after_a_change_of_the_mean(detector: object) -> None:
    random = np.random.default_rng(0)
    z: Numbers = np.concatenate([random.normal(0, 1, (300, 1)), random.normal(1.5, 1, (200, 1))])
    measured = prepare(z, z)

    statistic = np.ravel(
        list(detector(lambda now: (measured, np.array([now])), 500, 1))  # type: ignore[operator]  # either signature
    )

    assert statistic[499] > 2 * statistic[299]

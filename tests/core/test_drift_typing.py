"""Other pictures, or other patients? On drawn scalars, where the truth is known."""

import numpy as np
import pytest

from service.core.drift_cusum import Numbers
from service.core.drift_typing import MIN_IMAGES, ShiftKind, Typist
from service.core.findings import FINDINGS

MEANS = np.array(
    [[-0.8, -0.6, 0.2, 0.0, 0.3], [1.2, -0.5, -0.3, 0.1, 0.0], [-0.4, 1.4, 0.1, -0.2, -0.4]]
)
"""Of five scalars for each finding."""

USUAL = (0.5, 0.3, 0.2)
CLINIC = (0.2, 0.1, 0.7)


def draw(images: int, shares: tuple[float, ...], seed: int, shift: float = 0.0) -> Numbers:
    """Images of such a mix; the third scalar may be shifted for all of them."""
    findings = draw_findings(images, shares, seed)
    noise = np.random.default_rng(seed + 1).normal(0, 0.8, (images, 5))
    z: Numbers = MEANS[findings] + noise
    z[:, 2] += shift
    return z


def draw_findings(images: int, shares: tuple[float, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(len(FINDINGS), images, p=shares)


@pytest.fixture(scope="module")
def typist() -> Typist:
    return Typist(draw(2000, USUAL, 1), draw_findings(2000, USUAL, 1).astype(np.int8))


@pytest.mark.parametrize("seed", range(100, 105))
def test_other_patients_are_prevalence(typist: Typist, seed: int) -> None:
    verdict = typist.type_shift(draw(200, CLINIC, seed))

    assert verdict.kind is ShiftKind.PREVALENCE
    assert list(verdict.prevalence.values()) == pytest.approx(CLINIC, abs=0.12)


@pytest.mark.parametrize("shares", [USUAL, CLINIC], ids=["same patients", "other patients"])
def test_other_pictures_are_covariate_whoever_is_sent(
    typist: Typist, shares: tuple[float, ...]
) -> None:
    assert typist.type_shift(draw(200, shares, 200, shift=1.0)).kind is ShiftKind.COVARIATE


def test_difference_that_nobody_would_act_on_leaves_it_prevalence(typist: Typist) -> None:
    found = typist.type_shift(draw(4000, CLINIC, 300, shift=0.15))

    assert found.p_value < 0.01
    assert found.kind is ShiftKind.PREVALENCE


def test_unchanged_scanner_is_none(typist: Typist) -> None:
    assert typist.type_shift(draw(200, USUAL, 400)).kind is ShiftKind.NONE


def test_few_images_are_undecided(typist: Typist) -> None:
    found = typist.type_shift(draw(MIN_IMAGES - 1, CLINIC, 500))

    assert found.kind is ShiftKind.UNDECIDED


def test_finding_that_the_reference_lacks_is_never_estimated() -> None:
    shares = (0.6, 0.4, 0.0)
    typist = Typist(draw(800, shares, 6), draw_findings(800, shares, 6).astype(np.int8))

    verdict = typist.type_shift(draw(100, USUAL, 600))

    assert verdict.prevalence["tuberculosis"] == 0
    assert sum(verdict.prevalence.values()) == pytest.approx(1, abs=0.01)


def test_scalars_that_were_not_measured_do_not_matter(typist: Typist) -> None:
    window = draw(200, CLINIC, 700)
    window[::4, 0] = np.nan

    assert sum(typist.type_shift(window).prevalence.values()) == pytest.approx(1, abs=0.01)

"""Requirements within one source, read off scores whose truth is known."""

import numpy as np
import pytest

from service.core.artifact import MetricInterval, Purpose
from service.core.findings import FINDINGS, Finding
from tests.training.split_scores import make_point, make_scores, make_studies
from training.data.studies import Split
from training.measures.bars import measure_bars
from training.measures.evidence import Bar, SourcePoint
from training.measures.source_points import (
    READ_OFF,
    SERVED,
    Case,
    decide,
    flag_thresholds,
    measure_source_points,
    threshold_for,
)
from training.measures.statistics import patient_draws

STUDIES = make_studies(Split.TEST, 50)
SCORES = make_scores(STUDIES, seed=4)
PROBABILITIES = SCORES.probabilities(1.0)
POINTS = (
    make_point(Finding.PNEUMONIA, Purpose.FLAG, 0.2),
    make_point(Finding.PNEUMONIA, Purpose.REFER, 0.1),
    make_point(Finding.TUBERCULOSIS, Purpose.FLAG, 0.3),
)


def measured(*points: int) -> dict[tuple[str, str], SourcePoint]:
    draws = patient_draws([study.patient_id for study in STUDIES], 80, 1)
    case = Case(STUDIES, PROBABILITIES, SCORES.targets, draws)
    chosen = [POINTS[index] for index in points]
    return {(p.source, p.choice): p for p in measure_source_points(case, chosen)}


def test_served_point_counts_one_source_at_its_flag_threshold() -> None:
    found = measured(0, 1, 2)["kermany", SERVED]

    inside = np.array([study.source == "kermany" for study in STUDIES])
    positive = SCORES.targets == FINDINGS.index(Finding.PNEUMONIA)
    flagged = PROBABILITIES[:, FINDINGS.index(Finding.PNEUMONIA)] >= 0.2
    assert (found.positives, found.negatives) == (50, 50)
    assert found.sensitivity.value == pytest.approx(flagged[inside & positive].mean())
    assert found.specificity.value == pytest.approx(1 - flagged[inside & ~positive].mean())


def test_threshold_read_off_just_reaches_the_sensitivity() -> None:
    found = measured(0, 2)["shenzhen128", READ_OFF]

    assert 0.90 <= found.sensitivity.value < 0.93
    assert found.specificity.low <= found.specificity.value <= found.specificity.high
    assert found.is_met == (found.specificity.value >= 0.70)


def test_source_without_a_flag_threshold_is_only_read_off() -> None:
    assert set(measured(2)) == {
        ("kermany", READ_OFF),
        ("shenzhen128", SERVED),
        ("shenzhen128", READ_OFF),
    }


@pytest.mark.parametrize(
    ("sensitivity", "expected"), [(0.97, 4.0), (0.96, 5.0), (1.0, 1.0), (0.001, 100.0)]
)
def test_threshold_is_the_highest_that_finds_enough(sensitivity: float, expected: float) -> None:
    scores = np.arange(1.0, 201.0)

    assert threshold_for(scores, scores <= 100, sensitivity) == expected


def test_decision_is_the_likeliest_flag_or_normal() -> None:
    probabilities = np.array([[0.8, 0.15, 0.05], [0.5, 0.3, 0.2], [0.1, 0.4, 0.5], [0.6, 0.1, 0.3]])
    both = {Finding.PNEUMONIA: 0.25, Finding.TUBERCULOSIS: 0.25}

    assert decide(probabilities, both).tolist() == [0, 1, 2, 2]


def test_finding_without_a_threshold_is_decided_for_where_it_leads() -> None:
    probabilities = np.array([[0.5, 0.05, 0.45], [0.3, 0.1, 0.6]])

    assert decide(probabilities, {Finding.PNEUMONIA: 0.25}).tolist() == [0, 2]


def test_only_certified_flags_have_a_threshold() -> None:
    points = (*POINTS[:2], make_point(Finding.TUBERCULOSIS, Purpose.FLAG, None))

    assert flag_thresholds(points) == {Finding.PNEUMONIA: 0.2}


@pytest.mark.parametrize(
    ("value", "low", "high", "is_ceiling", "is_met", "is_certain"),
    [
        (0.95, 0.91, 0.98, False, True, True),
        (0.95, 0.85, 0.98, False, True, False),
        (0.85, 0.80, 0.95, False, False, False),
        (0.85, 0.80, 0.89, True, True, True),
        (0.85, 0.80, 0.95, True, True, False),
    ],
)
def test_bar_is_met_by_its_value_and_certain_by_its_interval(
    value: float, low: float, high: float, is_ceiling: bool, is_met: bool, is_certain: bool
) -> None:
    measured = MetricInterval(value=value, low=low, high=high)

    bar = Bar("x", "all", measured, 0.90, is_ceiling=is_ceiling, claim="")

    assert (bar.is_met, bar.is_certain) == (is_met, is_certain)


def test_sensitivity_that_was_asked_for_is_no_bar() -> None:
    error = MetricInterval(value=0.02, low=0.01, high=0.03)

    names = [bar.name for bar in measure_bars({}, error, tuple(measured(0, 2).values()))]

    assert not [name for name in names if name.startswith("sensitivity") and READ_OFF in name]
    assert f"specificity, kermany pneumonia ({READ_OFF})" in names
    assert f"three-class accuracy, kermany pneumonia ({SERVED})" in names

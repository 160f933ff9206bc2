"""Two versions on the same images."""

import numpy as np
import pytest

from service.core.artifact import Purpose
from service.core.findings import FINDINGS, Finding
from tests.training.split_scores import (
    make_contender,
    make_point,
    make_scores,
    make_studies,
    make_tuning,
)
from training.data.studies import Split
from training.measures.comparison import Contender, Shared, compare, zones
from training.measures.discrimination import questions
from training.measures.evidence import Comparison
from training.measures.statistics import patient_draws

STUDIES = make_studies(Split.TEST, 40)
GOOD = make_scores(STUDIES, seed=4)
BAD = make_scores(STUDIES, seed=5, shift=0.8)
TUNING = make_tuning()


def compared(current: Contender, previous: Contender) -> Comparison:
    draws = patient_draws([study.patient_id for study in STUDIES], 100, 1)
    return compare(current, previous, Shared(STUDIES, GOOD.targets, draws), questions(STUDIES))


def test_better_version_gains_on_every_question() -> None:
    found = compared(make_contender(GOOD, TUNING), make_contender(BAD, TUNING))

    for question in found.questions.values():
        gap = question.current.value - question.previous.value
        assert question.resampled.value == pytest.approx(gap)
        assert question.delong.difference.value == pytest.approx(gap)
        assert question.delong.difference.low > 0
        assert question.delong.p_value < 0.05
    assert found.losses["log-loss"].high < 0


def test_same_version_does_not_differ_from_itself() -> None:
    found = compared(make_contender(GOOD, TUNING), make_contender(GOOD, TUNING))

    assert {question.delong.p_value for question in found.questions.values()} == {1}
    assert {question.resampled.high for question in found.questions.values()} == {0}
    for point in found.points:
        tests = [test for test in (point.sensitivity, point.specificity) if test is not None]
        assert {(test.only_current, test.only_previous) for test in tests} == {(0, 0)}
    assert found.losses["Brier score"].value == 0


def test_changes_at_the_flag_follow_the_counts() -> None:
    current, previous = make_contender(GOOD, TUNING), make_contender(BAD, TUNING)

    pooled = compared(current, previous).points[0]

    assert (pooled.finding, pooled.group) == (Finding.PNEUMONIA, "pooled")
    assert pooled.sensitivity is not None
    assert pooled.sensitivity_change is not None
    gained = pooled.sensitivity.only_current - pooled.sensitivity.only_previous
    assert pooled.sensitivity_change.value == pytest.approx(gained / pooled.positives)
    assert pooled.specificity is not None
    assert pooled.specificity_change is not None
    cleared = pooled.specificity.only_current - pooled.specificity.only_previous
    assert pooled.specificity_change.value == pytest.approx(cleared / pooled.negatives)


def test_group_without_positives_has_no_sensitivity() -> None:
    found = compared(make_contender(GOOD, TUNING), make_contender(BAD, TUNING))

    tuberculosis = {p.group: p for p in found.points if p.finding == Finding.TUBERCULOSIS}
    assert tuberculosis["kermany"].sensitivity is None
    assert tuberculosis["kermany"].specificity is not None


def test_zones_are_those_of_one_finding() -> None:
    points = (
        make_point(Finding.PNEUMONIA, Purpose.FLAG, 0.6),
        make_point(Finding.PNEUMONIA, Purpose.REFER, 0.3),
        make_point(Finding.TUBERCULOSIS, Purpose.FLAG, 0.01),
    )
    probabilities = np.zeros((4, len(FINDINGS)))
    probabilities[:, FINDINGS.index(Finding.PNEUMONIA)] = [0.1, 0.3, 0.59, 0.6]

    assert zones(probabilities, points, Finding.PNEUMONIA).tolist() == [0, 1, 1, 2]


def test_other_split_is_said() -> None:
    previous = make_contender(GOOD, TUNING)
    elsewhere = Contender(
        previous.name,
        previous.digest,
        "sha256:" + "9" * 64,
        previous.probabilities_nf,
        previous.points,
    )

    assert compared(previous, previous).is_same_split
    assert not compared(previous, elsewhere).is_same_split


def test_finding_that_one_version_cannot_flag_is_not_compared() -> None:
    current = make_contender(GOOD, TUNING)
    shadow = tuple(
        make_point(point.finding, point.purpose, None)
        if point.finding is Finding.PNEUMONIA
        else point
        for point in current.points
    )
    previous = Contender(
        current.name, current.digest, current.split_digest, current.probabilities_nf, shadow
    )

    assert {point.finding for point in compared(current, previous).points} == {Finding.TUBERCULOSIS}

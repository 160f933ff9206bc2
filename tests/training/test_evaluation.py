"""What an evaluation says of each source, tier and operating point."""

import numpy as np
import pytest

from service.core.findings import FINDINGS, Finding
from tests.training.split_scores import make_evaluation, make_scores, make_studies, make_tuning
from training.data.studies import Split
from training.measures.discrimination import questions, tier_questions
from training.measures.evidence import Evidence
from training.measures.results import Evaluation
from training.measures.statistics import auc, calibration_error

STUDIES = make_studies(Split.TEST, 40)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return make_evaluation(make_tuning())


@pytest.fixture(scope="module")
def evidence(evaluation: Evaluation) -> Evidence:
    assert evaluation.evidence is not None
    return evaluation.evidence


def test_confirmed_labels_are_asked_about_alone() -> None:
    asked = tier_questions(STUDIES)

    assert set(asked) == {
        "nih: pneumonia vs normal (tier A)",
        "nih: pneumonia vs normal (tier B)",
    }
    confirmed = asked["nih: pneumonia vs normal (tier A)"]
    inside = [study for study, chosen in zip(STUDIES, confirmed.images, strict=True) if chosen]
    assert {study.source for study in inside} == {"nih"}
    assert {study.tier for study in inside if study.finding is Finding.PNEUMONIA} == {"A"}
    assert sum(study.finding is Finding.NORMAL for study in inside) == 40


def test_tier_questions_add_to_the_others_and_replace_none() -> None:
    assert not set(tier_questions(STUDIES)) & set(questions(STUDIES))


def test_area_of_a_tier_is_that_of_its_images(evaluation: Evaluation) -> None:
    temperature = make_tuning().calibration.temperature
    probabilities = make_scores(STUDIES, seed=9).probabilities(temperature)
    scores = probabilities[:, FINDINGS.index(Finding.PNEUMONIA)]
    chosen = np.array(
        [s.source == "nih" and (s.finding is Finding.NORMAL or s.tier == "A") for s in STUDIES]
    )
    positive = np.array([study.finding is Finding.PNEUMONIA for study in STUDIES])

    found = evaluation.discrimination["nih: pneumonia vs normal (tier A)"]

    assert (found.positives, found.negatives) == (20, 40)
    assert found.network.value == pytest.approx(auc(scores[chosen], positive[chosen]))


def test_counts_of_a_point_are_its_rates(evaluation: Evaluation, evidence: Evidence) -> None:
    assert evaluation.points
    for rates, counted in zip(evaluation.points, evidence.confusions, strict=True):
        assert rates.pooled is not None
        for group, at in {"pooled": rates.pooled, **rates.sources}.items():
            counts = counted.groups[group]
            assert counts.found + counts.missed == at.positives
            assert counts.cleared + counts.false_alarms == at.negatives
            if at.sensitivity is not None:
                assert counts.found == pytest.approx(at.sensitivity.value * at.positives)


def test_error_of_a_source_is_that_of_its_images(
    evaluation: Evaluation, evidence: Evidence
) -> None:
    tuning = make_tuning()
    scores = make_scores(STUDIES, seed=9)
    probabilities = scores.probabilities(tuning.calibration.temperature)
    inside = np.array([study.source == "nih" for study in STUDIES])

    found = evidence.sources["nih"]

    expected = calibration_error(probabilities[inside], scores.targets[inside])
    assert found.calibration_error.value == pytest.approx(expected)
    assert (found.images, found.patients) == (80, 40)
    assert {sum(part.images for part in bins) for bins in found.bins.values()} == {80}
    assert evaluation.calibration_error.value != pytest.approx(expected)


def test_groups_within_a_source_name_it(evaluation: Evaluation) -> None:
    names = {stratum.name for stratum in evaluation.source_strata}

    assert names
    assert all(name.startswith("nih, ") for name in names)
    assert {name.removeprefix("nih, ").split()[0] for name in names} == {"age", "sex", "view"}


def test_bars_are_of_images_that_are_there(evidence: Evidence) -> None:
    names = {bar.name for bar in evidence.bars}

    assert {
        "AUC kermany: pneumonia vs normal",
        "AUC nih: pneumonia vs normal (tier A)",
        "AUC shenzhen128: tuberculosis vs normal",
        "AUC tuberculosis vs rest",
        "expected calibration error",
    } <= names


def test_every_abnormal_question_has_a_decision_curve(evidence: Evidence) -> None:
    abnormal = {name for name, curve in evidence.curves.items() if curve.finding != Finding.NORMAL}

    assert set(evidence.decision_curves) == abnormal

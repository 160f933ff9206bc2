"""Curves and histograms against scikit-learn and plain counting."""

import numpy as np
import pytest
from sklearn.metrics import auc as trapezoid
from sklearn.metrics import average_precision_score

from service.core.findings import ABNORMAL, FINDINGS, Finding
from tests.training.split_scores import make_scores, make_studies
from training.data.studies import Split
from training.measures.curves import (
    LARGEST_POINTS,
    measure_curve,
    measure_histograms,
    precision_recall_points,
    roc_points,
)
from training.measures.discrimination import Opponents, questions
from training.measures.statistics import auc, patient_draws

STUDIES = make_studies(Split.TEST, 40)
SCORES = make_scores(STUDIES, seed=2).probabilities(1.0)
BASELINE = make_scores(STUDIES, seed=3, shift=0.3).probabilities(1.0)
POSITIVE = np.array([study.finding is Finding.PNEUMONIA for study in STUDIES])
PNEUMONIA = SCORES[:, FINDINGS.index(Finding.PNEUMONIA)]
NAME = "nih: pneumonia vs normal"


def opponents() -> Opponents:
    draws = patient_draws([study.patient_id for study in STUDIES], 30, 1)
    return Opponents(STUDIES, SCORES, BASELINE, SCORES, draws)


def test_area_below_the_roc_points_is_the_auc() -> None:
    across, up = np.transpose(roc_points(PNEUMONIA, POSITIVE))

    assert trapezoid(across, up) == pytest.approx(auc(PNEUMONIA, POSITIVE), abs=1e-5)


def test_precision_recall_ends_at_every_positive_and_at_none() -> None:
    points = precision_recall_points(PNEUMONIA, POSITIVE)

    assert points[0] == pytest.approx((1.0, POSITIVE.mean()), abs=1e-6)
    assert points[-1] == (0.0, 1.0)


def test_long_curves_keep_their_ends() -> None:
    generator = np.random.default_rng(1)
    positive = generator.random(4000) < 0.5

    points = roc_points(generator.random(4000), positive)

    assert len(points) == LARGEST_POINTS
    assert (points[0], points[-1]) == ((0.0, 0.0), (1.0, 1.0))


def test_curve_is_of_the_images_of_its_question() -> None:
    question = questions(STUDIES)[NAME]
    inside = question.images

    curve = measure_curve(question, opponents())

    expected = average_precision_score(POSITIVE[inside], PNEUMONIA[inside])
    assert (curve.positives, curve.negatives) == (40, 40)
    assert curve.average_precision.value == pytest.approx(expected)
    assert curve.average_precision.low <= expected <= curve.average_precision.high


def test_histograms_count_every_image_once_in_its_group() -> None:
    histograms = measure_histograms(SCORES, STUDIES)

    assert [histogram.finding for histogram in histograms] == list(ABNORMAL)
    for histogram in histograms:
        assert set(histogram.counts) == {f"{s.source}: {s.finding}" for s in STUDIES}
        assert {sum(counts) for counts in histogram.counts.values()} == {40}
        assert {len(counts) for counts in histogram.counts.values()} == {len(histogram.edges) - 1}


def test_certain_scores_fall_into_the_outer_bins() -> None:
    certain = np.eye(len(FINDINGS))[[FINDINGS.index(study.finding) for study in STUDIES]]

    pneumonia = measure_histograms(certain, STUDIES)[0]

    assert pneumonia.counts["kermany: pneumonia"][-1] == 40
    assert pneumonia.counts["kermany: normal"][0] == 40

"""Net benefit against its definition and the published example of treating all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.findings import Finding
from training.measures.decision_curve import THRESHOLDS, measure_decision, net_benefit, treat_all
from training.measures.discrimination import Question
from training.measures.statistics import patient_draws


@settings(deadline=None)
@given(st.integers(0, 500))
def test_net_benefit_is_its_definition(seed: int) -> None:
    generator = np.random.default_rng(seed)
    positive = generator.random(50) < 0.3
    scores = generator.random(50).round(2)

    found = net_benefit(scores, positive, THRESHOLDS)

    for place in (4, 49, 89):
        threshold = THRESHOLDS[place]
        flagged = scores >= threshold
        true, false = (flagged & positive).sum(), (flagged & ~positive).sum()
        expected = true / 50 - false / 50 * threshold / (1 - threshold)
        assert found[place] == pytest.approx(expected)


def test_treating_all_is_worth_nothing_at_the_prevalence() -> None:
    positive = np.arange(100) < 30

    found = treat_all(positive, np.array([0.1, 0.3, 0.5]))

    assert found == pytest.approx([0.3 - 0.7 / 9, 0.0, -0.4])


def test_perfect_scores_are_worth_the_prevalence_everywhere() -> None:
    positive = np.arange(100) < 30

    assert net_benefit(positive.astype(float), positive, THRESHOLDS) == pytest.approx(0.3)


def test_curve_is_of_the_images_of_its_question() -> None:
    generator = np.random.default_rng(5)
    positive = np.arange(200) % 3 == 0
    images = np.arange(200) < 150
    probabilities = generator.dirichlet([1, 1, 1], 200)
    draws = patient_draws([str(number // 2) for number in range(200)], 50, 7)

    curve = measure_decision(Question(Finding.PNEUMONIA, images, positive), probabilities, draws)

    inside = net_benefit(probabilities[:150, 1], positive[:150], THRESHOLDS)
    assert (curve.images, curve.positives) == (150, 50)
    assert curve.model == pytest.approx(inside, abs=1e-6)
    assert all(low <= high for low, high in zip(curve.low, curve.high, strict=True))

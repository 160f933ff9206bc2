"""EM finds the mix that images were drawn from."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from service.core.findings import FINDINGS
from tests.training.split_scores import make_scores, make_studies
from training.data.studies import Split
from training.measures.operating import count_images
from training.measures.prevalence import (
    estimate_prevalence,
    mix_of,
    offer_prevalence,
)
from training.measures.statistics import patient_draws

Floats = NDArray[np.float64]
EVEN = np.full(3, 1 / 3)


def drawn(mix: list[float], images: int = 6000) -> Floats:
    """Probabilities that are calibrated for equal shares, of images of another mix."""
    generator = np.random.default_rng(12)
    targets = generator.choice(3, images, p=mix)
    values = generator.normal(size=(images, 3))
    values[np.arange(images), targets] += 1.5
    probabilities: Floats = softmax(values * 1.5, axis=1)
    return probabilities


@pytest.mark.parametrize("mix", [[0.8, 0.15, 0.05], [0.2, 0.1, 0.7]])
def test_em_finds_the_mix_of_unlabelled_images(mix: list[float]) -> None:
    probabilities = drawn(mix)

    assert estimate_prevalence(probabilities, EVEN) == pytest.approx(mix, abs=0.03)


def test_em_leaves_the_mix_that_it_was_calibrated_to() -> None:
    probabilities = drawn([1 / 3] * 3)

    assert estimate_prevalence(probabilities, EVEN) == pytest.approx(EVEN, abs=0.03)


def test_mix_without_one_of_the_findings_offers_nothing() -> None:
    assert mix_of({"east": {"normal": 5, "pneumonia": 5}}) is None


def test_estimate_is_offered_pooled_and_per_source() -> None:
    studies = make_studies(Split.TEST, 30)
    probabilities = make_scores(studies, seed=3).probabilities(1.0)
    draws = patient_draws([study.patient_id for study in studies], 20, 1)

    offered = offer_prevalence(probabilities, studies, count_images(studies), draws)

    assert set(offered) == {"pooled", "kermany", "nih", "shenzhen128"}
    assert offered["kermany"].true == {"normal": 0.5, "pneumonia": 0.5, "tuberculosis": 0.0}
    for found in offered.values():
        total = sum(found.estimated[finding.value].value for finding in FINDINGS)
        assert total == pytest.approx(1)

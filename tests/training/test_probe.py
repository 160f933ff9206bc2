"""A source that was planted in the features is found, one that is not there is not."""

import numpy as np

from service.core.artifact import AuditVerdict
from tests.training.audit_cases import make_studies
from training.audit.probe import FEATURES, SCORES, halve_patients, judge_probe, probe_source

DRAWS = 60
STUDIES = make_studies(20)


def test_a_planted_source_is_found_and_noise_is_not() -> None:
    generator = np.random.default_rng(2)
    noise = generator.normal(size=(len(STUDIES), 8))
    planted = noise.copy()
    planted[:, 3] += [9.0 if study.source == "west" else 0.0 for study in STUDIES]
    everyone = np.ones(len(STUDIES), bool)

    found = probe_source(STUDIES, planted, everyone, draws=DRAWS, seed=1)
    nothing = probe_source(STUDIES, noise, everyone, draws=DRAWS, seed=1)

    assert found is not None
    assert nothing is not None
    assert found.chance == 0.5
    assert found.gain > 0.7
    assert abs(nothing.gain) < 0.4
    assert nothing.accuracy.low < 0.5 < found.accuracy.low


def test_features_that_tell_the_source_warn_and_scores_that_do_fail() -> None:
    generator = np.random.default_rng(3)
    west = np.array([study.source == "west" for study in STUDIES])
    noise, planted = generator.normal(size=(len(STUDIES), 2)), np.stack([5.0 * west] * 2, axis=1)

    known = judge_probe(STUDIES, {FEATURES: planted, SCORES: noise}, draws=DRAWS, seed=1)
    used = judge_probe(STUDIES, {FEATURES: planted, SCORES: planted}, draws=DRAWS, seed=1)

    assert known.verdict is AuditVerdict.WARN
    assert used.verdict is AuditVerdict.FAIL
    assert {measured.where.split(":")[0] for measured in used.measured} == {
        "all labels", "within normal", "within pneumonia"
    }  # fmt: skip


def test_a_single_source_cannot_be_probed() -> None:
    alone = make_studies(20, sources=("east",))
    noise = np.random.default_rng(4).normal(size=(len(alone), 4))

    test = judge_probe(alone, {FEATURES: noise}, draws=DRAWS, seed=1)

    assert test.verdict is AuditVerdict.NOT_RUN
    assert test.reasons == ("all images are of one source: there is no other to tell it from",)


def test_a_patient_is_in_one_half_of_the_probe() -> None:
    halves = halve_patients(STUDIES + STUDIES, 1)

    assert np.array_equal(halves[: len(STUDIES)], halves[len(STUDIES) :])
    assert 0.4 < halves.mean() < 0.6

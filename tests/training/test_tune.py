"""Temperature and operating points on scores whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from service.core.artifact import OperatingPoint, Purpose
from service.core.findings import FINDINGS, Finding
from training.data.lots import one_per_patient
from training.data.studies import Split, Study
from training.measures.results import Tuning
from training.measures.statistics import log_loss, misses_allowed
from training.measures.warnings import tuning_warnings
from training.scoring import SplitScores
from training.tune import FLAG_SENSITIVITIES, fit_temperature, tune

WEIGHTS_DIGEST = "sha256:" + "1" * 64
PER_FINDING = 200


def make_studies(per_finding: int, images_per_patient: int = 1) -> tuple[Study, ...]:
    return tuple(
        Study(
            f"{finding}-{number}.png",
            finding,
            Split.VAL,
            ("east", "west")[number % 2],
            f"{finding}-{number // images_per_patient}",
        )
        for finding in FINDINGS
        for number in range(per_finding)
    )


def make_scores(studies: tuple[Study, ...], sharpness: float = 1.0) -> SplitScores:
    """Logits whose softmax is calibrated at sharpness 1."""
    generator = np.random.default_rng(8)
    targets = np.array([FINDINGS.index(study.finding) for study in studies], np.int64)
    logits = generator.normal(size=(len(studies), 3))
    # Equal priors and unit normals shifted by d: the posterior's logits are d times the values.
    shift = 2.0
    logits[np.arange(len(studies)), targets] += shift
    mean_nf = (logits * shift * sharpness).astype(np.float32)
    return SplitScores(studies, targets, mean_nf[None], mean_nf)


def tuned(studies: tuple[Study, ...], sharpness: float = 1.0) -> Tuning:
    return tune(
        make_scores(studies, sharpness),
        training=studies,
        weights_digest=WEIGHTS_DIGEST,
        config_digest="sha256:" + "2" * 64,
        split_digest="sha256:" + "3" * 64,
    )


def points_of(tuning: Tuning, finding: Finding) -> dict[Purpose, OperatingPoint]:
    return {r.point.purpose: r.point for r in tuning.points if r.point.finding is finding}


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_temperature_undoes_the_sharpness_of_the_logits(sharpness: float) -> None:
    scores = make_scores(make_studies(2000), sharpness)

    assert fit_temperature(scores) == pytest.approx(sharpness, rel=0.1)


def test_no_other_temperature_has_less_log_loss() -> None:
    scores = make_scores(make_studies(300), sharpness=2.0)
    best = fit_temperature(scores)

    losses = [log_loss(scores.probabilities(best * f), scores.targets) for f in (0.9, 1.0, 1.1)]

    assert min(losses) == losses[1]


@pytest.mark.parametrize("finding", [Finding.PNEUMONIA, Finding.TUBERCULOSIS])
def test_threshold_is_one_of_the_scores_and_keeps_its_misses(finding: Finding) -> None:
    studies = make_studies(PER_FINDING)
    tuning = tuned(studies)
    scores = make_scores(studies).probabilities(tuning.calibration.temperature)
    column = FINDINGS.index(finding)
    positives: NDArray[np.float32] = scores[[s.finding is finding for s in studies], column]

    flag = points_of(tuning, finding)[Purpose.FLAG]

    assert flag.threshold is not None
    assert flag.threshold in positives.astype(float)
    assert flag.positives == PER_FINDING
    assert flag.target_sensitivity == FLAG_SENSITIVITIES[finding]
    assert flag.misses_allowed == misses_allowed(PER_FINDING, flag.target_sensitivity)
    assert int((positives < flag.threshold).sum()) == flag.misses_allowed
    assert flag.weights_digest == WEIGHTS_DIGEST


def test_refer_threshold_is_the_highest_target_that_can_be_certified() -> None:
    points = points_of(tuned(make_studies(PER_FINDING)), Finding.PNEUMONIA)
    flag, refer = points[Purpose.FLAG], points[Purpose.REFER]

    assert (flag.target_sensitivity, refer.target_sensitivity) == (0.97, 0.985)
    assert flag.threshold is not None
    assert refer.threshold is not None
    assert refer.threshold <= flag.threshold


def test_too_few_patients_leave_the_finding_without_thresholds() -> None:
    tuning = tuned(make_studies(PER_FINDING, images_per_patient=10))

    for finding in (Finding.PNEUMONIA, Finding.TUBERCULOSIS):
        points = points_of(tuning, finding)
        assert points[Purpose.FLAG].threshold is None
        assert points[Purpose.FLAG].positives == PER_FINDING // 10
        assert points[Purpose.REFER].threshold is None


def test_one_image_of_each_patient_is_picked_whatever_the_order() -> None:
    studies = make_studies(40, images_per_patient=4)
    picked = {studies[i].file for i in one_per_patient(studies, Finding.PNEUMONIA)}
    reverse = studies[::-1]

    again = {reverse[i].file for i in one_per_patient(reverse, Finding.PNEUMONIA)}

    assert len(picked) == 10
    assert picked == again


def test_rates_are_given_pooled_and_per_source() -> None:
    studies = make_studies(PER_FINDING)
    far = tuple(replace(s, source="far") if s.finding is Finding.NORMAL else s for s in studies)

    flag = tuned(far).points[0]

    assert flag.pooled is not None
    assert flag.pooled.positives == PER_FINDING
    assert set(flag.sources) == {"east", "west", "far"}
    assert flag.sources["far"].sensitivity is None
    assert flag.sources["far"].specificity is not None


def test_tuning_tells_its_temperature_at_the_bound_and_whose_patients_nobody_knows() -> None:
    """One tuning for all that it holds: its simulations take their time."""
    studies = tuple(
        replace(s, patient_id=f"file:{s.file}") if s.source == "east" else s
        for s in make_studies(PER_FINDING)
    )

    tuning = tuned(studies, sharpness=1e-3)
    first, *others = tuning_warnings(tuning)

    assert f"temperature of {tuning.calibration.temperature:.3f} lies at the bound" in first
    assert len(others) == sum(one.is_given for one in tuning.positives_in_scope) == 4
    # The studies are those to learn from and those to tune on.
    assert tuning.patients_unproved == {"east": 3 * PER_FINDING}

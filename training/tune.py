"""Act 2: calibration and operating points on the validation split, with the served views.

Axes: N images, F findings.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar

from service.core.artifact import Calibration, OperatingPoint, Purpose
from service.core.findings import ABNORMAL, FINDINGS, Finding
from training.data.index import count_unproved
from training.data.lots import one_per_patient
from training.data.studies import Study
from training.measures.evidence import Simulation
from training.measures.operating import count_images, count_patients, point_rates
from training.measures.results import Tuning
from training.measures.scope import count_positives_in_scope
from training.measures.simulation import simulate_positives
from training.measures.statistics import LEVEL, Numbers, certified_threshold, log_loss
from training.measures.temperature import TEMPERATURES
from training.scoring import SplitScores

FLAG_SENSITIVITIES = {Finding.PNEUMONIA: 0.97, Finding.TUBERCULOSIS: 0.90}
"""Targets of the flag. Tuberculosis: WHO's target product profile for a triage test (2014); what it
misses is for the refer zone below it to catch."""

REFER_SENSITIVITIES = (0.99, 0.985, 0.98)
"""Ladder of the uncertain zone: the highest that the positives can certify is taken."""

NOTES = (
    (
        "The validation split is a mix of collections, not a population: its share of findings is "
        "no prevalence, and the temperature is fitted to that mix."
    ),
    (
        "Thresholds are pooled over the sources and certified on one image per patient, because "
        "images of one patient are not independent; rates are over all images."
    ),
    "A certified sensitivity holds for radiographs like those of the validation split only.",
)


def tune(
    scores: SplitScores,
    *,
    training: Sequence[Study],
    weights_digest: str,
    config_digest: str,
    split_digest: str,
) -> Tuning:
    """Fit the temperature, then certify a flag and a refer threshold for each abnormal finding."""
    temperature = fit_temperature(scores)
    probabilities_nf = scores.probabilities(temperature)
    points = tuple(
        point
        for finding in ABNORMAL
        for point in tune_finding(finding, probabilities_nf, scores.studies, weights_digest)
    )
    in_scope = tuple(
        count_positives_in_scope(point, probabilities_nf, scores.studies) for point in points
    )
    return Tuning(
        weights_digest=weights_digest,
        config_digest=config_digest,
        split_digest=split_digest,
        training_images=count_images(training),
        images=count_images(scores.studies),
        patients=count_patients(scores.studies),
        calibration=Calibration(temperature=temperature, images=len(scores.studies)),
        log_loss_before=log_loss(scores.probabilities(1.0), scores.targets),
        log_loss_after=log_loss(probabilities_nf, scores.targets),
        points=tuple(point_rates(point, probabilities_nf, scores.studies) for point in points),
        notes=NOTES,
        simulations=simulate_points(points, probabilities_nf, scores.studies),
        positives_in_scope=in_scope,
        patients_unproved=count_unproved([*training, *scores.studies]),
    )


def simulate_points(
    points: Sequence[OperatingPoint], probabilities_nf: Numbers, studies: Sequence[Study]
) -> tuple[Simulation, ...]:
    """Each point's guarantee, on samples as large as the one that it was certified on."""
    found: list[Simulation] = []
    for point in points:
        chosen = one_per_patient(studies, point.finding)
        positive_scores = probabilities_nf[chosen, FINDINGS.index(point.finding)]
        name = f"{point.finding} {point.purpose}"
        found += simulate_positives(name, positive_scores, point.target_sensitivity)
    return tuple(found)


def fit_temperature(scores: SplitScores) -> float:
    """The temperature with the least log-loss of the averaged logits (Guo et al., ICML 2017)."""

    def loss(exponent: float) -> float:
        return log_loss(scores.probabilities(float(np.exp(exponent))), scores.targets)

    bounds = tuple(np.log(TEMPERATURES))
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return float(np.clip(np.exp(best.x), *TEMPERATURES))


def tune_finding(
    finding: Finding, probabilities_nf: Numbers, studies: Sequence[Study], weights_digest: str
) -> tuple[OperatingPoint, OperatingPoint]:
    """The flag point and the refer point below it."""
    chosen = one_per_patient(studies, finding)
    positive_scores = probabilities_nf[chosen, FINDINGS.index(finding)]
    flag = _point(
        finding, Purpose.FLAG, positive_scores, FLAG_SENSITIVITIES[finding], weights_digest
    )
    ladder = [
        _point(finding, Purpose.REFER, positive_scores, target, weights_digest)
        for target in REFER_SENSITIVITIES
    ]
    certified = [point for point in ladder if point.threshold is not None]
    return flag, (certified or ladder)[0]


def _point(
    finding: Finding,
    purpose: Purpose,
    positive_scores: Numbers,
    target_sensitivity: float,
    weights_digest: str,
) -> OperatingPoint:
    certified = certified_threshold(positive_scores, target_sensitivity)
    return OperatingPoint(
        finding=finding,
        purpose=purpose,
        target_sensitivity=target_sensitivity,
        confidence=LEVEL,
        positives=certified.positives,
        misses_allowed=certified.misses_allowed,
        threshold=certified.threshold,
        weights_digest=weights_digest,
    )

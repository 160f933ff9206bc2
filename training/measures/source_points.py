"""Where this run stands against what is asked of it and against published claims, by source.

Axes: N images, F findings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core.artifact import MetricInterval, OperatingPoint, Purpose
from service.core.findings import FINDINGS, Finding
from training.data.studies import Study
from training.measures.evidence import SourcePoint
from training.measures.operating import is_finding, is_source, rates_at
from training.measures.statistics import Indices, Mask, Numbers, bootstrap


@dataclass(frozen=True, slots=True)
class Requirement:
    """A sensitivity and a specificity asked for within one source."""

    source: str
    finding: Finding
    sensitivity: float
    specificity: float
    asked_by: str


@dataclass(frozen=True, slots=True)
class Case:
    """The images of one source and how to resample them."""

    studies: Sequence[Study]
    probabilities_nf: Numbers
    targets: NDArray[np.int64]
    draws: Sequence[Indices]


PREDECESSOR = "claim of the predecessor of this project, on images of its own"
PROJECT = "set by this project"
REQUIREMENTS = (
    Requirement("kermany", Finding.PNEUMONIA, 0.97, 0.90, PREDECESSOR),
    Requirement(
        "shenzhen128",
        Finding.TUBERCULOSIS,
        0.90,
        0.70,
        "WHO target profile of a TB triage test, 2014",
    ),
)
SERVED = "served flag"
READ_OFF = "read off here"
"""How a threshold was chosen. One that is read off describes the ROC curve and cannot be served."""


def measure_source_points(case: Case, points: Sequence[OperatingPoint]) -> tuple[SourcePoint, ...]:
    """Each requirement at the served flag, and at the threshold that just gives its sensitivity.

    The second threshold is read off the very images that it is measured on: it describes the ROC
    curve and cannot be served.
    """
    flags = flag_thresholds(points)
    found = []
    for requirement in REQUIREMENTS:
        inside = is_source(case.studies, requirement.source)
        positive = is_finding(case.studies, requirement.finding)
        if not (inside & positive).any() or not (inside & ~positive).any():
            continue
        served = flags.get(requirement.finding)
        if served is not None:
            found.append(_at_served(case, requirement, flags, served))
        found.append(_at_sensitivity(case, requirement, flags))
    return tuple(found)


def flag_thresholds(points: Sequence[OperatingPoint]) -> dict[Finding, float]:
    """Of each finding that has a certified one."""
    return {
        point.finding: point.threshold
        for point in points
        if point.purpose is Purpose.FLAG and point.threshold is not None
    }


def decide(probabilities_nf: Numbers, thresholds: Mapping[Finding, float]) -> NDArray[np.int64]:
    """(N,) one finding an image: the likeliest flagged one, else normal.

    A finding without a threshold is decided for where it is the most likely of all.
    """
    bounds_f = np.array([thresholds.get(finding, np.nan) for finding in FINDINGS])
    leads_nf = np.eye(len(FINDINGS), dtype=bool)[probabilities_nf.argmax(axis=1)]
    flagged_nf = np.where(np.isnan(bounds_f), leads_nf, probabilities_nf >= bounds_f)
    flagged_nf[:, FINDINGS.index(Finding.NORMAL)] = False
    best = np.where(flagged_nf, probabilities_nf, -1.0).argmax(axis=1)
    normal = FINDINGS.index(Finding.NORMAL)
    return np.where(flagged_nf.any(axis=1), best, normal).astype(np.int64)


def threshold_for(scores: Numbers, positive: Mask, sensitivity: float) -> float:
    """The highest threshold at which these positives show the sensitivity; NaN without any."""
    ordered = np.sort(scores[positive])[::-1]
    if not len(ordered):
        return float("nan")
    # 0.97 of 100 is 97, whatever binary fractions make of it.
    needed = int(np.ceil(sensitivity * len(ordered) - 1e-9))
    return float(ordered[max(needed, 1) - 1])


def _at_served(
    case: Case, requirement: Requirement, flags: Mapping[Finding, float], threshold: float
) -> SourcePoint:
    inside = is_source(case.studies, requirement.source)
    positive = is_finding(case.studies, requirement.finding)
    rates = rates_at(_scores(case, requirement)[inside], positive[inside], threshold)

    def accuracy(draw: Indices) -> float:
        return _accuracy(case, draw[inside[draw]], flags)

    if rates.sensitivity is None or rates.specificity is None:
        raise ValueError(f"{requirement.source} holds one side only")
    return _source_point(
        case, requirement, SERVED, threshold, (rates.sensitivity, rates.specificity),
        bootstrap(accuracy, len(inside), case.draws),
    )  # fmt: skip


def _at_sensitivity(
    case: Case, requirement: Requirement, flags: Mapping[Finding, float]
) -> SourcePoint:
    """The threshold is read off again in every draw, so its own chance is in the intervals."""
    inside = is_source(case.studies, requirement.source)
    positive = is_finding(case.studies, requirement.finding)
    scores = _scores(case, requirement)

    def chosen(draw: Indices) -> tuple[Indices, float]:
        kept = draw[inside[draw]]
        return kept, threshold_for(scores[kept], positive[kept], requirement.sensitivity)

    def sensitivity(draw: Indices) -> float:
        kept, threshold = chosen(draw)
        return _mean(scores[kept][positive[kept]] >= threshold)

    def specificity(draw: Indices) -> float:
        kept, threshold = chosen(draw)
        return _mean(scores[kept][~positive[kept]] < threshold)

    def accuracy(draw: Indices) -> float:
        kept, threshold = chosen(draw)
        return _accuracy(case, kept, {**flags, requirement.finding: threshold})

    count, draws = len(inside), case.draws
    return _source_point(
        case, requirement, READ_OFF, chosen(np.arange(count))[1],
        (bootstrap(sensitivity, count, draws), bootstrap(specificity, count, draws)),
        bootstrap(accuracy, count, draws),
    )  # fmt: skip


def _source_point(
    case: Case,
    requirement: Requirement,
    choice: str,
    threshold: float,
    rates: tuple[MetricInterval, MetricInterval],
    accuracy: MetricInterval,
) -> SourcePoint:
    inside = is_source(case.studies, requirement.source)
    positives = int((inside & is_finding(case.studies, requirement.finding)).sum())
    sensitivity, specificity = rates
    return SourcePoint(
        source=requirement.source,
        finding=requirement.finding.value,
        choice=choice,
        asked_by=requirement.asked_by,
        threshold=threshold,
        positives=positives,
        negatives=int(inside.sum()) - positives,
        sensitivity=sensitivity,
        specificity=specificity,
        accuracy=accuracy,
        required_sensitivity=requirement.sensitivity,
        required_specificity=requirement.specificity,
        is_met=sensitivity.value >= requirement.sensitivity
        and specificity.value >= requirement.specificity,
    )


def _scores(case: Case, requirement: Requirement) -> Numbers:
    return case.probabilities_nf[:, FINDINGS.index(requirement.finding)]


def _accuracy(case: Case, kept: Indices, thresholds: Mapping[Finding, float]) -> float:
    decided = decide(case.probabilities_nf[kept], thresholds)
    return _mean(decided == case.targets[kept])


def _mean(chosen: Mask) -> float:
    return float(chosen.mean()) if chosen.size else float("nan")

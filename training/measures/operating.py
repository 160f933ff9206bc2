"""What a threshold does: rates over all images and within each source.

Axes: N images, F findings.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from service.core.artifact import MetricInterval, OperatingPoint
from service.core.findings import FINDINGS, Finding
from training.data.patients import patients_of
from training.data.studies import Study
from training.measures.results import Counts, PointRates, PredictiveValues, Rates
from training.measures.statistics import Mask, Numbers, predictive_values, wilson

PREVALENCES = (0.30, 0.10, 0.05, 0.01)
"""At which predictive values are reported: the mix of a test split is no prevalence."""


def count_images(studies: Sequence[Study]) -> Counts:
    """Images of each finding in each source."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for study in studies:
        counts[study.source][study.finding] += 1
    return {source: dict(sorted(counts[source].items())) for source in sorted(counts)}


def count_patients(studies: Sequence[Study]) -> int:
    """Different patients among the studies."""
    return len(set(patients_of(studies)))


def is_finding(studies: Sequence[Study], finding: Finding) -> Mask:
    """(N,) true where the label is this finding."""
    return np.array([study.finding is finding for study in studies], bool)


def is_source(studies: Sequence[Study], source: str) -> Mask:
    """(N,) true where the study is of this source."""
    return np.array([study.source == source for study in studies], bool)


def rates_at(scores: Numbers, positive: Mask, threshold: float) -> Rates:
    """Rates of `score >= threshold`, each with its Wilson interval."""
    flagged = scores >= threshold
    is_mixed = bool(positive.any()) and not bool(positive.all())
    return Rates(
        positives=int(positive.sum()),
        negatives=int((~positive).sum()),
        sensitivity=_share(flagged, positive),
        specificity=_share(~flagged, ~positive),
        ppv=_share(positive, flagged) if is_mixed else None,
        npv=_share(~positive, ~flagged) if is_mixed else None,
    )


def point_rates(
    point: OperatingPoint, probabilities_nf: Numbers, studies: Sequence[Study]
) -> PointRates:
    """Rates of one operating point, pooled, per source, and at stated prevalences."""
    if point.threshold is None:
        return PointRates(point, None, {})
    scores = probabilities_nf[:, FINDINGS.index(point.finding)]
    positive = is_finding(studies, point.finding)
    pooled = rates_at(scores, positive, point.threshold)
    sources: dict[str, Rates] = {}
    for source in sorted({study.source for study in studies}):
        inside = is_source(studies, source)
        sources[source] = rates_at(scores[inside], positive[inside], point.threshold)
    return PointRates(point, pooled, sources, _at_prevalences(pooled))


def _at_prevalences(rates: Rates) -> tuple[PredictiveValues, ...]:
    if rates.sensitivity is None or rates.specificity is None:
        return ()
    return tuple(
        PredictiveValues(
            prevalence, *predictive_values(rates.sensitivity, rates.specificity, prevalence)
        )
        for prevalence in PREVALENCES
    )


def _share(chosen: Mask, among: Mask) -> MetricInterval | None:
    count = int(among.sum())
    return wilson(int((chosen & among).sum()), count) if count else None

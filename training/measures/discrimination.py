"""AUC of the network beside that of the trivial baseline: pooled, within each source, by stratum.

Both are measured on the same images and resampled together, patient by patient.
Axes: N images, F findings.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from service.core.artifact import MetricInterval, OperatingPoint, Purpose
from service.core.findings import ABNORMAL, FINDINGS, Finding
from training.data.studies import Study
from training.measures.operating import count_patients, is_finding, is_source, rates_at
from training.measures.results import Discrimination, MacroAuc, Stratum
from training.measures.statistics import Indices, Mask, Numbers, auc, bootstrap, delong, newcombe

SMALLEST_SIDE = 5
"""Fewer positives or negatives than this say nothing about an AUC."""

SMALLEST_STRATUM = 20
AGE_BANDS = ((0, 18), (18, 40), (40, 65), (65, 200))
"""Years, from and below."""


@dataclass(frozen=True, slots=True)
class Question:
    """A finding against other images: which images, which of them positive."""

    finding: Finding
    images: Mask = field(repr=False)
    positive: Mask = field(repr=False)

    @property
    def can_be_answered(self) -> bool:
        """True where both sides hold enough images."""
        positives = int((self.positive & self.images).sum())
        negatives = int((~self.positive & self.images).sum())
        return min(positives, negatives) >= SMALLEST_SIDE


@dataclass(frozen=True, slots=True)
class Opponents:
    """The same images scored by the network and by the baseline, and how to resample them."""

    studies: tuple[Study, ...]
    network_nf: Numbers
    baseline_nf: Numbers
    single_view_nf: Numbers
    draws: tuple[Indices, ...]


def questions(studies: Sequence[Study]) -> dict[str, Question]:
    """Each finding against the rest, and each abnormal one against normal within its source."""
    everything = np.ones(len(studies), bool)
    asked = {
        f"{finding} vs rest": Question(finding, everything, is_finding(studies, finding))
        for finding in FINDINGS
    }
    for source in sorted({study.source for study in studies}):
        for finding in ABNORMAL:
            inside = is_source(studies, source)
            asked[f"{source}: {finding} vs normal"] = _against_normal(studies, finding, inside)
    return {name: question for name, question in asked.items() if question.can_be_answered}


def tier_questions(studies: Sequence[Study]) -> dict[str, Question]:
    """Where a source has positives of more than one tier: those of each, against its normals.

    The normals are of any tier: those that a radiologist confirmed are too few to stand alone.
    """
    asked: dict[str, Question] = {}
    for source in sorted({study.source for study in studies}):
        for finding in ABNORMAL:
            asked |= _by_tier(studies, finding, source)
    return {name: question for name, question in asked.items() if question.can_be_answered}


def discriminate(question: Question, opponents: Opponents) -> Discrimination:
    """Answer one question with both opponents."""
    column = FINDINGS.index(question.finding)
    network, baseline = opponents.network_nf[:, column], opponents.baseline_nf[:, column]
    images, positive = question.images, question.positive

    def gap(draw: Indices) -> float:
        kept = draw[images[draw]]
        return auc(network[kept], positive[kept]) - auc(baseline[kept], positive[kept])

    inside = [opponents.studies[index] for index in np.flatnonzero(images)]
    return Discrimination(
        positives=int((positive & images).sum()),
        negatives=int((~positive & images).sum()),
        patients=count_patients(inside),
        network=_resampled_auc(question, network, opponents.draws),
        delong=delong(network[images], positive[images]),
        baseline=_resampled_auc(question, baseline, opponents.draws),
        difference=bootstrap(gap, len(images), opponents.draws),
    )


def macro_auc(asked: dict[str, Question], opponents: Opponents) -> MacroAuc:
    """Mean over the findings of the AUC against the rest."""
    rest = [question for name, question in asked.items() if name.endswith("vs rest")]

    def mean_of(scores_nf: Numbers) -> Callable[[Indices], float]:
        def mean(draw: Indices) -> float:
            areas = [
                auc(scores_nf[draw, FINDINGS.index(question.finding)], question.positive[draw])
                for question in rest
            ]
            return float(np.mean(areas)) if areas else float("nan")

        return mean

    count = len(opponents.studies)
    return MacroAuc(
        network=bootstrap(mean_of(opponents.network_nf), count, opponents.draws),
        baseline=bootstrap(mean_of(opponents.baseline_nf), count, opponents.draws),
        single_view=bootstrap(mean_of(opponents.single_view_nf), count, opponents.draws),
    )


def stratify(opponents: Opponents, points: Sequence[OperatingPoint]) -> tuple[Stratum, ...]:
    """Each abnormal finding against normal within groups of known age, sex or view."""
    return _stratify(_groups(opponents.studies), opponents, points)


def stratify_sources(opponents: Opponents, points: Sequence[OperatingPoint]) -> tuple[Stratum, ...]:
    """The same groups within each source, where the source cannot stand in for the finding."""
    groups = _groups(opponents.studies)
    inside = {
        f"{source}, {name}": members & is_source(opponents.studies, source)
        for source in sorted({study.source for study in opponents.studies})
        for name, members in groups.items()
    }
    return _stratify(inside, opponents, points)


def _stratify(
    groups: dict[str, Mask], opponents: Opponents, points: Sequence[OperatingPoint]
) -> tuple[Stratum, ...]:
    found = []
    for name, members in groups.items():
        for finding in ABNORMAL:
            question = _against_normal(opponents.studies, finding, members)
            if question.images.sum() >= SMALLEST_STRATUM and question.can_be_answered:
                found.append(_stratum(name, question, opponents, points))
    return tuple(found)


def _stratum(
    name: str, question: Question, opponents: Opponents, points: Sequence[OperatingPoint]
) -> Stratum:
    scores = opponents.network_nf[:, FINDINGS.index(question.finding)]
    inside = question.images
    thresholds = [
        point.threshold
        for point in points
        if point.finding is question.finding and point.purpose is Purpose.FLAG
    ]
    threshold = thresholds[0] if thresholds else None
    rates = (
        None
        if threshold is None
        else rates_at(scores[inside], question.positive[inside], threshold)
    )
    area = _resampled_auc(question, scores, opponents.draws)
    positives = int((question.positive & inside).sum())
    negatives = int(inside.sum()) - positives
    return Stratum(name, question.finding, area, rates, positives, negatives)


def _by_tier(studies: Sequence[Study], finding: Finding, source: str) -> dict[str, Question]:
    tiers = {s.tier for s in studies if s.source == source and s.finding is finding} - {""}
    if len(tiers) < 2:
        return {}
    inside = is_source(studies, source)
    asked = {}
    for tier in sorted(tiers):
        of_tier = np.array([s.finding is not finding or s.tier == tier for s in studies], bool)
        name = f"{source}: {finding} vs normal (tier {tier})"
        asked[name] = _against_normal(studies, finding, inside & of_tier)
    return asked


def _against_normal(studies: Sequence[Study], finding: Finding, members: Mask) -> Question:
    positive = is_finding(studies, finding)
    images = members & (positive | is_finding(studies, Finding.NORMAL))
    return Question(finding, images, positive)


def _resampled_auc(question: Question, scores: Numbers, draws: Sequence[Indices]) -> MetricInterval:
    images, positive = question.images, question.positive

    def area(draw: Indices) -> float:
        kept = draw[images[draw]]
        return auc(scores[kept], positive[kept])

    interval = bootstrap(area, len(images), draws)
    if interval.value in (0.0, 1.0):
        positives = int((positive & images).sum())
        return newcombe(interval.value, positives, int(images.sum()) - positives)
    return interval


def _groups(studies: Sequence[Study]) -> dict[str, Mask]:
    groups = {
        f"age {low}-{high - 1}": np.array(
            [s.age_years is not None and low <= s.age_years < high for s in studies], bool
        )
        for low, high in AGE_BANDS
    }
    for what, values in (("sex", [s.sex for s in studies]), ("view", [s.view for s in studies])):
        for value in sorted(set(values) - {""}):
            groups[f"{what} {value}"] = np.array([known == value for known in values], bool)
    return groups

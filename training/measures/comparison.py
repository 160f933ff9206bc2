"""Two versions on the same images: paired tests for every question and operating point.

Axes: N images, F findings.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.core.artifact import MetricInterval, OperatingPoint, Purpose
from service.core.findings import ABNORMAL, FINDINGS, Finding
from training.data.studies import Study
from training.measures.discrimination import Question
from training.measures.evidence import Comparison, McNemar, PointComparison, QuestionComparison
from training.measures.operating import count_images, count_patients, is_finding, is_source
from training.measures.paired import Zones, mcnemar, net_moved_up, paired_delong
from training.measures.source_points import flag_thresholds
from training.measures.statistics import (
    Indices,
    Mask,
    Numbers,
    auc,
    bootstrap,
    brier,
    calibration_error,
    log_loss,
)

SMALLEST_GROUP = 5
"""Fewer images of one side than this are not compared at a threshold."""

Loss = Callable[[Numbers, NDArray[np.int64]], float]
LOSSES: Mapping[str, Loss] = {
    "log-loss": log_loss,
    "Brier score": brier,
    "expected calibration error": calibration_error,
}


@dataclass(frozen=True, slots=True)
class Contender:
    """A version's probabilities on the images that both are measured on, and its own thresholds."""

    name: str
    digest: str
    split_digest: str
    probabilities_nf: Numbers = field(repr=False)
    points: tuple[OperatingPoint, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Shared:
    """The images that both were scored on."""

    studies: Sequence[Study]
    targets: NDArray[np.int64]
    draws: Sequence[Indices]


def compare(
    current: Contender, previous: Contender, shared: Shared, asked: Mapping[str, Question]
) -> Comparison:
    """Everything, patients drawn together for both."""
    return Comparison(
        previous=previous.name,
        digest=previous.digest,
        is_same_split=current.split_digest == previous.split_digest,
        images=len(shared.studies),
        patients=count_patients(shared.studies),
        questions={
            name: compare_question(question, current, previous, shared)
            for name, question in asked.items()
        },
        points=compare_points(current, previous, shared),
        losses={
            name: _compare_loss(loss, current, previous, shared) for name, loss in LOSSES.items()
        },
    )


def compare_question(
    question: Question, current: Contender, previous: Contender, shared: Shared
) -> QuestionComparison:
    """Paired DeLong, and the paired bootstrap over patients."""
    column, images, positive = FINDINGS.index(question.finding), question.images, question.positive
    now, then = current.probabilities_nf[:, column], previous.probabilities_nf[:, column]

    def area(scores: Numbers) -> Callable[[Indices], float]:
        def statistic(draw: Indices) -> float:
            kept = draw[images[draw]]
            return auc(scores[kept], positive[kept])

        return statistic

    def gap(draw: Indices) -> float:
        return area(now)(draw) - area(then)(draw)

    count = len(images)
    return QuestionComparison(
        positives=int((positive & images).sum()),
        negatives=int((~positive & images).sum()),
        current=bootstrap(area(now), count, shared.draws),
        previous=bootstrap(area(then), count, shared.draws),
        resampled=bootstrap(gap, count, shared.draws),
        delong=paired_delong(now[images], then[images], positive[images]),
    )


def compare_points(
    current: Contender, previous: Contender, shared: Shared
) -> tuple[PointComparison, ...]:
    """Each finding that both versions may flag: pooled, and within each source."""
    now, then = flag_thresholds(current.points), flag_thresholds(previous.points)
    groups = {"pooled": np.ones(len(shared.studies), bool)}
    groups |= {source: is_source(shared.studies, source) for source in count_images(shared.studies)}
    return tuple(
        _compare_point(finding, group, inside, current, previous, shared)
        for finding in ABNORMAL
        if finding in now and finding in then
        for group, inside in groups.items()
    )


def zones(probabilities_nf: Numbers, points: Sequence[OperatingPoint], finding: Finding) -> Zones:
    """Flag, refer or routine, by the thresholds of one finding alone."""
    scores = probabilities_nf[:, FINDINGS.index(finding)]
    found = np.zeros(len(scores), np.int64)
    for purpose, zone in ((Purpose.REFER, 1), (Purpose.FLAG, 2)):
        for point in points:
            if (point.finding, point.purpose) == (finding, purpose) and point.threshold is not None:
                found[scores >= point.threshold] = zone
    return found


def _compare_point(
    finding: Finding,
    group: str,
    inside: Mask,
    current: Contender,
    previous: Contender,
    shared: Shared,
) -> PointComparison:
    now = zones(current.probabilities_nf, current.points, finding)
    then = zones(previous.probabilities_nf, previous.points, finding)
    positive = is_finding(shared.studies, finding)
    positives, negatives = inside & positive, inside & ~positive
    flagged_now, flagged_then = now == 2, then == 2

    def change(chosen: Mask, sign: int) -> MetricInterval | None:
        return _mean_change(sign * (flagged_now.astype(int) - flagged_then), chosen, shared)

    def reclassified(chosen: Mask, sign: int) -> MetricInterval | None:
        def moved(draw: Indices) -> float:
            kept = draw[chosen[draw]]
            return sign * net_moved_up(now[kept], then[kept])

        return _if_enough(chosen, moved, shared)

    return PointComparison(
        finding=finding.value,
        group=group,
        positives=int(positives.sum()),
        negatives=int(negatives.sum()),
        sensitivity=_mcnemar(flagged_now, flagged_then, positives),
        specificity=_mcnemar(~flagged_now, ~flagged_then, negatives),
        sensitivity_change=change(positives, 1),
        specificity_change=change(negatives, -1),
        reclassified_positives=reclassified(positives, 1),
        reclassified_negatives=reclassified(negatives, -1),
    )


def _mcnemar(now_right: Mask, then_right: Mask, chosen: Mask) -> McNemar | None:
    if chosen.sum() < SMALLEST_GROUP:
        return None
    return mcnemar(now_right[chosen], then_right[chosen])


def _mean_change(change: NDArray[np.int64], chosen: Mask, shared: Shared) -> MetricInterval | None:
    def mean(draw: Indices) -> float:
        kept = draw[chosen[draw]]
        return float(change[kept].mean()) if kept.size else float("nan")

    return _if_enough(chosen, mean, shared)


def _if_enough(
    chosen: Mask, statistic: Callable[[Indices], float], shared: Shared
) -> MetricInterval | None:
    if chosen.sum() < SMALLEST_GROUP:
        return None
    return bootstrap(statistic, len(chosen), shared.draws)


def _compare_loss(
    loss: Loss, current: Contender, previous: Contender, shared: Shared
) -> MetricInterval:
    def gap(draw: Indices) -> float:
        truth = shared.targets[draw]
        return loss(current.probabilities_nf[draw], truth) - loss(
            previous.probabilities_nf[draw], truth
        )

    return bootstrap(gap, len(shared.targets), shared.draws)

"""Scores and operating points -> flags and priority."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from service.core.artifact import OperatingPoint, Purpose
from service.core.errors import EngineFailed
from service.core.findings import FINDINGS, Finding
from service.core.inference import Scores
from service.core.ood import OodPoint, is_unusual


class Priority(StrEnum):
    """Place in the reading list; no result ever lowers it below `routine`."""

    URGENT = "urgent"
    REVIEW = "review"
    ROUTINE = "routine"


class ReviewReason(StrEnum):
    """Why a radiograph without a flag is not routine."""

    REFER_ZONE = "REFER_ZONE"
    VIEWS_DISAGREE = "VIEWS_DISAGREE"
    ABNORMAL_MOST_LIKELY = "ABNORMAL_MOST_LIKELY"
    OUT_OF_DISTRIBUTION = "OUT_OF_DISTRIBUTION"


@dataclass(frozen=True, slots=True)
class Flag:
    """A finding at or above its threshold."""

    finding: Finding
    probability: float
    threshold: float
    operating_point: str


@dataclass(frozen=True, slots=True)
class Triage:
    """Flags, the priority they give, and why it is `review` when it is."""

    priority: Priority
    flags: tuple[Flag, ...]
    review_reasons: tuple[ReviewReason, ...]


def triage(
    scores: Scores, operating_points: Sequence[OperatingPoint], ood: OodPoint | None = None
) -> Triage:
    """Compare each finding with its operating points.

    A flag makes it urgent. Without one it is for review when a probability lies in the refer
    zone, when the augmented views disagree about a threshold, when an abnormal finding is the
    most likely one all the same, or when the image is unlike those that were learned from; else
    it is routine.

    Raises
    ------
    EngineFailed
        A score is no number: compared with any threshold it would raise no flag.
    """
    if not scores.is_finite:
        raise EngineFailed("the engine gave scores that are not numbers")
    flags = tuple(
        Flag(point.finding, _probability(scores, point), point.threshold, point.label)
        for point in operating_points
        if point.purpose is Purpose.FLAG
        and point.threshold is not None
        and _probability(scores, point) >= point.threshold
    )
    if flags:
        return Triage(Priority.URGENT, flags, ())
    reasons = _review_reasons(scores, operating_points, ood)
    return Triage(Priority.REVIEW if reasons else Priority.ROUTINE, (), reasons)


def _review_reasons(
    scores: Scores, operating_points: Sequence[OperatingPoint], ood: OodPoint | None
) -> tuple[ReviewReason, ...]:
    in_refer_zone = any(
        _probability(scores, point) >= point.threshold
        for point in operating_points
        if point.purpose is Purpose.REFER and point.threshold is not None
    )
    views_disagree = any(
        _probability(scores, point) + _spread(scores, point) >= point.threshold
        for point in operating_points
        if point.purpose is Purpose.FLAG and point.threshold is not None
    )
    most_likely = FINDINGS[int(scores.probabilities.argmax())]
    found = {
        ReviewReason.REFER_ZONE: in_refer_zone,
        ReviewReason.VIEWS_DISAGREE: views_disagree,
        ReviewReason.ABNORMAL_MOST_LIKELY: most_likely is not Finding.NORMAL,
        ReviewReason.OUT_OF_DISTRIBUTION: is_unusual(scores.out_of_distribution, ood),
    }
    return tuple(reason for reason, holds in found.items() if holds)


def _probability(scores: Scores, point: OperatingPoint) -> float:
    return float(scores.probabilities[FINDINGS.index(point.finding)])


def _spread(scores: Scores, point: OperatingPoint) -> float:
    return float(scores.tta_spread[FINDINGS.index(point.finding)])

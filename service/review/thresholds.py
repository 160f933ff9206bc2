"""What a threshold would do: rates with intervals, flags a day, and whom it would miss."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from service.core.findings import Finding
from service.review.cases import Cases
from service.review.statistics import Rate, rate

MISSED_SHOWN = 25
CURVE_STEPS = 101


@dataclass(frozen=True, slots=True)
class Operating:
    """Rates of a group of cases at one threshold."""

    group: str
    sensitivity: Rate
    specificity: Rate
    ppv: Rate
    npv: Rate
    flags_per_day: float
    unclear: int
    unreported: int


@dataclass(frozen=True, slots=True)
class Missed:
    """A case that the report calls positive and the threshold would not flag."""

    id: str
    received_at: str
    scanner: str
    age_band: str
    probability: float


@dataclass(frozen=True, slots=True)
class ThresholdReport:
    """One finding at one threshold, over all cases and by group."""

    finding: str
    model: str | None
    threshold: float
    days: float
    overall: Operating
    by_scanner: tuple[Operating, ...]
    by_age_band: tuple[Operating, ...]
    missed: tuple[Missed, ...]
    missed_total: int

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def judge_threshold(
    cases: Cases, finding: Finding, threshold: float, *, use_verdicts: bool = False
) -> ThresholdReport:
    """Count what flagging at `threshold` or above would have done.

    Rates count each study once; flags a day count every radiograph.
    """
    labels = cases.labels(finding, use_verdicts=use_verdicts)
    flagged = np.asarray(cases[f"score_{finding}"] >= threshold, np.bool_)
    counted = np.asarray(cases["counts"] == 1, np.bool_)
    days = cases.span.days
    missed = np.flatnonzero((labels == 1) & ~flagged & counted)

    def group(name: str, chosen: NDArray[np.bool_]) -> Operating:
        return _operating(name, labels, flagged, counted, chosen, days)

    return ThresholdReport(
        finding=finding.value,
        model=cases.model,
        threshold=threshold,
        days=days,
        overall=group("all", np.ones(len(cases), np.bool_)),
        by_scanner=tuple(
            group(name, cases["scanner"] == name) for name in _names(cases, "scanner")
        ),
        by_age_band=tuple(
            group(name, cases["age_band"] == name) for name in _names(cases, "age_band")
        ),
        missed=tuple(_missed(cases, finding, index) for index in missed[::-1][:MISSED_SHOWN]),
        missed_total=len(missed),
    )


def curves(cases: Cases, finding: Finding, *, use_verdicts: bool = False) -> dict[str, list[float]]:
    """Sensitivity and specificity over a grid of thresholds, for the picture."""
    labels = cases.labels(finding, use_verdicts=use_verdicts)
    counted = cases["counts"] == 1
    scores = cases[f"score_{finding}"]
    grid = np.linspace(0, 1, CURVE_STEPS)
    positives = np.sort(scores[counted & (labels == 1)])
    negatives = np.sort(scores[counted & (labels == 0)])
    below_p = np.searchsorted(positives, grid, side="left") / max(1, len(positives))
    below_n = np.searchsorted(negatives, grid, side="left") / max(1, len(negatives))
    return {
        "threshold": grid.tolist(),
        "sensitivity": (1 - below_p).tolist(),
        "specificity": below_n.tolist(),
    }


def _operating(
    name: str,
    labels: NDArray[np.int8],
    flagged: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    chosen: NDArray[np.bool_],
    days: float,
) -> Operating:
    once = counted & chosen
    positive, negative = once & (labels == 1), once & (labels == 0)
    true_positive, false_positive = int((positive & flagged).sum()), int((negative & flagged).sum())
    false_negative, true_negative = (
        int((positive & ~flagged).sum()),
        int((negative & ~flagged).sum()),
    )
    return Operating(
        group=name,
        sensitivity=rate(true_positive, true_positive + false_negative),
        specificity=rate(true_negative, true_negative + false_positive),
        ppv=rate(true_positive, true_positive + false_positive),
        npv=rate(true_negative, true_negative + false_negative),
        flags_per_day=float((flagged & chosen).sum()) / days,
        unclear=int((once & (labels == -1)).sum()),
        unreported=int((once & (labels < -1)).sum()),
    )


def _names(cases: Cases, column: str) -> list[str]:
    return sorted(set(cases[column].tolist()))


def _missed(cases: Cases, finding: Finding, index: int) -> Missed:
    received = datetime.fromtimestamp(float(cases["received"][index]), UTC)
    return Missed(
        id=str(cases["id"][index]),
        received_at=received.isoformat(timespec="minutes"),
        scanner=str(cases["scanner"][index]),
        age_band=str(cases["age_band"][index]),
        probability=float(cases[f"score_{finding}"][index]),
    )

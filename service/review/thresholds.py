"""What a threshold would do: rates with intervals, flags a day, and whom it would miss."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from service.core.findings import Finding
from service.review.cases import NO_LABEL, Cases, FindIds
from service.review.statistics import Rate, rate

MISSED_SHOWN = 25
CURVE_STEPS = 101
CELLS = 4 * 2 * 2
"""Label, flagged or not, counted or not."""

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


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

    @property
    def is_judged(self) -> bool:
        """Whether a report told a positive, and one a negative."""
        return self.sensitivity.total > 0 and self.specificity.total > 0


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
    """One finding at one threshold, over all cases and by group.

    Attributes
    ----------
    days
        Days of the window that were logged; flags a day are counted over them.
    since, until
        The first and the last moment of those days.
    """

    finding: str
    model: str | None
    threshold: float
    days: float
    since: str
    until: str
    overall: Operating
    by_scanner: tuple[Operating, ...]
    by_age_band: tuple[Operating, ...]
    missed: tuple[Missed, ...]
    missed_total: int

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def judge_threshold(
    cases: Cases,
    finding: Finding,
    threshold: float,
    *,
    find_ids: FindIds,
    use_verdicts: bool = False,
) -> ThresholdReport:
    """Count what flagging at `threshold` or above would have done.

    Rates count each study once; flags a day count every radiograph.
    """
    labels = cases.labels(finding, use_verdicts=use_verdicts)
    flagged = np.asarray(cases[f"score_{finding}"] >= threshold, np.bool_)
    counted = np.asarray(cases["counts"] == 1, np.bool_)
    cells = ((labels - NO_LABEL) * 4 + flagged * 2 + counted).astype(np.int64)
    missed = np.flatnonzero((labels == 1) & ~flagged & counted)
    return ThresholdReport(
        finding=finding.value,
        model=cases.model,
        threshold=threshold,
        days=cases.span.days,
        since=_moment(max(cases.span.start, cases.span.logged), "seconds"),
        until=_moment(cases.span.end, "seconds"),
        overall=_operating("all", _tally(cells, 1)[0], cases.span.days),
        by_scanner=_by_group(cases, "scanner", cells),
        by_age_band=_by_group(cases, "age_band", cells),
        missed=_missed(cases.where(missed[::-1][:MISSED_SHOWN]), finding, find_ids),
        missed_total=len(missed),
    )


def curves(cases: Cases, finding: Finding, *, use_verdicts: bool = False) -> dict[str, list[float]]:
    """Over a grid of thresholds, for the picture: what there are cases to draw from."""
    labels = cases.labels(finding, use_verdicts=use_verdicts)
    counted = cases["counts"] == 1
    scores = cases[f"score_{finding}"]
    grid = np.linspace(0, 1, CURVE_STEPS)
    positive, negative = scores[counted & (labels == 1)], scores[counted & (labels == 0)]
    drawn = {"threshold": grid.tolist()}
    if len(positive):
        drawn["sensitivity"] = (1 - _share_below(positive, grid)).tolist()
    if len(negative):
        drawn["specificity"] = _share_below(negative, grid).tolist()
    return drawn


def _share_below(scores: Floats, grid: Floats) -> Floats:
    """Share of the scores that lie below each threshold, without sorting a million of them."""
    steps = np.searchsorted(grid, scores, side="right")
    below = np.cumsum(np.bincount(steps, minlength=len(grid) + 1)[: len(grid)])
    return np.asarray(below / len(scores), np.float64)


def _by_group(cases: Cases, column: str, cells: NDArray[np.int64]) -> tuple[Operating, ...]:
    """One row for each group that has a case, by name."""
    groups = cases.texts(column)
    tallies = _tally(groups.codes * CELLS + cells, len(groups.words))
    named = zip(map(str, groups.words), tallies, strict=True)
    return tuple(
        _operating(name, tally, cases.span.days)
        for name, tally in sorted(named, key=lambda pair: pair[0])
        if tally.any()
    )


def _tally(cells: NDArray[np.int64], groups: int) -> Counts:
    """(G, label + 2, flagged, counted) numbers of cases."""
    return np.bincount(cells, minlength=groups * CELLS).reshape(groups, 4, 2, 2)


def _operating(name: str, tally: Counts, days: float) -> Operating:
    once = tally[:, :, 1]
    (missed, caught), (cleared, raised) = once[1 - NO_LABEL], once[0 - NO_LABEL]
    return Operating(
        group=name,
        sensitivity=rate(int(caught), int(caught + missed)),
        specificity=rate(int(cleared), int(cleared + raised)),
        ppv=rate(int(caught), int(caught + raised)),
        npv=rate(int(cleared), int(cleared + missed)),
        flags_per_day=float(tally[:, 1].sum()) / days,
        unclear=int(once[-1 - NO_LABEL].sum()),
        unreported=int(once[0].sum()),
    )


def _missed(cases: Cases, finding: Finding, find_ids: FindIds) -> tuple[Missed, ...]:
    ids = find_ids(cases["sequence"].tolist())
    scanners, ages = cases.texts("scanner"), cases.texts("age_band")
    return tuple(
        Missed(
            id=ids[int(cases["sequence"][place])],
            received_at=_moment(float(cases["received"][place]), "minutes"),
            scanner=str(scanners.word(place)),
            age_band=str(ages.word(place)),
            probability=float(cases[f"score_{finding}"][place]),
        )
        for place in range(len(cases))
    )


def _moment(seconds: float, precision: str) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=precision)

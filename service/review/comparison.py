"""Champion against candidate on the same radiographs: flips, paired tests, shift of the scores."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import numpy as np
from scipy import stats

from service.core.findings import ABNORMAL, Finding
from service.review.cases import Cases
from service.review.statistics import (
    AucPair,
    Floats,
    PairedCounts,
    Rate,
    delong,
    mcnemar,
    rate,
)

FLIPS_SHOWN = 50
BINS = 20


@dataclass(frozen=True, slots=True)
class Flip:
    """A case that one model flags and the other does not."""

    id: str
    received_at: str
    scanner: str
    finding: str
    champion: float
    candidate: float
    champion_flags: bool
    report: str


@dataclass(frozen=True, slots=True)
class FindingComparison:
    """Both models on one finding; the tests use only cases with a clear report."""

    finding: str
    positives: int
    negatives: int
    champion_sensitivity: Rate
    candidate_sensitivity: Rate
    champion_specificity: Rate
    candidate_specificity: Rate
    among_positives: PairedCounts
    among_negatives: PairedCounts
    auc: AucPair | None
    shift_statistic: float
    shift_p_value: float
    champion_histogram: tuple[int, ...]
    candidate_histogram: tuple[int, ...]
    flips: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both models on all findings."""

    champion: str | None
    candidate: str | None
    cases: int
    findings: tuple[FindingComparison, ...]
    flips: tuple[Flip, ...]

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def compare(cases: Cases) -> Comparison:
    """Compare on the cases that the newest candidate has scored, each study once."""
    names = [name for name in cases["candidate"].tolist() if name]
    candidate = names[-1] if names else None
    both = cases.where((cases["candidate"] == candidate) & (cases["counts"] == 1))
    if candidate is None:
        both = cases.where(np.zeros(len(cases), np.bool_))
    flips = [flip for finding in ABNORMAL for flip in _flips(both, finding)]
    newest = sorted(flips, key=lambda flip: flip.received_at, reverse=True)
    return Comparison(
        champion=cases.model,
        candidate=candidate,
        cases=len(both),
        findings=tuple(_compare_finding(both, finding) for finding in ABNORMAL),
        flips=tuple(newest[:FLIPS_SHOWN]),
    )


def _compare_finding(both: Cases, finding: Finding) -> FindingComparison:
    labels = both.labels(finding)
    first, second = both[f"score_{finding}"], both[f"candidate_score_{finding}"]
    flag, other = both[f"flag_{finding}"] == 1, both[f"candidate_flag_{finding}"] == 1
    positive, negative = labels == 1, labels == 0
    clear = positive | negative
    positives, negatives = int(positive.sum()), int(negative.sum())
    shift = stats.ks_2samp(first, second) if len(both) else None
    return FindingComparison(
        finding=finding.value,
        positives=positives,
        negatives=negatives,
        champion_sensitivity=rate(int((positive & flag).sum()), positives),
        candidate_sensitivity=rate(int((positive & other).sum()), positives),
        champion_specificity=rate(int((negative & ~flag).sum()), negatives),
        candidate_specificity=rate(int((negative & ~other).sum()), negatives),
        among_positives=mcnemar(flag[positive], other[positive]),
        among_negatives=mcnemar(~flag[negative], ~other[negative]),
        auc=delong(first[clear], second[clear], positive[clear]),
        shift_statistic=float(shift.statistic) if shift else 0.0,
        shift_p_value=float(shift.pvalue) if shift else 1.0,
        champion_histogram=_histogram(first),
        candidate_histogram=_histogram(second),
        flips=int((flag != other).sum()),
    )


def _histogram(scores: Floats) -> tuple[int, ...]:
    counts, _ = np.histogram(scores, bins=BINS, range=(0, 1))
    return tuple(int(count) for count in counts)


def _flips(both: Cases, finding: Finding) -> list[Flip]:
    flag, other = both[f"flag_{finding}"], both[f"candidate_flag_{finding}"]
    labels = both.labels(finding)
    told = {1: "positive", 0: "negative", -1: "unclear"}
    return [
        Flip(
            id=str(both["id"][index]),
            received_at=datetime.fromtimestamp(float(both["received"][index]), UTC).isoformat(
                timespec="minutes"
            ),
            scanner=str(both["scanner"][index]),
            finding=finding.value,
            champion=float(both[f"score_{finding}"][index]),
            candidate=float(both[f"candidate_score_{finding}"][index]),
            champion_flags=bool(flag[index] == 1),
            report=told.get(int(labels[index]), "none"),
        )
        for index in np.flatnonzero(flag != other)[-FLIPS_SHOWN:]
    ]

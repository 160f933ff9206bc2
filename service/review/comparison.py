"""Champion against candidate on the same radiographs: flips, paired tests, shift of the scores."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np

from service.core.findings import ABNORMAL, Finding
from service.review.cases import Cases, FindIds
from service.review.statistics import (
    AucPair,
    Floats,
    PairedCounts,
    Rate,
    delong,
    ks_shift,
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
    not_evaluated: int
    """Studies that the champion evaluated and the candidate would not have."""
    findings: tuple[FindingComparison, ...]
    flips: tuple[Flip, ...]

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def compare(cases: Cases, find_ids: FindIds) -> Comparison:
    """Compare on the cases that the newest candidate has scored; each study is there once."""
    scored = cases.texts("candidate")
    places = np.flatnonzero(~scored.among(None))
    candidate = scored.word(int(places[-1])) if len(places) else None
    # Without a candidate no case holds an empty word.
    is_seen = scored.among(candidate or "")
    both = cases.where(is_seen & ~np.isnan(cases[f"candidate_score_{ABNORMAL[0]}"]))
    flips = [flip for finding in ABNORMAL for flip in _flips(both, finding, find_ids)]
    with ThreadPoolExecutor(len(ABNORMAL)) as threads:  # sorting lets go of the interpreter
        findings = tuple(threads.map(partial(_compare_finding, both), ABNORMAL))
    newest = sorted(flips, key=lambda flip: flip.received_at, reverse=True)
    return Comparison(
        champion=cases.model,
        candidate=candidate,
        cases=len(both),
        not_evaluated=int(is_seen.sum()) - len(both),
        findings=findings,
        flips=tuple(newest[:FLIPS_SHOWN]),
    )


def _compare_finding(both: Cases, finding: Finding) -> FindingComparison:
    labels = both.labels(finding)
    first, second = both[f"score_{finding}"], both[f"candidate_score_{finding}"]
    flag, other = both[f"flag_{finding}"] == 1, both[f"candidate_flag_{finding}"] == 1
    positive, negative = labels == 1, labels == 0
    clear = positive | negative
    positives, negatives = int(positive.sum()), int(negative.sum())
    shift = ks_shift(first, second)
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
        shift_statistic=shift.statistic,
        shift_p_value=shift.p_value,
        champion_histogram=_histogram(first),
        candidate_histogram=_histogram(second),
        flips=int((flag != other).sum()),
    )


def _histogram(scores: Floats) -> tuple[int, ...]:
    counts, _ = np.histogram(scores, bins=BINS, range=(0, 1))
    return tuple(int(count) for count in counts)


def _flips(both: Cases, finding: Finding, find_ids: FindIds) -> list[Flip]:
    flips = np.flatnonzero(both[f"flag_{finding}"] != both[f"candidate_flag_{finding}"])
    shown = both.where(flips[-FLIPS_SHOWN:])
    ids, labels = find_ids(shown["sequence"].tolist()), shown.labels(finding)
    scanners = shown.texts("scanner")
    told = {1: "positive", 0: "negative", -1: "unclear"}
    return [
        Flip(
            id=ids[int(shown["sequence"][place])],
            received_at=datetime.fromtimestamp(float(shown["received"][place]), UTC).isoformat(
                timespec="minutes"
            ),
            scanner=str(scanners.word(place)),
            finding=finding.value,
            champion=float(shown[f"score_{finding}"][place]),
            candidate=float(shown[f"candidate_score_{finding}"][place]),
            champion_flags=bool(shown[f"flag_{finding}"][place] == 1),
            report=told.get(int(labels[place]), "none"),
        )
        for place in range(len(shown))
    ]

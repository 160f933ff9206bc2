"""Registered criteria against the log -> GO, EXTEND or NO-GO, valid at whatever day one looks."""

import math
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from service.core.findings import ABNORMAL, Finding
from service.record.criteria import Criteria
from service.record.entry import Outcome
from service.review.cases import NO_LABEL, Cases, Span, load_window
from service.review.statistics import confidence_sequence, still_needed

SIDES = {"sensitivity": 1, "specificity": 0}
"""What the report must say for a case to count."""
STAMP = ("model", "model_digest", "threshold_digest")
"""Columns that tell who read a case."""


class Decision(StrEnum):
    """What the evidence allows."""

    GO = "GO"
    """Every criterion is proven."""
    EXTEND = "EXTEND"
    """None is refuted, and not all are proven: keep counting."""
    NO_GO = "NO-GO"
    """At least one criterion is refuted."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One registered number and what the log says of it.

    Attributes
    ----------
    low, high
        Anytime-valid interval at the registered confidence.
    needed
        Further cases until it is proven, at the share seen so far and half a case more of each
        kind; None where that does not exceed the target.
    unit
        What `needed` counts.
    """

    name: str
    finding: str | None
    target: float
    successes: int
    total: int
    value: float | None
    low: float
    high: float
    decision: Decision
    needed: int | None
    unit: str

    @property
    def outlook(self) -> str:
        """What it takes to prove it, in words."""
        if self.needed is not None:
            return f"{self.needed:,} more {self.unit} at this rate"
        if self.value is None:
            return f"no {self.unit} yet"
        if self.value <= self.target:
            return "the share seen does not exceed the target"
        return f"too few {self.unit} to say how many more"


@dataclass(frozen=True, slots=True)
class OtherModel:
    """Studies with a report that another model or other thresholds read: they count for nothing."""

    model: str
    model_digest: str
    threshold_digest: str
    reported: int


@dataclass(frozen=True, slots=True)
class GoLive:
    """The decision and everything that it rests on.

    Attributes
    ----------
    is_serving
        Whether the model serves; else nothing is to be signed.
    others
        Whose reported studies came since the registration besides, most first.
    """

    decision: Decision
    is_serving: bool
    model: str
    model_digest: str
    threshold_digest: str
    registered_at: str
    registered_by: str | None
    registration_digest: str
    confidence: float
    radiographs: int
    reported: int
    unclear: int
    others: tuple[OtherModel, ...]
    criteria: tuple[Criterion, ...]

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Scope:
    model: str
    model_digest: str
    threshold_digest: str
    since: float


@dataclass(frozen=True, slots=True)
class _Tally:
    """Radiographs in scope, by what was said of them."""

    evaluated: int
    radiographs: int
    reported: int
    unclear: int
    reports: dict[Finding, Counter[tuple[int, int]]]
    """By finding: report and flag of the studies that count."""
    others: tuple[OtherModel, ...]


def decide(
    connection: Connection,
    registration: dict[str, Any],
    model: tuple[str, str, str],
    *,
    is_serving: bool,
) -> GoLive:
    """Judge one model, with its thresholds, on what came after the registration.

    Only the reports count, not the second readings: those are asked for where model and report
    disagree, so they would move the rates in the model's favour (discrepant analysis).
    """
    criteria = Criteria.model_validate(registration["body"])
    since = datetime.fromisoformat(registration["recorded_at"]).timestamp()
    scope = _Scope(*model, since)
    refuted_at = 1 - (1 - criteria.confidence) / (2 * len(criteria.findings) + 1)
    tally = _count(connection, scope)
    judged: list[Criterion] = []
    for asked in criteria.findings:
        counts = tally.reports[asked.finding]
        for name, truth in SIDES.items():
            target = float(getattr(asked, name))
            right, total = counts[truth, truth], counts[truth, 0] + counts[truth, 1]
            judged.append(
                _judge(name, asked.finding.value, target, right, total, criteria, refuted_at)
            )
    judged.append(
        _judge(
            "evaluated", None, criteria.evaluated, tally.evaluated, tally.radiographs,
            criteria, refuted_at,
        )
    )  # fmt: skip
    return GoLive(
        decision=_overall(judged),
        is_serving=is_serving,
        model=scope.model,
        model_digest=scope.model_digest,
        threshold_digest=scope.threshold_digest,
        registered_at=registration["recorded_at"],
        registered_by=registration["actor"],
        registration_digest=registration["row_digest"],
        confidence=criteria.confidence,
        radiographs=tally.radiographs,
        reported=tally.reported,
        unclear=tally.unclear,
        others=tally.others,
        criteria=tuple(judged),
    )


def _judge(
    name: str,
    finding: str | None,
    target: float,
    successes: int,
    total: int,
    criteria: Criteria,
    refuted_at: float,
) -> Criterion:
    """GO needs all criteria at once, so each may use the full alpha; NO-GO needs any, so shares."""
    low, high = confidence_sequence(successes, total, criteria.confidence)
    decision = Decision.EXTEND
    if low >= target:
        decision = Decision.GO
    elif confidence_sequence(successes, total, refuted_at)[1] < target:
        decision = Decision.NO_GO
    needed = None
    if decision is Decision.EXTEND:
        needed = still_needed(successes, total, target, criteria.confidence)
    units = {"sensitivity": "positives", "specificity": "negatives", "evaluated": "radiographs"}
    value = successes / total if total else None
    return Criterion(
        name, finding, target, successes, total, value, low, high, decision, needed, units[name]
    )


def _overall(judged: list[Criterion]) -> Decision:
    decisions = {criterion.decision for criterion in judged}
    if Decision.NO_GO in decisions:
        return Decision.NO_GO
    return Decision.GO if decisions == {Decision.GO} else Decision.EXTEND


def _count(connection: Connection, scope: _Scope) -> _Tally:
    """One pass over the columns of what came since the registration."""
    parts = [f"{part}_{finding}" for finding in ABNORMAL for part in ("report", "flag")]
    everyone = load_window(connection, Span(scope.since, math.inf), (*STAMP, "outcome", *parts))
    in_scope = everyone.texts("model_digest").among(scope.model_digest) & everyone.texts(
        "threshold_digest"
    ).among(scope.threshold_digest)
    window = everyone.where(in_scope)
    outcome = window.texts("outcome")
    evaluated = int(outcome.among(Outcome.EVALUATED.value).sum())
    counted = _once(window)
    labels = _labels(counted)
    return _Tally(
        evaluated=evaluated,
        radiographs=evaluated + int(outcome.among(Outcome.NOT_EVALUATED.value).sum()),
        reported=int((labels != NO_LABEL).any(axis=0).sum()),
        unclear=int((labels == -1).any(axis=0).sum()),
        reports={finding: _reports(counted, finding) for finding in ABNORMAL},
        others=_others(_once(everyone.where(~in_scope))),
    )


def _once(window: Cases) -> Cases:
    """Each study once for each model."""
    return window.where(np.asarray(window["counts"] == 1, np.bool_))


def _labels(counted: Cases) -> NDArray[np.int8]:
    """(F, N) what the reports say."""
    return np.stack([counted.labels(finding) for finding in ABNORMAL])


def _others(counted: Cases) -> tuple[OtherModel, ...]:
    reported = counted.where((_labels(counted) != NO_LABEL).any(axis=0))
    texts = {name: reported.texts(name) for name in STAMP}
    codes = np.stack([text.codes for text in texts.values()])
    stamps, studies = np.unique(codes, axis=1, return_counts=True)
    found = [
        OtherModel(
            **{
                name: str(text.words[code])
                for (name, text), code in zip(texts.items(), stamp, strict=True)
            },
            reported=seen,
        )
        for stamp, seen in zip(stamps.T.tolist(), studies.tolist(), strict=True)
    ]
    return tuple(sorted(found, key=lambda other: -other.reported))


def _reports(counted: Cases, finding: Finding) -> Counter[tuple[int, int]]:
    labels, flags = counted.labels(finding), counted[f"flag_{finding}"]
    return Counter(
        {
            (label, flag): int(((labels == label) & (flags == flag)).sum())
            for label in SIDES.values()
            for flag in (0, 1)
        }
    )

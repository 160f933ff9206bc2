"""The chained rows of a log joined by hand, with SQL and JSON alone: what pages must agree with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.support.simulated import read_log

Outcomes = Mapping[str, str]
"""Finding to positive, negative or unclear."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One radiograph and all that became known of it.

    Attributes
    ----------
    is_first
        Of its study: the one that counts.
    """

    id: str
    received: datetime
    outcome: str
    scanner: str
    age_band: str
    priority: str | None
    warnings: tuple[str, ...]
    scores: Mapping[str, float]
    flags: frozenset[str]
    report: Outcomes | None
    verdict: Outcomes | None
    candidate: Mapping[str, Any] | None
    is_first: bool

    def disagrees(self) -> bool:
        """Whether the report contradicts a flag, or the lack of one."""
        told = self.report or {}
        return any(
            told[finding] in ("positive", "negative")
            and (told[finding] == "positive") != (finding in self.flags)
            for finding in told
            if self.outcome == "evaluated"
        )


def count_by_hand(url: str) -> list[Seen]:
    """Every radiograph that was answered, in the order of the log; replays are left out."""
    reports, verdicts, candidates = (
        _newest(url, kind, key)
        for kind, key in (
            ("report", "study_instance"), ("adjudication", "entry"), ("candidate", "entry"),
        )
    )  # fmt: skip
    seen: list[Seen] = []
    studies: set[str] = set()
    for row in read_log(
        url,
        "SELECT id, received_at, outcome, scanner_alias, age_band, priority, cautions,"
        " probabilities, flags, study_instance FROM shadow_log"
        " WHERE outcome IN ('evaluated', 'not_evaluated') ORDER BY sequence",
    ):
        entry, at, outcome, scanner, age, priority, cautions, scores, flags, study = map(_text, row)
        seen.append(
            Seen(
                id=entry,
                received=datetime.fromisoformat(at),
                outcome=outcome,
                scanner=scanner,
                age_band=age or "unknown",
                priority=priority or None,
                warnings=tuple(json.loads(cautions)),
                scores=json.loads(scores or "{}"),
                flags=frozenset(flag["finding"] for flag in json.loads(flags or "[]")),
                report=reports.get(study, {}).get("outcomes"),
                verdict=verdicts.get(entry, {}).get("verdicts"),
                candidate=candidates.get(entry),
                is_first=outcome == "evaluated" and study not in studies,
            )
        )
        if outcome == "evaluated":
            studies.add(study)
    return seen


def _newest(url: str, kind: str, key: str) -> dict[str, dict[str, Any]]:
    statement = f"SELECT {key}, body FROM evidence_log WHERE kind='{kind}' ORDER BY sequence"
    return {str(about): json.loads(str(body)) for about, body in read_log(url, statement)}


def _text(value: object) -> str:
    return "" if value is None else str(value)

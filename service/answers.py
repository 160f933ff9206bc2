"""Triage -> the body of an answer, as it is sent and as the shadow log keeps it."""

from typing import Final

from service.case import Case
from service.core.errors import NotEvaluated
from service.core.findings import FINDINGS
from service.core.inference import Scalars, Scores
from service.core.triage import Triage
from service.record import Entry, Mode, ModelStamp

Body = dict[str, object]
"""JSON of an answer; `api.schemas.Answer` documents its fields."""

NOTICE: Final = "Research use only. Not a medical device."

TOLD_STAGES: Final = ("decode", "queue", "inference", "record")
"""Stages whose time an answer states, in order."""


class Answers:
    """Composes answers, and keeps back in shadow mode what a caller may not see."""

    def __init__(self, *, mode: Mode, model: ModelStamp) -> None:
        self._mode = mode
        self._model = model

    def evaluated(self, case: Case, scores: Scores, triaged: Triage) -> Body:
        """The answer for a radiograph inside the intended use."""
        return self._told(case) | self._shown(
            {
                "status": "evaluated",
                "probabilities": by_finding(scores.probabilities),
                "uncertainty": {
                    "tta_spread": by_finding(scores.tta_spread),
                    "out_of_distribution": scores.out_of_distribution,
                },
                "triage": _triage_body(triaged),
            }
        )

    def not_evaluated(self, case: Case, refusal: NotEvaluated) -> Body:
        """The answer for a radiograph outside it: no probability, no priority, never normal."""
        return self._told(case) | self._shown(
            {"status": "not_evaluated", "reason": refusal.reason, "detail": str(refusal)}
        )

    def sent(self, case: Case, body: Body) -> Body:
        """The stored answer with the one time that was not known when it was stored."""
        seconds = {"seconds": _seconds(case)} if "seconds" in body else {}
        return body | seconds

    def replayed(self, earlier: Entry) -> Body:
        """The stored answer, marked as such where a caller may know more than its id."""
        stored = dict(earlier.answer or {})
        return stored | ({"replay": True} if "replay" in stored else {})

    def _told(self, case: Case) -> Body:
        body: Body = {"id": case.id, "mode": self._mode.value, "notice": NOTICE}
        return body | self._shown(
            {
                "status": None,
                "reason": None,
                "detail": None,
                "model": {
                    "name": self._model.name,
                    "version": self._model.version,
                    "digest": self._model.digest,
                },
                "probabilities": None,
                "uncertainty": None,
                "triage": None,
                "warnings": [
                    {"code": caution.code, "detail": caution.detail} for caution in case.cautions
                ],
                "replay": False,
                "seconds": _seconds(case),
            }
        )

    def _shown(self, body: Body) -> Body:
        """Nothing in shadow mode: the answer is then the same, whatever the radiograph shows."""
        return {} if self._mode is Mode.SHADOW else body


def by_finding(values: Scalars) -> dict[str, float]:
    """(F,) -> name to value."""
    return {finding.value: float(value) for finding, value in zip(FINDINGS, values, strict=True)}


def _triage_body(triaged: Triage) -> Body:
    return {
        "priority": triaged.priority.value,
        "flags": [
            {
                "finding": flag.finding.value,
                "probability": flag.probability,
                "threshold": flag.threshold,
                "operating_point": flag.operating_point,
            }
            for flag in triaged.flags
        ],
        "review_reasons": [reason.value for reason in triaged.review_reasons],
    }


def _seconds(case: Case) -> dict[str, float | None]:
    return {stage: case.seconds.get(stage) for stage in TOLD_STAGES}

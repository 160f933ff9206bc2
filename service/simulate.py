"""`cxr-triage shadow simulate`: fills an empty shadow log, so that every review page is alive."""

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from service.core.artifact import digest_of
from service.core.errors import CxrError
from service.core.findings import ABNORMAL, Finding
from service.core.radiograph import FileFormat
from service.core.triage import Flag, Priority, ReviewReason
from service.record import (
    Entry,
    Evidence,
    Kind,
    Mode,
    ModelStamp,
    Outcome,
    Pseudonyms,
    age_band_of,
    new_id,
)
from service.record.bulk import append_rows
from service.record.criteria import DEFAULT_CRITERIA
from service.record.database import create_private_file, open_engine
from service.record.evidence import evidence_columns
from service.record.queries import count
from service.record.record import anchors_beside
from service.record.rows import Columns, columns_of
from service.record.schema import migrate
from service.record.tables import evidence_log, shadow_log
from service.simulated_traffic import SimulatedStudy, draw_days

SIMULATED = "simulated"
"""Name of both models, so that nobody takes such a log for evidence; the pages say so too."""

FLAG_AT = {Finding.PNEUMONIA: 0.25, Finding.TUBERCULOSIS: 0.2}
REFER_AT = {Finding.PNEUMONIA: 0.12, Finding.TUBERCULOSIS: 0.1}
CHAMPION, CANDIDATE = "1.0.0", "1.1.0"
SECOND_IMAGE_RATIO, REPLAY_RATIO, ADJUDICATED_RATIO = 0.04, 0.01, 0.25
VERDICT_DELAY = timedelta(days=3)

OnProgress = Callable[[int], None]


class LogNotEmpty(CxrError):
    """Simulated rows may never stand among real ones."""

    code = "LOG_NOT_EMPTY"


@dataclass(order=True)
class _Pending:
    """Evidence that will be known later."""

    at: datetime
    number: int
    evidence: Evidence = field(compare=False)


def simulate(
    url: str,
    *,
    start: datetime,
    days: int,
    per_day: float,
    seed: int,
    on_progress: OnProgress = lambda rows: None,
) -> int:
    """Write that many days of traffic with their reports; returns the number of radiographs.

    Raises
    ------
    LogNotEmpty
        There are rows already.
    """
    create_private_file(url)
    engine, anchors = open_engine(url), anchors_beside(url)
    migrate(engine)
    with engine.begin() as connection:
        if count(connection):
            raise LogNotEmpty("the shadow log has rows; simulated ones go into a log of their own")
    hospital = _Hospital(np.random.default_rng(seed), start)
    radiographs = 0
    for studies in draw_days(start=start, days=days, per_day=per_day, random=hospital.random):
        entries = hospital.day(studies)
        for written in append_rows(engine, shadow_log, entries, anchors):
            radiographs += written
            on_progress(written)
        end = hospital.now + timedelta(hours=1)
        for _ in append_rows(engine, evidence_log, hospital.known_by(end), anchors):
            pass
    engine.dispose()
    return radiographs


class _Hospital:
    """Turns studies into rows, and keeps the evidence that is still to come."""

    def __init__(self, random: np.random.Generator, start: datetime) -> None:
        self.random = random
        self.now = start.astimezone(UTC)
        self._numbers = itertools.count()
        self._pending: list[_Pending] = []
        criteria = Evidence(
            kind=Kind.CRITERIA, body=DEFAULT_CRITERIA.as_body(), actor=SIMULATED,
            id=self._id(self.now), recorded_at=self.now,
        )  # fmt: skip
        self._later(criteria)

    def day(self, studies: list[SimulatedStudy]) -> Iterator[Columns]:
        """Rows of one day's radiographs, in order."""
        for study in studies:
            self.now = study.received_at
            pseudonyms = Pseudonyms(self._hex(), self._hex(), self._hex(), self._hex())
            entry = self._entry(study, pseudonyms)
            yield columns_of(entry)
            self._await_evidence(study, entry)
            if self.random.random() < SECOND_IMAGE_RATIO and entry.outcome is Outcome.EVALUATED:
                second = Pseudonyms(
                    self._hex(), pseudonyms.study_instance, pseudonyms.accession,
                    pseudonyms.patient,
                )  # fmt: skip
                yield columns_of(self._entry(study, second))
            if self.random.random() < REPLAY_RATIO and entry.outcome is Outcome.EVALUATED:
                yield columns_of(self._replay(entry))

    def known_by(self, end: datetime) -> Iterator[Columns]:
        """Evidence up to a time, in the order in which it became known."""
        while self._pending and self._pending[0].at <= end:
            yield evidence_columns(heapq.heappop(self._pending).evidence)

    def _await_evidence(self, study: SimulatedStudy, entry: Entry) -> None:
        if entry.outcome is Outcome.EVALUATED:
            self._later(self._candidate(study, entry))
        if study.read_seconds is None:
            return
        read_at = entry.received_at + timedelta(seconds=study.read_seconds)
        outcomes = {finding.value: study.outcomes[finding] for finding in ABNORMAL}
        body = {"outcomes": outcomes, "read_at": read_at.isoformat(), "source": SIMULATED}
        named = entry.pseudonyms
        self._later(
            Evidence(
                kind=Kind.REPORT, body=body, study_instance=named.study_instance,
                accession=named.accession, id=self._id(read_at), recorded_at=read_at,
            )
        )  # fmt: skip
        if self._is_contradicted(study, entry) and self.random.random() < ADJUDICATED_RATIO:
            self._later(self._verdict(study, entry, read_at + VERDICT_DELAY))

    def _entry(self, study: SimulatedStudy, pseudonyms: Pseudonyms) -> Entry:
        seconds = {
            "decode": 0.02 + 0.01 * float(self.random.gamma(2)),
            "queue": 0.002 * float(self.random.gamma(1.5)),
            "inference": 0.015 + 0.003 * float(self.random.gamma(2)),
        }
        refused = Entry(
            id=self._id(study.received_at), received_at=study.received_at, mode=Mode.SHADOW,
            outcome=Outcome.NOT_EVALUATED, reason=study.reason or "", file_format=FileFormat.DICOM,
            input_digest=f"sha256:{self._hex()}", pixel_digest=f"sha256:{self._hex()}",
            scanner_alias=study.scanner, age_band=age_band_of(study.age_years),
            pseudonyms=pseudonyms, model=_stamp(CHAMPION), cautions=study.warnings,
            seconds=seconds, answer={"status": "not_evaluated", "reason": study.reason},
        )  # fmt: skip
        return refused if study.reason is not None else self._evaluate(study, refused)

    def _evaluate(self, study: SimulatedStudy, entry: Entry) -> Entry:
        probabilities = _probabilities(study.log_odds)
        flags = _flags(probabilities)
        priority, reasons = _priority(probabilities, flags)
        return replace(
            entry, outcome=Outcome.EVALUATED, reason=None, probabilities=probabilities,
            tta_spread={name: float(self.random.gamma(1.2) * 0.01) for name in probabilities},
            out_of_distribution=float(self.random.beta(1.2, 6.0)),
            priority=priority, flags=flags, review_reasons=reasons,
            answer={"status": "evaluated", "probabilities": probabilities},
        )  # fmt: skip

    def _replay(self, entry: Entry) -> Entry:
        return Entry(
            id=self._id(entry.received_at), received_at=entry.received_at + timedelta(minutes=1),
            mode=entry.mode, outcome=Outcome.REPLAYED, file_format=entry.file_format,
            input_digest=entry.input_digest, pixel_digest=entry.pixel_digest,
            scanner_alias=entry.scanner_alias, age_band=entry.age_band,
            pseudonyms=entry.pseudonyms, model=entry.model, seconds={"decode": 0.03},
            replay_of=entry.id,
        )  # fmt: skip

    def _candidate(self, study: SimulatedStudy, entry: Entry) -> Evidence:
        probabilities = _probabilities(study.candidate_log_odds)
        flags = _flags(probabilities)
        stamp, at = _stamp(CANDIDATE), entry.received_at + timedelta(seconds=1)
        body: dict[str, object] = {
            "name": stamp.name, "version": stamp.version, "digest": stamp.digest,
            "threshold_digest": stamp.threshold_digest, "probabilities": probabilities,
            "flags": [flag.finding.value for flag in flags],
            "priority": _priority(probabilities, flags)[0].value,
        }  # fmt: skip
        return Evidence(
            kind=Kind.CANDIDATE, body=body, entry=entry.id, id=self._id(at), recorded_at=at
        )

    def _verdict(self, study: SimulatedStudy, entry: Entry, at: datetime) -> Evidence:
        verdicts = {
            finding.value: "positive" if study.truth[finding] else "negative"
            for finding in ABNORMAL
        }
        body = {"verdicts": verdicts, "note": ""}
        return Evidence(
            kind=Kind.ADJUDICATION, body=body, entry=entry.id, actor=SIMULATED,
            id=self._id(at), recorded_at=at,
        )  # fmt: skip

    def _is_contradicted(self, study: SimulatedStudy, entry: Entry) -> bool:
        flagged = {flag.finding for flag in entry.flags}
        return entry.outcome is Outcome.EVALUATED and any(
            study.outcomes[finding] == ("negative" if finding in flagged else "positive")
            for finding in ABNORMAL
        )

    def _later(self, evidence: Evidence) -> None:
        heapq.heappush(self._pending, _Pending(evidence.recorded_at, next(self._numbers), evidence))

    def _id(self, at: datetime) -> str:
        return new_id(lambda: int(at.timestamp() * 1e9), self.random.bytes)

    def _hex(self) -> str:
        return self.random.bytes(32).hex()


def _stamp(version: str) -> ModelStamp:
    named = {
        part: digest_of(f"{SIMULATED} {version} {part}".encode())
        for part in ("digest", "weights_digest", "threshold_digest", "preprocess_digest")
    }
    return ModelStamp(name=SIMULATED, version=version, **named)


def _probabilities(log_odds: dict[Finding, float]) -> dict[str, float]:
    odds = {finding: float(np.exp(value)) for finding, value in log_odds.items()}
    total = 1.0 + sum(odds.values())
    return {
        "normal": 1.0 / total,
        **{finding.value: value / total for finding, value in odds.items()},
    }


def _flags(probabilities: dict[str, float]) -> tuple[Flag, ...]:
    return tuple(
        Flag(finding, probabilities[finding.value], FLAG_AT[finding], "sensitivity>=0.95")
        for finding in ABNORMAL
        if probabilities[finding.value] >= FLAG_AT[finding]
    )


def _priority(
    probabilities: dict[str, float], flags: tuple[Flag, ...]
) -> tuple[Priority, tuple[ReviewReason, ...]]:
    if flags:
        return Priority.URGENT, ()
    if any(probabilities[finding.value] >= REFER_AT[finding] for finding in ABNORMAL):
        return Priority.REVIEW, (ReviewReason.REFER_ZONE,)
    return Priority.ROUTINE, ()

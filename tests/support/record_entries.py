"""Shadow-log entries for tests."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from service.core.findings import Finding
from service.core.radiograph import FileFormat
from service.core.triage import Flag, Priority, ReviewReason
from service.record import Entry, Mode, ModelStamp, Outcome, Pseudonyms, new_id

MODEL = ModelStamp(
    name="tiny",
    version="0.0.1",
    digest="sha256:" + "a" * 64,
    weights_digest="sha256:" + "b" * 64,
    threshold_digest="sha256:" + "c" * 64,
    preprocess_digest="sha256:" + "d" * 64,
)


def evaluated(**changes: Any) -> Entry:
    """Build an urgent, evaluated entry with a new id; every field that may be filled is."""
    entry = Entry(
        id=new_id(),
        received_at=datetime(2026, 3, 1, 7, 30, 0, 123456, tzinfo=UTC),
        mode=Mode.LIVE,
        outcome=Outcome.EVALUATED,
        file_format=FileFormat.DICOM,
        input_digest="sha256:" + "1" * 64,
        pixel_digest="sha256:" + "2" * 64,
        scanner_alias="room-2",
        pseudonyms=Pseudonyms(study_instance="e" * 64, accession="f" * 64, patient="0" * 64),
        model=MODEL,
        probabilities={"normal": 0.1, "pneumonia": 0.85, "tuberculosis": 1 / 3 - 0.28},
        tta_spread={"normal": 0.01, "pneumonia": 0.03, "tuberculosis": 1e-17},
        out_of_distribution=0.125,
        priority=Priority.URGENT,
        flags=(Flag(Finding.PNEUMONIA, 0.85, 0.25, "sensitivity>=0.97"),),
        review_reasons=(ReviewReason.VIEWS_DISAGREE,),
        cautions=("AGE_UNKNOWN",),
        seconds={"decode": 0.031, "queue": 0.01, "inference": 0.02},
        answer={"status": "evaluated", "probabilities": {"pneumonia": 0.85}},
    )
    return replace(entry, **changes)


def not_evaluated(**changes: Any) -> Entry:
    """Build an entry for a lateral view."""
    return evaluated(
        **{
            "outcome": Outcome.NOT_EVALUATED,
            "reason": "LATERAL_VIEW",
            "probabilities": None,
            "tta_spread": None,
            "priority": None,
            "flags": (),
            "review_reasons": (),
            "answer": {"status": "not_evaluated"},
        }
        | changes
    )


def replayed(original: Entry) -> Entry:
    """Build the entry of a repeated upload."""
    return not_evaluated(
        outcome=Outcome.REPLAYED,
        reason=None,
        pseudonyms=original.pseudonyms,
        answer=None,
        replay_of=original.id,
    )


def conflict(**changes: Any) -> Entry:
    """Build the entry of an upload that was refused for its pixels."""
    return not_evaluated(
        **{"outcome": Outcome.CONFLICT, "reason": "SOP_INSTANCE_CONFLICT", "answer": None} | changes
    )

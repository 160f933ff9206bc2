"""Entry <-> the text columns of its row."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from service.core.findings import Finding
from service.core.plain_text import is_plain
from service.core.radiograph import FileFormat
from service.core.triage import Flag, Priority, ReviewReason
from service.record.entry import Entry, Mode, ModelStamp, Outcome, Pseudonyms

Columns = dict[str, str | int | None]
"""Values of one row by column name."""


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical_json(value: object) -> str:
    """Write JSON in its one form here: sorted keys, no blanks, ASCII, floats as Python's `repr`.

    `repr` is the shortest text that reads back as the same float, so a value that went through
    the database is written the same again. NaN and infinity are refused.
    """
    return _CANONICAL.encode(value)


def columns_of(entry: Entry) -> Columns:
    """Write an entry as a row, but for its place in the chain.

    Raises
    ------
    ValueError, TypeError
        Holds what no database can store: a control character, NaN, an object that is not JSON.
    """
    plain = _plain_columns(entry) | _pseudonym_columns(entry.pseudonyms)
    plain |= _model_columns(entry.model)
    unprintable = [name for name, text in plain.items() if text and not is_plain(str(text))]
    if unprintable:
        raise ValueError(f"control characters in {', '.join(unprintable)}")
    return plain | _json_columns(entry)


def entry_of(row: Mapping[str, Any]) -> Entry:
    """Read a row back."""
    return Entry(
        id=row["id"],
        received_at=datetime.fromisoformat(row["received_at"]),
        mode=Mode(row["mode"]),
        outcome=Outcome(row["outcome"]),
        reason=row["reason"],
        file_format=FileFormat(row["file_format"]),
        input_digest=row["input_digest"],
        pixel_digest=row["pixel_digest"],
        scanner_alias=row["scanner_alias"],
        age_band=row["age_band"],
        pseudonyms=Pseudonyms(
            row["sop_instance"], row["study_instance"], row["accession"], row["patient"]
        ),
        model=_model_of(row),
        probabilities=_parse(row["probabilities"]),
        tta_spread=_parse(row["tta_spread"]),
        out_of_distribution=_parse(row["out_of_distribution"]),
        priority=None if row["priority"] is None else Priority(row["priority"]),
        flags=tuple(_flag_of(flag) for flag in json.loads(row["flags"])),
        review_reasons=tuple(ReviewReason(code) for code in json.loads(row["review_reasons"])),
        cautions=tuple(json.loads(row["cautions"])),
        seconds=json.loads(row["seconds"]),
        answer=_parse(row["answer"]),
        replay_of=row["replay_of"],
    )


def _plain_columns(entry: Entry) -> Columns:
    return {
        "id": entry.id,
        "received_at": entry.received_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "mode": entry.mode.value,
        "outcome": entry.outcome.value,
        "reason": entry.reason,
        "file_format": entry.file_format.value,
        "input_digest": entry.input_digest,
        "pixel_digest": entry.pixel_digest,
        "scanner_alias": entry.scanner_alias,
        "age_band": entry.age_band,
        "priority": None if entry.priority is None else entry.priority.value,
        "replay_of": entry.replay_of,
        "candidate": None,
    }


def _pseudonym_columns(pseudonyms: Pseudonyms) -> Columns:
    return {
        "sop_instance": pseudonyms.sop_instance,
        "study_instance": pseudonyms.study_instance,
        "accession": pseudonyms.accession,
        "patient": pseudonyms.patient,
    }


def _model_columns(model: ModelStamp) -> Columns:
    return {
        "model_name": model.name,
        "model_version": model.version,
        "model_digest": model.digest,
        "weights_digest": model.weights_digest,
        "threshold_digest": model.threshold_digest,
        "preprocess_digest": model.preprocess_digest,
    }


def _json_columns(entry: Entry) -> Columns:
    values: dict[str, object] = {
        "probabilities": entry.probabilities,
        "tta_spread": entry.tta_spread,
        "out_of_distribution": entry.out_of_distribution,
        "flags": [asdict(flag) for flag in entry.flags],
        "review_reasons": entry.review_reasons,
        "cautions": entry.cautions,
        "seconds": entry.seconds,
        "answer": entry.answer,
    }
    return {
        name: None if value is None else canonical_json(value) for name, value in values.items()
    }


def _model_of(row: Mapping[str, Any]) -> ModelStamp:
    return ModelStamp(
        name=row["model_name"],
        version=row["model_version"],
        digest=row["model_digest"],
        weights_digest=row["weights_digest"],
        threshold_digest=row["threshold_digest"],
        preprocess_digest=row["preprocess_digest"],
    )


def _flag_of(fields: dict[str, Any]) -> Flag:
    return Flag(**fields | {"finding": Finding(fields["finding"])})


def _parse(text: str | None) -> Any:
    return None if text is None else json.loads(text)

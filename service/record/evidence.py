"""What became known of a request after its answer: reports, verdicts, a candidate's scores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from service.core.plain_text import is_plain
from service.record.entry import new_id
from service.record.rows import Columns, canonical_json


class Kind(StrEnum):
    """What a row of the evidence log says."""

    CANDIDATE = "candidate"
    """What the model that is scored in silence would have said of one entry."""
    REPORT = "report"
    """What the radiologist's report says of one study."""
    ADJUDICATION = "adjudication"
    """A second reader's verdict on one entry, given before the model's answer was shown."""
    CRITERIA = "criteria"
    """What must hold before going live, registered before it is counted."""
    PROPOSAL = "proposal"
    """A threshold that somebody would like to have; nothing applies it."""
    LOOKUP = "lookup"
    """Somebody asked which entries belong to an identifier."""
    EXPORT = "export"
    """Somebody took rows out."""
    PURGE = "purge"
    """Rows were deleted because their time was over; signed."""


class Label(StrEnum):
    """What a reader says of one finding."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One row of the evidence log.

    Attributes
    ----------
    entry
        `id` of the entry that it is about; None where it is about a study or the whole log.
    study_instance, accession
        Pseudonyms of the study that it is about.
    actor
        Who acted, as the service knows them; never a patient.
    body
        JSON that belongs to the kind.
    """

    kind: Kind
    body: Mapping[str, object]
    entry: str | None = None
    study_instance: str | None = None
    accession: str | None = None
    actor: str | None = None
    id: str = field(default_factory=new_id)
    recorded_at: datetime = field(default_factory=lambda: datetime.now(UTC))


def evidence_columns(evidence: Evidence) -> Columns:
    """Write evidence as a row, but for its place in the chain.

    Raises
    ------
    ValueError, TypeError
        Holds what no database can store: a control character, NaN, an object that is not JSON.
    """
    if evidence.recorded_at.tzinfo is None:
        raise ValueError("evidence: expected a time zone")
    plain: Columns = {
        "id": evidence.id,
        "recorded_at": evidence.recorded_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "kind": evidence.kind.value,
        "entry": evidence.entry,
        "study_instance": evidence.study_instance,
        "accession": evidence.accession,
        "actor": evidence.actor,
    }
    unprintable = [name for name, text in plain.items() if text and not is_plain(str(text))]
    if unprintable:
        raise ValueError(f"control characters in {', '.join(unprintable)}")
    return plain | {"body": canonical_json(evidence.body)}

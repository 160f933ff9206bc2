"""One request as the shadow log keeps it: pseudonyms, digests, scores; never a name or a pixel."""

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from service.core.radiograph import FileFormat
from service.core.triage import Flag, Priority, ReviewReason
from service.record.randomness import RandomSupply

RANDOM: Final = RandomSupply()


class Mode(StrEnum):
    """Whether the caller is told the result."""

    LIVE = "live"
    SHADOW = "shadow"


class Outcome(StrEnum):
    """What became of a request."""

    EVALUATED = "evaluated"
    NOT_EVALUATED = "not_evaluated"
    REPLAYED = "replayed"
    CONFLICT = "conflict"


ANSWERED: tuple[Outcome, ...] = (Outcome.EVALUATED, Outcome.NOT_EVALUATED)
"""Outcomes that made an answer of their own, which a replay can repeat."""


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Keyed hashes of identifiers (64 hexadecimal digits); None where the upload has none."""

    sop_instance: str | None = None
    study_instance: str | None = None
    accession: str | None = None
    patient: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStamp:
    """Everything that decided the scores, by digest."""

    name: str
    version: str
    digest: str
    weights_digest: str
    threshold_digest: str
    preprocess_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the shadow log.

    Attributes
    ----------
    id
        UUIDv7, the `id` of the answer; see `new_id`.
    received_at
        When the request arrived, with a time zone.
    reason
        Coded reason of `not_evaluated` and `conflict`.
    input_digest
        SHA-256 of the uploaded bytes.
    pixel_digest
        Kind and SHA-256 of the decoded pixels, before window and polarity; None when nothing was
        decoded.
    age_band
        Twenty years wide, see `age_band_of`; None where the upload tells no age.
    probabilities, tta_spread
        By finding; None unless evaluated.
    out_of_distribution
        0..1; how unlike the images that the model learned from; None where nothing measured it.
    cautions
        Codes only.
    seconds
        Duration of each stage, by name.
    answer
        The body as it was sent; a replay repeats it. None for replays and conflicts.
    replay_of
        `id` of the row whose answer was repeated.
    """

    id: str
    received_at: datetime
    mode: Mode
    outcome: Outcome
    file_format: FileFormat
    input_digest: str
    model: ModelStamp
    pixel_digest: str | None = None
    reason: str | None = None
    scanner_alias: str | None = None
    age_band: str | None = None
    pseudonyms: Pseudonyms = Pseudonyms()
    probabilities: Mapping[str, float] | None = None
    tta_spread: Mapping[str, float] | None = None
    out_of_distribution: float | None = None
    priority: Priority | None = None
    flags: tuple[Flag, ...] = ()
    review_reasons: tuple[ReviewReason, ...] = ()
    cautions: tuple[str, ...] = ()
    seconds: Mapping[str, float]
    answer: Mapping[str, object] | None = None
    replay_of: str | None = None

    def __post_init__(self) -> None:
        """Refuse a row that contradicts its own outcome, above all scores without evaluation."""
        is_evaluated = self.outcome is Outcome.EVALUATED
        expected = {
            "a time zone": self.received_at.tzinfo is not None,
            "probabilities iff evaluated": (self.probabilities is not None) == is_evaluated,
            "a priority iff evaluated": (self.priority is not None) == is_evaluated,
            "no flags unless evaluated": is_evaluated or not self.flags,
            "a reason": self.reason is not None or self.outcome is not Outcome.NOT_EVALUATED,
            "an answer iff its own": (self.answer is not None) == (self.outcome in ANSWERED),
            "replay_of iff replayed": (self.replay_of is not None)
            == (self.outcome is Outcome.REPLAYED),
        }
        missing = [what for what, holds in expected.items() if not holds]
        if missing:
            raise ValueError(f"{self.outcome} entry: expected {'; '.join(missing)}")


def age_band_of(age_years: float | None) -> str | None:
    """Age as coarse as a comparison of age groups needs it, so that it identifies nobody."""
    if age_years is None:
        return None
    bands = {18: "0-17", 40: "18-39", 60: "40-59", 80: "60-79"}
    return next((band for limit, band in bands.items() if age_years < limit), "80+")


def new_id(
    clock_ns: Callable[[], int] = time.time_ns, random_bytes: Callable[[int], bytes] = RANDOM.take
) -> str:
    """Make a UUIDv7: sorts by time to the millisecond, and tells nothing else.

    References
    ----------
    RFC 9562, section 5.7.
    """
    milliseconds = clock_ns() // 1_000_000
    random_a, random_b = random_bytes(2), random_bytes(8)
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76 | (int.from_bytes(random_a) & 0xFFF) << 64
    value |= 0b10 << 62 | (int.from_bytes(random_b) & ((1 << 62) - 1))
    return str(uuid.UUID(int=value))

"""Request and response bodies, as the OpenAPI page documents them.

Fields may be added, never renamed. `service.answers` composes what is sent.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.core.findings import Finding
from service.core.triage import Priority, ReviewReason


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelIdentity(_Body):
    """The model that scored."""

    name: str
    version: str
    digest: str = Field(description="SHA-256 of the manifest, which binds every other file.")


class Uncertainty(_Body):
    """How much to trust the probabilities."""

    tta_spread: dict[Finding, float] = Field(
        description="Standard deviation of the probability over the augmented views."
    )
    out_of_distribution: float | None = Field(
        description="Share of real radiographs that are less unusual than this image, 0 to 1; "
        "null where the model has no detector."
    )


class FlagBody(_Body):
    """A finding at or above its threshold."""

    finding: Finding
    probability: float
    threshold: float
    operating_point: str


class TriageBody(_Body):
    """Place in the reading list, and why."""

    priority: Priority
    flags: list[FlagBody]
    review_reasons: list[ReviewReason] = Field(
        description="Why a radiograph without a flag is for review."
    )


class WarningBody(_Body):
    """What to know about this radiograph before its result is believed."""

    code: str
    detail: str


class Seconds(_Body):
    """Time of each stage; null where it was not reached, or for a repeated answer."""

    decode: float | None
    queue: float | None
    inference: float | None
    record: float | None


class Answer(_Body):
    """The answer in live mode. An image that was not evaluated is never called normal."""

    id: str
    mode: Literal["live"]
    status: Literal["evaluated", "not_evaluated"]
    reason: str | None = Field(description="Code, when it was not evaluated.")
    detail: str | None
    model: ModelIdentity
    probabilities: dict[Finding, float] | None
    uncertainty: Uncertainty | None
    triage: TriageBody | None
    warnings: list[WarningBody]
    replay: bool = Field(description="The stored answer to the same SOP instance and bytes.")
    seconds: Seconds
    notice: str


class ShadowAnswer(_Body):
    """The answer in shadow mode: the same fields, whatever the radiograph shows."""

    id: str
    mode: Literal["shadow"]
    notice: str


class Health(_Body):
    """The process is alive."""

    status: Literal["alive"] = "alive"


class Readiness(_Body):
    """Whether a radiograph would be answered now."""

    ready: bool
    reasons: list[str] = Field(description="Codes of what stands in the way.")


class OperatingPointBody(_Body):
    """A threshold and what it was tuned for."""

    finding: Finding
    purpose: str
    target_sensitivity: float
    confidence: float
    positives: int
    threshold: float | None = Field(description="Null: none can be certified; shadow only.")


class IntervalBody(_Body):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class IntendedUseBody(_Body):
    """What is evaluated; anything else is answered `not_evaluated`."""

    modalities: list[str]
    views: list[str]
    min_age_years: float | None
    max_age_years: float | None


class ModelBody(_Body):
    """The serving model, as its manifest describes it."""

    name: str
    version: str
    digest: str
    description: str
    architecture: str
    created: str
    engine: str
    device: str
    findings: list[Finding]
    views: list[str] = Field(description="Test-time augmentation, in order.")
    operating_points: list[OperatingPointBody]
    intended_use: IntendedUseBody
    metrics: dict[str, IntervalBody]
    audit: str = Field(description="Verdict of the confounding audit.")
    mode: Literal["live", "shadow"]
    notice: str

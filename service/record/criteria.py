"""What must hold before a model goes live, written down before it is counted."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.core.findings import Finding

Ratio = Annotated[float, Field(gt=0, lt=1)]


class FindingCriteria(BaseModel):
    """The least that a model must show for one finding."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    finding: Finding
    sensitivity: Ratio
    specificity: Ratio


class Criteria(BaseModel):
    """Registered criteria; the go-live page counts only what came after them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    findings: Annotated[tuple[FindingCriteria, ...], Field(min_length=1)]
    confidence: Ratio = 0.95
    evaluated: Annotated[
        Ratio, Field(description="Least share of radiographs that must be evaluated.")
    ] = 0.9

    def as_body(self) -> dict[str, object]:
        """As a row of the evidence log holds it."""
        return self.model_dump(mode="json")


DEFAULT_CRITERIA = Criteria(
    findings=(
        # WHO target product profile for triage of tuberculosis: 0.90 and 0.70 at the least.
        FindingCriteria(finding=Finding.PNEUMONIA, sensitivity=0.9, specificity=0.8),
        FindingCriteria(finding=Finding.TUBERCULOSIS, sensitivity=0.9, specificity=0.7),
    )
)
"""What `cxr-triage shadow register` proposes where a site names nothing else."""


def usual(rate: Literal["sensitivity", "specificity"]) -> str:
    """What is registered of each finding that a site does not name, as the command takes it."""
    told = {one.finding: one.model_dump()[rate] for one in DEFAULT_CRITERIA.findings}
    return ", ".join(f"{finding}={target}" for finding, target in told.items())

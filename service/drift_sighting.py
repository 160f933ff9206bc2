"""What the drift monitor is told of a radiograph, and what it compares it with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.core.drift import Detector
from service.core.drift_reference import DRIFT_REFERENCE, find_reference
from service.core.drift_scalars import GreySample
from service.core.inference import Scores
from service.core.radiograph import DicomContext, Pixels
from service.drift_state import digest_of_reference

PICTURE_REASONS = ("IMAGE_BLANK", "POLARITY_AMBIGUOUS")
"""A scanner whose pictures are refused for these has changed indeed."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What drift keeps of one radiograph until its turn.

    Attributes
    ----------
    seconds
        Unix time of its receipt.
    sample
        None for an upload that was refused before it was sampled.
    pixels, scores
        None for a radiograph that was not evaluated.
    reason
        Why it was not evaluated.
    reference
        Digest of what goes with the model that looked at it; None goes with any.
    """

    scanner: str
    seconds: float
    sample: GreySample | None = field(repr=False)
    dicom: DicomContext | None = field(repr=False, default=None)
    pixels: Pixels | None = field(repr=False, default=None)
    scores: Scores | None = field(repr=False, default=None)
    reason: str | None = None
    reference: str | None = None

    @property
    def is_of_interest(self) -> bool:
        """Refused for its tags, a picture says nothing of a scanner's chest radiographs."""
        return self.sample is not None and self.reason in (None, *PICTURE_REASONS)

    def goes_with(self, digest: str) -> bool:
        """False while models change places: scores and features of one tell nothing of another."""
        return self.reference in (None, digest)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What scanners are compared with; no detector where the model has no reference."""

    digest: str
    detector: Detector | None


NOTHING = Comparison(digest_of_reference(None), None)


def open_comparison(files: Mapping[str, bytes]) -> Comparison:
    """From the files of a model version.

    Raises
    ------
    ArtifactInvalid
        Its reference is not what a release writes.
    """
    reference = find_reference(files)
    if reference is None:
        return NOTHING
    return Comparison(digest_of_reference(files[DRIFT_REFERENCE]), Detector(reference))

"""That a run has no out-of-distribution detector, and why: `no_detector.json` of a run.

The contract of a version allows it (`out_of_distribution` of the manifest is then null): the
service evaluates every radiograph within the intended use, however unlike a chest it looks.
"""

from dataclasses import dataclass

NO_DETECTOR = "no_detector.json"


@dataclass(frozen=True, slots=True)
class NoDetector:
    """Why none could be fitted or certified, bound to the run and the data."""

    weights_digest: str
    config_digest: str
    split_digest: str
    reason: str

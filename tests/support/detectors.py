"""Out-of-distribution detectors and thresholds for tests, fitted in closed form."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core.ood import Depth, Floats, OodDetector, OodPoint
from tests.support.tiny_network import CHANNELS


@dataclass(frozen=True, slots=True)
class TinyDetector:
    """What a test may want to be different about the detector of a tiny version.

    Attributes
    ----------
    review_threshold, refuse_threshold
        Of the score; above 1 nothing reaches them, at 0 everything does.
    golden_offset
        Added to the golden distances: the detector then belongs to another network.
    """

    review_threshold: float = 0.99
    refuse_threshold: float = 0.999
    golden_offset: float = 0.0

    def fit(self, golden_nd: Floats) -> OodDetector:
        """Around the drawn chests (6, D + 1), which are the golden uploads too."""
        bounds = np.cumsum(CHANNELS)
        depths = tuple(round_depth(part) for part in np.split(golden_nd, bounds, axis=1))
        detector = make_detector(depths)
        golden = detector.distances(golden_nd) + self.golden_offset
        return make_detector(depths, golden=golden)

    def point(self, weights_digest: str) -> OodPoint:
        """The thresholds, for these weights."""
        return make_point(self.review_threshold, self.refuse_threshold, weights_digest)


def round_depth(features_nc: Floats) -> Depth:
    """A depth whose directions are the channels themselves, around one source."""
    center = features_nc.mean(axis=0).astype(np.float32)
    scale = (features_nc.std(axis=0) + 0.1).astype(np.float32)
    channels = center.size
    return Depth(
        center=center,
        scale=scale,
        sources=np.zeros((1, channels), np.float32),
        directions=np.eye(channels, dtype=np.float32),
        remainder=1.0,
    )


def make_detector(
    depths: tuple[Depth, ...], golden: NDArray[np.float64] | None = None
) -> OodDetector:
    """With knots at -3 ... 2 and 95 % below the last one."""
    return OodDetector(
        depths,
        knots=np.linspace(-3, 2, 21),
        top=0.95,
        tail_scale=0.5,
        golden=np.zeros(0) if golden is None else golden,
    )


def make_point(
    review_threshold: float = 0.99,
    refuse_threshold: float = 0.999,
    weights_digest: str = "sha256:" + "0" * 64,
) -> OodPoint:
    """Thresholds as a release would state them."""
    return OodPoint(
        review_threshold=review_threshold,
        refuse_threshold=refuse_threshold,
        review_ratio_target=0.01,
        refuse_ratio_target=0.001,
        confidence=0.95,
        radiographs=1000,
        patients=900,
        reviewed=5,
        refused=0,
        refused_ratio_high=0.0034,
        distance_tolerance=0.1,
        method="drawn for tests",
        weights_digest=weights_digest,
    )

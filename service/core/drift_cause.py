"""A shift of many scalars -> its likely cause in words, and what it would cost.

Axes: K scalars, C known changes.
"""

from dataclasses import dataclass, field

import numpy as np

from service.core.drift_cusum import Numbers
from service.core.drift_reference import Header
from service.core.drift_scalars import Scalar
from service.core.drift_shifts import WORDS as SHIFT_WORDS
from service.core.drift_shifts import parse_shift

LEAST_LIKENESS = 0.6
"""Cosine below which a known change does not explain the shift."""

MOST_STRENGTH = 2.0
"""No forecast beyond twice the change that was replayed."""

NAMED_SCALARS = 3
LEAST_SHIFT = 0.3
"""Standard deviations; less is not worth a word."""

WORDS: dict[Scalar, tuple[str, str]] = {
    Scalar.RAW_MEAN: ("darker", "brighter"),
    Scalar.RAW_SD: ("less contrast", "more contrast"),
    Scalar.RAW_P1: ("deeper blacks", "lifted blacks"),
    Scalar.RAW_P5: ("darker shadows", "brighter shadows"),
    Scalar.RAW_P50: ("darker mid-tones", "brighter mid-tones"),
    Scalar.RAW_P95: ("darker highlights", "brighter highlights"),
    Scalar.RAW_P99: ("duller whites", "brighter whites"),
    Scalar.RAW_ENTROPY: ("fewer grey levels in use", "more grey levels in use"),
    Scalar.RAW_CLIPPED_BLACK: ("less clipped to black", "more clipped to black"),
    Scalar.RAW_CLIPPED_WHITE: ("less clipped to white", "more clipped to white"),
    Scalar.RAW_GREY_LEVELS: ("fewer grey levels", "more grey levels"),
    Scalar.RAW_SHARPNESS: ("softer", "sharper"),
    Scalar.RAW_NOISE: ("less noise", "more noise"),
    Scalar.RAW_BORDER: ("less black border", "more black border"),
    Scalar.RAW_POLARITY: ("like a negative", "lungs darker against the mediastinum"),
    Scalar.RAW_STRIPES: ("fewer stripes", "columns that stand out"),
    Scalar.RAW_BLOCKS: ("fewer 8-pixel blocks", "8-pixel blocks"),
    Scalar.INPUT_MEAN: ("darker to the network", "brighter to the network"),
    Scalar.INPUT_SD: ("flatter to the network", "steeper to the network"),
    Scalar.INPUT_P5: ("darker shadows to the network", "brighter shadows to the network"),
    Scalar.INPUT_P50: ("darker mid-tones to the network", "brighter mid-tones to the network"),
    Scalar.INPUT_P95: ("darker highlights to the network", "brighter highlights to the network"),
    Scalar.INPUT_ENTROPY: ("simpler to the network", "busier to the network"),
    Scalar.INPUT_SHARPNESS: ("softer to the network", "sharper to the network"),
    Scalar.INPUT_NOISE: ("smoother to the network", "noisier to the network"),
    Scalar.SCORE_PNEUMONIA: ("lower pneumonia scores", "higher pneumonia scores"),
    Scalar.SCORE_TUBERCULOSIS: ("lower tuberculosis scores", "higher tuberculosis scores"),
    Scalar.FEATURE_1: ("features moved", "features moved"),
    Scalar.FEATURE_2: ("features moved", "features moved"),
    Scalar.FEATURE_3: ("features moved", "features moved"),
    Scalar.FEATURE_DISTANCE: ("features more usual", "features less usual"),
}
"""When a scalar falls, and when it rises."""

OTHER_PATIENTS = "other patients, the same pictures: prevalence changed"
NOT_KNOWN = "no change that is known"
CAUSES = (*(words for pair in SHIFT_WORDS.values() for words in pair), OTHER_PATIENTS, NOT_KNOWN)
"""All that `Cause.told` may say."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What probably happened.

    Attributes
    ----------
    shift
        The known change that it looks like, `name:amount` as it was replayed; None if like none.
    strength
        In units of that change.
    likeness
        Cosine of the two shifts, 1 for the same direction.
    sensitivity
        Forecast change of the sensitivity at the flag threshold, by finding.
    """

    words: str
    shift: str | None = None
    strength: float = 0.0
    likeness: float = 0.0
    sensitivity: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the known change, or `unknown`: a closed set."""
        return "unknown" if self.shift is None else parse_shift(self.shift).name

    @property
    def told(self) -> str:
        """One of `CAUSES`: the words without those of the scalars, for labels."""
        if self.shift is not None:
            return parse_shift(self.shift).words
        return OTHER_PATIENTS if self.words == OTHER_PATIENTS else NOT_KNOWN


def find_cause(header: Header, signatures: Numbers, moved: Numbers) -> Cause:
    """Name the known change whose signature points where the scalars moved.

    Parameters
    ----------
    moved
        (K,) mean z since the change; 0 where nothing was measured.
    """
    words = describe_moves(header.scalars, moved)
    lengths = np.linalg.norm(signatures, axis=1) if len(signatures) else np.zeros(0)
    if not lengths.size or not np.linalg.norm(moved):
        return Cause(words)
    likeness = signatures @ moved / np.maximum(lengths * np.linalg.norm(moved), 1e-9)
    best = int(likeness.argmax())
    if likeness[best] < LEAST_LIKENESS:
        return Cause(words, likeness=float(likeness[best]))
    strength = float(signatures[best] @ moved / lengths[best] ** 2)
    forecast = {
        finding: float(np.clip(change * min(strength, MOST_STRENGTH), -1, 1))
        for finding, change in header.sensitivity[best].items()
    }
    shift = header.shifts[best]
    told = f"{parse_shift(shift).words} ({words})" if words else parse_shift(shift).words
    return Cause(told, shift, strength, float(likeness[best]), forecast)


def describe_moves(scalars: tuple[Scalar, ...], moved: Numbers) -> str:
    """Words for what moved most, the most first."""
    order = np.argsort(-np.abs(moved))[:NAMED_SCALARS]
    told = [WORDS[scalars[k]][int(moved[k] > 0)] for k in order if abs(moved[k]) >= LEAST_SHIFT]
    return ", ".join(dict.fromkeys(told))

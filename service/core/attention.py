"""Attention map -> a picture of where the evidence for a finding lies.

Axes: H rows, W columns, F findings, h x w feature map.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from service.core.findings import ABNORMAL, FINDINGS, Finding
from service.core.inference import Scores
from service.core.preprocess import PreprocessSpec, crop_box
from service.core.radiograph import Radiograph

MAX_SIDE_PX = 1024
"""Longer side of the picture; the map is at most a few dozen cells wide."""

FULL_COLOUR_LOG_ODDS = 6.0
"""Evidence at which a place is fully coloured: odds of 400 to 1 if all of the picture were so.

The scale is fixed, not stretched to each picture's maximum, so a radiograph without evidence
stays grey.
"""

MAX_OPACITY = 0.6
"""Anatomy stays visible under the strongest colour."""

Colour = NDArray[np.uint8]
"""(H, W, 3), blue, green, red."""


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The radiograph at the size of the picture, its pixels square.

    Attributes
    ----------
    grey
        (H, W), display polarity.
    seen
        Rows and columns of it that the network saw.
    """

    grey: NDArray[np.uint8] = field(repr=False)
    seen: tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Overlay:
    """A finished picture, and the finding whose evidence it shows."""

    finding: Finding
    png: bytes = field(repr=False)


def draw_backdrop(radiograph: Radiograph, spec: PreprocessSpec) -> Backdrop:
    """Shrink the whole radiograph to its true shape, and keep where preprocessing cropped it."""
    rows, columns = radiograph.grey.shape
    row_scale, column_scale = _scales(radiograph)
    size = (max(1, round(columns * column_scale)), max(1, round(rows * row_scale)))
    small = cv2.resize(radiograph.grey, size, interpolation=cv2.INTER_AREA)
    top_bottom, left_right = crop_box(radiograph, spec)
    seen = (_scaled(top_bottom, row_scale, size[1]), _scaled(left_right, column_scale, size[0]))
    return Backdrop((np.asarray(small, np.uint16) >> 8).astype(np.uint8), seen)


def overlay_attention(backdrop: Backdrop, scores: Scores, finding: Finding | None) -> Overlay:
    """Colour what speaks for a finding and against `normal`; a PNG without text or names.

    Parameters
    ----------
    finding
        None takes the abnormal finding with the highest probability.
    """
    chosen = finding or top_abnormal(scores)
    picture = colour_evidence(backdrop, evidence_for(chosen, scores))
    _, encoded = cv2.imencode(".png", picture)
    return Overlay(chosen, encoded.tobytes())


def top_abnormal(scores: Scores) -> Finding:
    """The abnormal finding with the highest probability."""
    return max(ABNORMAL, key=lambda finding: scores.probabilities[FINDINGS.index(finding)])


def evidence_for(finding: Finding, scores: Scores) -> NDArray[np.float32]:
    """(h, w): what each place adds to the log-odds of a finding against `normal`.

    Softmax ignores what all maps share, so a single map says nothing; its difference from the
    map of `normal` does, and averages to the uncalibrated log-odds.
    """
    normal = scores.attention[FINDINGS.index(Finding.NORMAL)]
    return np.asarray(scores.attention[FINDINGS.index(finding)] - normal, np.float32)


def colour_evidence(backdrop: Backdrop, evidence_hw: NDArray[np.float32]) -> Colour:
    """Blend Inferno, whose lightness rises evenly, over the part that the network saw."""
    grey = cv2.cvtColor(backdrop.grey, cv2.COLOR_GRAY2BGR)
    region = grey[backdrop.seen]
    size = (region.shape[1], region.shape[0])
    enlarged = cv2.resize(evidence_hw, size, interpolation=cv2.INTER_CUBIC)
    strength = np.clip(enlarged / FULL_COLOUR_LOG_ODDS, 0.0, 1.0)
    colour = cv2.applyColorMap((strength * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    opacity = (MAX_OPACITY * strength)[..., np.newaxis]
    grey[backdrop.seen] = (region * (1 - opacity) + colour * opacity).round().astype(np.uint8)
    return np.asarray(grey, np.uint8)


def _scales(radiograph: Radiograph) -> tuple[float, float]:
    """Of rows and of columns, neither above 1: the finer side of oblong pixels shrinks."""
    rows, columns = radiograph.grey.shape
    aspect = 1.0 if radiograph.dicom is None else radiograph.dicom.pixel_aspect
    row_scale, column_scale = min(1.0, aspect), min(1.0, 1.0 / aspect)
    shrink = min(1.0, MAX_SIDE_PX / max(rows * row_scale, columns * column_scale))
    return row_scale * shrink, column_scale * shrink


def _scaled(span: slice, scale: float, limit: int) -> slice:
    """The same span in the shrunken picture; never empty."""
    start = min(int(span.start * scale), limit - 1)
    return slice(start, max(start + 1, min(round(span.stop * scale), limit)))

"""Where the lungs are in a preprocessed radiograph, by a template and no learning.

No well-kept package ships the weights of a lung segmentation, so the audit finds the lung fields
by itself: a pair of hand-drawn outlines is placed where the picture is dark inside and brighter
outside (`template`), then each is drawn to the edges nearby (`outline`). Opacities stay inside,
because the shape and not the grey decides. `training.audit.lung_quality` measures how good that is.

Axes: S side of the network's input.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from training.lungs.outline import refine
from training.lungs.template import SIDE_PX, Points, make_relief, place_template

LungMask = NDArray[np.bool_]
"""(S, S), true inside the lungs."""

AREA_RATIOS = (0.08, 0.55)
"""Both lungs together, as a share of the picture."""

SMALLEST_LUNG_RATIO = 0.03
LEAST_BALANCE = 0.45
"""Area of the smaller lung by that of the larger."""

APEX_RISE = 0.12
"""The edge of the clavicle stops an outline below the apex: its top is drawn up by such a share of
its height, tapering to nothing halfway down."""

LEAST_FIT = 0.60
LEAST_EDGE = 0.05
"""Below, lungs are hardly seen; both set on radiographs of the train split."""


@dataclass(frozen=True, slots=True)
class LungField:
    """Both lungs of one radiograph, and what speaks against them.

    Attributes
    ----------
    mask
        (S, S).
    fit
        Of the template.
    edge
        Mean strength of the fainter outline.
    doubts
        Empty where the lungs are plausible.
    """

    mask: LungMask = field(repr=False)
    fit: float
    edge: float
    doubts: tuple[str, ...]

    @property
    def is_plausible(self) -> bool:
        """Images of which this is false take no part in what needs the lungs."""
        return not self.doubts

    @property
    def area_ratio(self) -> float:
        """Share of the picture inside the lungs."""
        return float(self.mask.mean())


def find_lungs(pixels: NDArray[np.float32]) -> LungField:
    """Find both lungs in (S, S) preprocessed pixels, 0..1, in display orientation."""
    relief = make_relief(pixels)
    placement = place_template(relief)
    refined = [refine(relief, outline) for outline in placement.outlines]
    edge = min(strength for _, strength in refined)
    lungs = [_fill(_raise_apex(outline), pixels.shape[0]) for outline, _ in refined]
    mask = np.logical_or(*lungs)
    return LungField(mask, placement.fit, edge, _doubts(lungs, placement.fit, edge))


def _raise_apex(outline: Points) -> Points:
    top, base = outline[:, 1].min(), outline[:, 1].max()
    above_middle = np.clip(1 - 2 * (outline[:, 1] - top) / (base - top), 0, 1)
    raised = outline.copy()
    raised[:, 1] -= APEX_RISE * (base - top) * above_middle**2
    return raised


def _fill(outline: Points, side: int) -> LungMask:
    """The inside of an outline, at the size of the picture."""
    scaled = (outline + 0.5) * side / SIDE_PX - 0.5
    canvas = np.zeros((side, side), np.uint8)
    cv2.fillPoly(canvas, [scaled.round().astype(np.int32)], (1,))
    return canvas.astype(np.bool_)


def _doubts(lungs: list[LungMask], fit: float, edge: float) -> tuple[str, ...]:
    areas = sorted(float(lung.mean()) for lung in lungs)
    overlap = np.logical_and(*lungs).any()
    low, high = AREA_RATIOS
    checks = {
        "area": not low <= sum(areas) <= high or areas[0] < SMALLEST_LUNG_RATIO,
        "balance": areas[0] < LEAST_BALANCE * areas[1],
        "overlap": bool(overlap),
        "fit": fit < LEAST_FIT,
        "edge": edge < LEAST_EDGE,
    }
    return tuple(name for name, failed in checks.items() if failed)

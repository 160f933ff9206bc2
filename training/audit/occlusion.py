"""Parts of a radiograph taken away: lungs, all but the lungs, corners, burned-in marks.

What is taken away is replaced by a smooth continuation of what is left around it, blended at the
border, so that there is neither a black hole nor an edge that tells its shape.
Axes: S side of the network's input.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from training.lungs.fields import LungMask

Picture = NDArray[np.float32]
"""(S, S) preprocessed pixels, 0..1."""

FILL_RATIOS = (1 / 4, 1 / 8, 1 / 16, 1 / 32)
"""Widths of the averages that fill a gap, in sides: the narrowest that still sees enough counts."""

ENOUGH_SEEN = 0.2
"""Share of visible pixels under an average at which it is fully trusted."""

BLEND_RATIO = 1 / 96
MARK_MARGIN_RATIO = 1 / 48
HIDDEN_MARGIN_RATIO, SHOWN_MARGIN_RATIO = 0.04, 0.02
"""Lungs are hidden with a rim, so that their outline goes too, and shown with a narrower one."""

CORNER_RATIO = 0.18
"""Side of a covered corner."""

MARK_CONTRAST, MARK_LEVEL = 0.35, 0.85
MARK_STROKE_RATIO, LARGEST_MARK_RATIO = 1 / 12, 0.12
MARK_ZONE_ROWS, MARK_ZONE_COLUMNS = 0.12, 0.22
"""Letters are bright, thin, small and near the edge of the film."""

RIB_MARGIN_RATIO = 0.06
"""Beside the lungs, bright and thin is a rib."""


def hide_lungs(pixels: Picture, lungs: LungMask) -> Picture:
    """Lungs and a rim around them replaced by the grey of what surrounds them."""
    return fill(pixels, _widen(lungs, HIDDEN_MARGIN_RATIO))


def show_lungs_only(pixels: Picture, lungs: LungMask) -> Picture:
    """All but the lungs replaced by their own mean grey nearby."""
    return fill(pixels, ~_widen(lungs, SHOWN_MARGIN_RATIO))


def cover_corners(pixels: Picture) -> Picture:
    """The four corners replaced."""
    covered = np.zeros(pixels.shape, np.bool_)
    side = round(CORNER_RATIO * pixels.shape[0])
    for rows in (slice(0, side), slice(-side, None)):
        for columns in (slice(0, side), slice(-side, None)):
            covered[rows, columns] = True
    return fill(pixels, covered)


def cover_marks(pixels: Picture, lungs: LungMask) -> Picture:
    """Letters and side marks replaced."""
    return fill(pixels, find_marks(pixels, lungs))


def find_marks(pixels: Picture, lungs: LungMask) -> LungMask:
    """(S, S), true on and just beside small bright strokes near the edge and outside the lungs."""
    side = pixels.shape[0]
    stroke = 2 * round(side * MARK_STROKE_RATIO / 2) + 1
    relief = cv2.morphologyEx(pixels, cv2.MORPH_TOPHAT, np.ones((stroke, stroke), np.uint8))
    elsewhere = _edge_zone(side) & ~_widen(lungs, RIB_MARGIN_RATIO)
    bright = (relief > MARK_CONTRAST) & (pixels > MARK_LEVEL) & elsewhere
    _, labels, facts, _ = cv2.connectedComponentsWithStats(bright.astype(np.uint8))
    sizes = facts[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    small = (sizes <= LARGEST_MARK_RATIO * side).all(axis=1)
    small[0] = False
    return _widen(small[labels], MARK_MARGIN_RATIO)


def fill(pixels: Picture, hidden: LungMask) -> Picture:
    """Replace what is hidden by averages of what is not, blended over a narrow rim inside it."""
    if not hidden.any():
        return pixels
    seen = (~hidden).astype(np.float32)
    average = np.full_like(pixels, float(pixels[~hidden].mean()) if seen.any() else 0.5)
    for ratio in FILL_RATIOS:
        sigma = ratio * pixels.shape[0]
        weight = cv2.GaussianBlur(seen, (0, 0), sigma)
        mean = cv2.GaussianBlur(pixels * seen, (0, 0), sigma) / np.maximum(weight, 1e-6)
        trust = np.clip(weight / ENOUGH_SEEN, 0, 1)
        average = trust * mean + (1 - trust) * average
    depth = cv2.distanceTransform(hidden.astype(np.uint8), cv2.DIST_L2, 3)
    opacity = np.clip(depth / (BLEND_RATIO * pixels.shape[0]), 0, 1)
    return np.asarray(opacity * average + (1 - opacity) * pixels, np.float32)


def _widen(mask: LungMask, ratio: float) -> LungMask:
    reach = max(1, round(ratio * mask.shape[0]))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return cv2.dilate(mask.astype(np.uint8), disc).astype(np.bool_)


def _edge_zone(side: int) -> LungMask:
    zone = np.ones((side, side), np.bool_)
    rows, columns = round(MARK_ZONE_ROWS * side), round(MARK_ZONE_COLUMNS * side)
    zone[rows : side - rows, columns : side - columns] = False
    return zone

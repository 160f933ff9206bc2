"""A pair of lung outlines, placed where the picture is dark inside and brighter just outside.

Axes: C candidate placements, K points of an outline, W side of the search picture; xy in pixels.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, qmc

SIDE_PX = 96
"""W: ribs are already blurred at this size, and the search takes milliseconds."""

POINTS = 32

Points = NDArray[np.float64]
Relief = NDArray[np.float32]
"""(W, W) grey against its surroundings, in local standard deviations."""

RIGHT_OUTLINE = (
    (0.30, -1.0), (0.62, -0.86), (0.80, -0.6), (0.86, -0.3), (0.84, 0.0), (0.84, 0.3),
    (0.90, 0.6), (0.95, 0.80), (0.6, 0.72), (0.25, 0.68), (-0.1, 0.70), (-0.45, 0.80),
    (-0.75, 0.94), (-0.97, 1.0), (-1.0, 0.7), (-0.98, 0.4), (-0.92, 0.1), (-0.82, -0.2),
    (-0.68, -0.5), (-0.45, -0.78), (-0.1, -0.96),
)  # fmt: skip
"""The patient's right lung, drawn by hand: x from the ribs (-1) to the spine (1), y from the apex
(-1) to the costophrenic angle (1)."""

LEFT_OUTLINE = (
    *RIGHT_OUTLINE[:4], (0.80, -0.05), (0.62, 0.25), (0.42, 0.52), (0.34, 0.76), (0.2, 0.74),
    (0.05, 0.72), *RIGHT_OUTLINE[10:],
)  # fmt: skip
"""The same with the notch of the heart."""

USUAL = np.array([0.50, 0.16, 0.75, 0.75, 0.062, 0.335, 0.335])
SPREAD = np.array([0.035, 0.05, 0.09, 0.09, 0.02, 0.045, 0.045])
"""Midline, top, base of each lung, half the gap between them, reach of each from the midline: usual
value and spread in sides of the picture, over 120 radiographs of all collections."""

PRIOR_WEIGHT = 0.10
DARKNESS_WEIGHT = 0.5
SYMMETRY_WEIGHT = 0.01
SYMMETRY_BASE, SYMMETRY_REACH = 0.06, 0.05
USUAL_AREA = 0.18
"""Height times width of a lung: the darkness of a larger one counts for more."""

DEPTHS = (0.3, 0.6, 0.9)
"""Outlines shrunk so far towards their middle sample the inside."""

AIR_LEVEL = 0.12
"""Darker than this, and joined to the left, right or top edge: outside the body."""

FIRST_CANDIDATES, FOLLOWING_CANDIDATES = 320, 48
KEPT_FIRST, KEPT_LATER = 4, 3


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the template fits best, and how well.

    Attributes
    ----------
    outlines
        (2, K, 2), the lung on the left of the picture first.
    fit
        Contrast and darkness less what is unusual; about 1 for a clear radiograph, below 0.5 where
        lungs are hardly seen.
    """

    outlines: Points = field(repr=False)
    fit: float


def place_template(relief: Relief) -> Placement:
    """Search from a fixed set of candidates, then ever closer around the best."""
    candidates = USUAL + 1.3 * SPREAD * _FIRST
    found = _score(relief, candidates, probes_px=(5.0,))
    best = candidates[np.argsort(-found)[:KEPT_FIRST]]
    for reach in (0.6, 0.35, 0.2, 0.1):
        near = [centre + reach * SPREAD * _FOLLOWING for centre in best]
        candidates = np.concatenate([best, *near])
        found = _score(relief, candidates, probes_px=(2.5, 5.0))
        best = candidates[np.argsort(-found)[: KEPT_LATER if reach > 0.3 else 1]]
    return Placement(_outlines(best[:1])[0], float(found.max()))


def make_relief(pixels: NDArray[np.float32]) -> Relief:
    """(S, S) in 0..1 -> smoothed grey against its wide surroundings; air around the body filled."""
    small = cv2.resize(pixels, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    small = _fill_air(np.asarray(small, np.float32))
    # Ribs lie across: more blur along the columns takes them out and keeps the lateral wall.
    smooth = cv2.GaussianBlur(small, (0, 0), sigmaX=1.2, sigmaY=2.6)
    around = cv2.GaussianBlur(small, (0, 0), SIDE_PX / 6)
    variance = cv2.GaussianBlur((small - around) ** 2, (0, 0), SIDE_PX / 5)
    return np.asarray((smooth - around) / np.sqrt(variance + 0.01), np.float32)


def _fill_air(small: NDArray[np.float32]) -> NDArray[np.float32]:
    """Air beside the body is as dark as lungs: give it the grey of soft tissue."""
    dark = (cv2.GaussianBlur(small, (0, 0), 1.5) < AIR_LEVEL).astype(np.uint8)
    _, labels = cv2.connectedComponents(dark, connectivity=4)
    touching = np.unique(np.concatenate([labels[:, 0], labels[:, -1], labels[0]]))
    outside = np.isin(labels, touching[touching > 0]).astype(np.uint8)
    widened = cv2.dilate(outside, np.ones((5, 5), np.uint8))
    tissue = max(0.6, float(np.percentile(small, 60)))
    return np.where(widened > 0, np.float32(tissue), small)


def _score(relief: Relief, placed: Points, probes_px: tuple[float, ...]) -> Points:
    """(C,): contrast across the outline, darkness inside, less what is unusual or lopsided."""
    outlines = _outlines(placed)
    middles = outlines.mean(axis=-2, keepdims=True)
    normals = _normals(outlines, middles)
    steps = [
        np.clip(
            _look(relief, outlines + d * normals) - _look(relief, outlines - d * normals), -1, 1.5
        )
        for d in probes_px
    ]
    contrast = np.mean(steps, axis=(0, 2, 3))
    inside = [depth * _look(relief, middles + depth * (outlines - middles)) for depth in DEPTHS]
    brightness = np.sum(inside, axis=0).mean(axis=-1) / sum(DEPTHS)
    area = (placed[:, 2:4] - placed[:, 1:2]) * (placed[:, 5:7] - placed[:, 4:5]) / USUAL_AREA
    darkness = -(brightness * area).mean(axis=1)
    unusual = (((placed - USUAL) / SPREAD) ** 2).mean(axis=1)
    lopsided = ((placed[:, 2] - placed[:, 3]) / SYMMETRY_BASE) ** 2
    lopsided = lopsided + ((placed[:, 5] - placed[:, 6]) / SYMMETRY_REACH) ** 2
    penalty = PRIOR_WEIGHT * unusual + SYMMETRY_WEIGHT * lopsided
    return np.asarray(contrast + DARKNESS_WEIGHT * darkness - penalty)


def _outlines(placed: Points) -> Points:
    """(C, 7) placements -> (C, 2, K, 2) points."""
    middle, top, gap = placed[:, :1], placed[:, 1:2], placed[:, 4:5]
    sides = np.array([-1.0, 1.0])
    inner, outer = middle + sides * gap, middle + sides * placed[:, 5:7]
    base = placed[:, 2:4]
    half_width, half_height = (inner - outer) / 2, (base - top) / 2
    x = ((inner + outer) / 2)[..., None] + half_width[..., None] * _TEMPLATE[..., 0]
    y = ((base + top) / 2)[..., None] + half_height[..., None] * _TEMPLATE[..., 1]
    return np.asarray(np.stack([x, y], axis=-1) * SIDE_PX)


def _normals(outlines: Points, middles: Points) -> Points:
    """Unit vectors away from the middle, at right angles to the outline."""
    along = np.roll(outlines, -1, axis=-2) - np.roll(outlines, 1, axis=-2)
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    across /= np.linalg.norm(across, axis=-1, keepdims=True) + 1e-6
    outward = np.sign(((outlines - middles) * across).sum(axis=-1).mean(axis=-1))
    return np.asarray(across * outward[..., None, None])


def _look(relief: Relief, points: Points) -> NDArray[np.float32]:
    """Nearest pixel of each point; points outside see the edge."""
    nearest = np.clip((points + 0.5).astype(np.int32), 0, SIDE_PX - 1)
    return np.asarray(relief.ravel()[nearest[..., 1] * SIDE_PX + nearest[..., 0]])


def _resample(outline: tuple[tuple[float, float], ...]) -> Points:
    """K points at equal distances along the closed outline."""
    closed = np.array([*outline, outline[0]])
    travelled = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    stops = np.linspace(0, travelled[-1], POINTS, endpoint=False)
    return np.stack([np.interp(stops, travelled, closed[:, axis]) for axis in (0, 1)], axis=1)


def _spread_out(count: int, start: int) -> Points:
    """Points that fill a bell evenly, the same each time."""
    even = qmc.Halton(len(USUAL), scramble=False).fast_forward(start).random(count)
    return np.asarray(norm.ppf(np.clip(even, 0.02, 0.98)), np.float64)


_TEMPLATE = np.stack([_resample(RIGHT_OUTLINE), _resample(LEFT_OUTLINE)])
_FIRST = _spread_out(FIRST_CANDIDATES, start=20)
_FOLLOWING = _spread_out(FOLLOWING_CANDIDATES, start=20 + FIRST_CANDIDATES)

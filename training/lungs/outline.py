"""One placed outline -> the outline that the picture shows: a shortest closed path around it.

Axes: A rays from the middle of the lung, R distances along each; xy in pixels.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from training.lungs.template import Points, Relief

RAYS = 48
REACH = np.linspace(0.7, 1.4, 36)
"""Distances that are tried, as shares of the template's."""

EDGE_PX = 3
"""Steps on either side over which inside and outside are averaged."""

STEP_COST = 0.03
"""Of moving one distance in or out from one ray to the next: keeps the outline smooth."""

TEMPLATE_COST, TEMPLATE_REACH = 0.05, 0.15
"""Of leaving the template by such a share of its distance."""


def refine(relief: Relief, outline: Points) -> tuple[Points, float]:
    """The outline (A, 2) with the strongest edges from dark to bright, and their mean strength."""
    middle = (outline.max(axis=0) + outline.min(axis=0)) / 2
    angles = np.linspace(-np.pi, np.pi, RAYS, endpoint=False)
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    distances = _distances(outline - middle, angles)[:, None] * REACH
    edges = _edges(relief, middle + rays[:, None] * distances[..., None])
    leaving = TEMPLATE_COST * ((REACH - 1) / TEMPLATE_REACH) ** 2
    chosen = shortest_round(leaving - edges, STEP_COST)
    each = np.arange(RAYS)
    path = middle + rays * distances[each, chosen][:, None]
    return path, float(edges[each, chosen].mean())


def shortest_round(costs_ar: NDArray[np.floating], step_cost: float) -> NDArray[np.intp]:
    """Index per ray of the cheapest path that moves by at most one between neighbours.

    The rays are gone round twice and the middle round is kept, so that the path closes.
    """
    twice = np.concatenate([costs_ar, costs_ar])
    total, came_from = twice[0], []
    for row in twice[1:]:
        inward = np.concatenate([[np.inf], total[:-1] + step_cost])
        outward = np.concatenate([total[1:] + step_cost, [np.inf]])
        ways = np.stack([inward, total, outward])
        came_from.append(ways.argmin(axis=0) - 1)
        total = ways.min(axis=0) + row
    place = int(total.argmin())
    path = [place]
    for move in reversed(came_from):
        place += int(move[place])
        path.append(place)
    half, rays = len(costs_ar) // 2, len(costs_ar)
    return np.roll(np.array(path[::-1][half : half + rays], np.intp), half)


def _distances(spokes: Points, angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """The template's distance from its middle in each direction."""
    directions = np.arctan2(spokes[:, 1], spokes[:, 0])
    order = np.argsort(directions)
    lengths, around = np.hypot(*spokes.T)[order], directions[order]
    repeated = np.concatenate([around - 2 * np.pi, around, around + 2 * np.pi])
    return np.asarray(np.interp(angles, repeated, np.tile(lengths, 3)))


def _edges(relief: Relief, points_ar: Points) -> NDArray[np.float64]:
    """(A, R): mean just outside less mean just inside."""
    x, y = points_ar[..., 0].astype(np.float32), points_ar[..., 1].astype(np.float32)
    along = cv2.remap(relief, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    padded = np.pad(along.astype(np.float64), ((0, 0), (EDGE_PX, EDGE_PX)), "edge")
    summed = np.pad(padded.cumsum(axis=1), ((0, 0), (1, 0)))
    count = len(REACH)
    before, here, after = (summed[:, start : start + count] for start in (0, EDGE_PX, 2 * EDGE_PX))
    return np.asarray(np.clip((after - 2 * here + before) / EDGE_PX, -0.5, 1.0))

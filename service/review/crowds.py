"""Where scores lie among a million others, to the last one, without sorting the million.

The line is cut into half a million cells. How many lie in the cells below is a sum;
only those that share a cell with another one in question are sorted and compared.
N scores, M others, C cells.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

MOST_CELLS: Final = 1 << 19
"""More are slower, as their counts leave the processor's cache; fewer, as more scores share one."""

LEAST_REACH: Final = 1e-300
"""Scores closer together share one cell: the number of cells over their distance is no number."""


@dataclass(frozen=True, slots=True)
class Places:
    """(N,) How many others lie below each score, and how many lie below it or tie with it."""

    below: Counts
    up_to: Counts


@dataclass(frozen=True, slots=True)
class _Side:
    """Scores with the cell of each (N,), and how many each cell holds (C,)."""

    scores: Floats
    cells: Counts
    counts: Counts


def find_places(scores: Floats, others: Floats) -> tuple[Places, Places]:
    """Place each score among the others, and each of the others among the scores.

    Neither side is empty.
    """
    one, other = _share_out(scores, others)
    return _place(one, other), _place(other, one)


def widest_gap(first: Floats, second: Floats) -> float:
    """Largest distance between two empirical distributions (Kolmogorov and Smirnov).

    At the end of each cell the distance is known. Inside a cell it grows by no more than the share
    of the scores that the cell holds, so few cells are worth a look.
    """
    sides = _share_out(first, second)
    sizes = len(first), len(second)
    up_to = [np.cumsum(side.counts) / size for side, size in zip(sides, sizes, strict=True)]
    ends = up_to[0] - up_to[1]
    starts = np.concatenate([[0.0], ends[:-1]])
    widest = float(np.abs(ends).max())
    held = [side.counts / size for side, size in zip(sides, sizes, strict=True)]
    is_open = np.maximum(starts + held[0], held[1] - starts) > widest
    inside = np.concatenate([side.scores[is_open[side.cells]] for side in sides])
    if not len(inside):
        return widest
    at = [find_places(inside, side)[0].up_to / len(side) for side in (first, second)]
    return float(np.abs(at[0] - at[1]).max(initial=widest))


def _place(asked: _Side, crowd: _Side) -> Places:
    below = _before(crowd.counts)[asked.cells]
    up_to = below.copy()
    is_asked = asked.counts > 0
    contested = np.flatnonzero((crowd.counts > 0)[asked.cells])
    near = np.sort(crowd.scores[is_asked[crowd.cells]])
    far = _before(np.where(is_asked, 0, crowd.counts))[asked.cells[contested]]
    below[contested] = far + np.searchsorted(near, asked.scores[contested], side="left")
    up_to[contested] = far + np.searchsorted(near, asked.scores[contested], side="right")
    return Places(below, up_to)


def _share_out(first: Floats, second: Floats) -> tuple[_Side, _Side]:
    """Both sides on one line of cells; a higher score has no lower cell."""
    low, high = min(first.min(), second.min()), max(first.max(), second.max())
    cells = min(MOST_CELLS, len(first) + len(second))
    scale = (cells - 1) / (high - low) if high - low > LEAST_REACH else 0.0
    placed = [_cells_of(scores - low, scale) for scores in (first, second)]
    counts = [np.bincount(own, minlength=cells) for own in placed]
    return _Side(first, placed[0], counts[0]), _Side(second, placed[1], counts[1])


def _cells_of(distances: Floats, scale: float) -> Counts:
    distances *= scale  # in place: most of the time goes into memory that is touched once
    return distances.astype(np.int64)


def _before(counts: Counts) -> Counts:
    """(C,) Sum of what lies in the cells before each."""
    return np.asarray(np.cumsum(counts) - counts, np.int64)

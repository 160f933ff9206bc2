"""Shared by both readers: limits on size, and colour or 8-bit levels -> full-scale grey.

Axes: H rows, W columns.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from service.core.errors import ImageTooLarge, ImageTooSmall, UnsupportedPixelFormat
from service.core.radiograph import Grey

COLOUR_STEP = 16
"""Channels of one pixel that differ by more (of 255) are colour; JPEG chroma noise stays below."""

FULL_8_BIT = 255

COLOUR_AREA_RATIO = 0.01
"""Above this share of coloured pixels the picture is not a radiograph with a coloured mark."""


def check_size(rows: int, columns: int, *, max_pixels: int, min_side_px: int) -> None:
    """Refuse by size alone, before any pixel is decoded."""
    if rows * columns > max_pixels:
        raise ImageTooLarge(f"{rows} x {columns} pixels; at most {max_pixels} are accepted")
    if min(rows, columns) < min_side_px:
        raise ImageTooSmall(f"{rows} x {columns} pixels; each side needs {min_side_px} or more")


def widen(levels: NDArray[np.uint8]) -> Grey:
    """8-bit grey to full-scale 16 bit, white to white."""
    return np.multiply(levels, np.uint16(257), dtype=np.uint16)


Levels = TypeVar("Levels", np.uint8, np.uint16)


def grey_from_colour(colour: NDArray[Levels]) -> NDArray[Levels]:
    """(H, W, 3) whose channels are equal, but for small marks -> (H, W).

    Of 16 bits only those count that the picture makes use of: one of 12 is no less coloured.

    Raises
    ------
    UnsupportedPixelFormat
        More than `COLOUR_AREA_RATIO` of the pixels are coloured.
    """
    full_scale = FULL_8_BIT
    if colour.dtype == np.uint16:
        full_scale = max((1 << int(colour.max()).bit_length()) - 1, FULL_8_BIT)
    spread = colour.max(axis=2) - colour.min(axis=2)
    coloured_ratio = float(np.mean(spread > COLOUR_STEP * full_scale // FULL_8_BIT))
    if coloured_ratio > COLOUR_AREA_RATIO:
        raise UnsupportedPixelFormat(f"{coloured_ratio:.0%} of the pixels are coloured, not grey")
    return np.ascontiguousarray(colour[..., 1])

"""Which pixels show no anatomy: those of Pixel Padding Value, and those under a display shutter.

Axes: H rows, W columns.
"""

import numpy as np
from numpy.typing import NDArray

from service.core.dicom_format import PixelFormat, Words
from service.core.dicom_lut import look_up
from service.core.dicom_tags import Tags
from service.core.radiograph import Caution

Padding = NDArray[np.bool_] | None
"""(H, W), true where nothing was recorded; None if there is no such pixel."""

SMALLEST_OPENING_RATIO = 0.25
"""Of the picture: a shutter that leaves less open contradicts it rather than frames it."""

_EDGES = (
    "ShutterUpperHorizontalEdge",
    "ShutterLowerHorizontalEdge",
    "ShutterLeftVerticalEdge",
    "ShutterRightVerticalEdge",
)


def find_padding(
    words: Words, values: NDArray[np.int64], pixel_format: PixelFormat, tags: Tags
) -> tuple[Padding, tuple[Caution, ...]]:
    """Collect both; a shutter that is not a plausible rectangle is left open, with a caution."""
    padding = _find_padding_value(words, values, pixel_format, tags)
    shapes = {shape.upper() for shape in tags.texts("ShutterShape")}
    if not shapes:
        return padding, ()
    opening = _read_opening(pixel_format, tags) if shapes == {"RECTANGULAR"} else None
    if opening is None:
        return padding, (Caution("SHUTTER_IGNORED", "a display shutter that is no rectangle"),)
    covered = np.ones(words.shape, np.bool_)
    covered[opening] = False
    if padding is not None:
        covered |= padding
    return (covered if covered.any() else None), ()


def _read_opening(pixel_format: PixelFormat, tags: Tags) -> tuple[slice, slice] | None:
    """Rows and columns that a rectangular shutter leaves open (PS3.3 C.7.6.11, counted from 1)."""
    edges = [tags.integer(keyword) for keyword in _EDGES]
    if any(edge is None for edge in edges):
        return None
    upper, lower, left, right = (edge or 0 for edge in edges)
    rows = slice(max(upper - 1, 0), min(max(lower, 0), pixel_format.rows))
    columns = slice(max(left - 1, 0), min(max(right, 0), pixel_format.columns))
    height, width = rows.stop - rows.start, columns.stop - columns.start
    least = SMALLEST_OPENING_RATIO * pixel_format.rows * pixel_format.columns
    return (rows, columns) if min(height, width) > 0 and height * width >= least else None


def _find_padding_value(
    words: Words, values: NDArray[np.int64], pixel_format: PixelFormat, tags: Tags
) -> Padding:
    """Pixels within Pixel Padding Value .. Range Limit (PS3.3 C.7.5.1.1.2).

    The limits are stored values. One that Bits Stored cannot express is compared with the whole
    word, where some senders put it beside the bits of the picture.
    """
    first = tags.integer("PixelPaddingValue")
    if first is None:
        return None
    last = tags.integer("PixelPaddingRangeLimit")
    limits = sorted((first, first if last is None else last))
    word_range = 1 << pixel_format.bits_allocated
    # The sign of the limits may be another than that of the pixels: what counts are the bits.
    if pixel_format.signed:
        limits = sorted(
            limit - word_range if limit >= word_range // 2 else limit for limit in limits
        )
    elif limits[1] < 0:
        limits = [limit % word_range for limit in limits]
    is_expressible = values.min() <= limits[0] and limits[1] <= values.max()
    compared = values if is_expressible else np.arange(word_range)
    is_padding = (compared >= limits[0]) & (compared <= limits[1])
    if not is_padding.any():
        return None
    padding = look_up(words, is_padding.astype(np.uint16)).astype(np.bool_)
    return padding if padding.any() else None

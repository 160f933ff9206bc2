"""Stored word -> brightness, for every word at once: modality, VOI and polarity in one table.

A word has 16 bits at most, so the whole grey pipeline is computed in float64 for each of its 65536
values and then looked up: exact, and without a float copy of the picture. pydicom 3.0.2 has
functions for the same steps; they raise on widths below 1, know no fallback, and leave polarity to
the caller.

References
----------
DICOM PS3.3 C.7.6.3.1 (stored words), C.11.1 (modality), C.11.2 (VOI), C.11.6 (polarity).
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from service.core.dicom_format import PixelFormat, Words
from service.core.dicom_tags import Tags
from service.core.errors import DamagedFile
from service.core.radiograph import WHITE, Caution, Grey

Levels = NDArray[np.float64]
"""One value for each entry of a table over stored words."""

Histogram = Callable[[], NDArray[np.int64]]

FALLBACK_PERCENTILES = (0.1, 99.9)
"""Range shown when no window is usable: outside the 0.5 and 99.5 of `PreprocessSpec`, so that the
stretch downstream sees the same picture, and narrow enough that a hot pixel does not darken it for
a human."""

LARGEST_LEVEL = 1e100
"""Modality units stay far below; larger ones would overflow in the windows."""

_BLOCK_ROWS = 64
"""Rows counted at once; the copy that numpy makes of them stays in the cache."""


@dataclass(frozen=True, slots=True)
class Brightness:
    """0 black to 1 white for each stored word, before polarity; and which VOI rule made it."""

    levels: Levels
    window_source: str
    cautions: tuple[Caution, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """VOI window (PS3.3 C.11.2.1.2)."""

    center: float
    width: float
    function: str

    @property
    def is_valid(self) -> bool:
        """LINEAR needs a width of 1, the others of more than 0."""
        return self.width >= 1 if self.function == "LINEAR" else self.width > 0


def stored_values(pixel_format: PixelFormat) -> NDArray[np.int64]:
    """Value of every possible word: unused bits dropped, sign extended."""
    words = np.arange(1 << pixel_format.bits_allocated, dtype=np.int64)
    values = (words >> pixel_format.shift) & ((1 << pixel_format.bits_stored) - 1)
    if pixel_format.signed:
        sign = 1 << (pixel_format.bits_stored - 1)
        values = np.where(values >= sign, values - 2 * sign, values)
    return values


def apply_modality(values: NDArray[np.int64], tags: Tags) -> Levels:
    """Stored values to modality units.

    Raises
    ------
    DamagedFile
        A Modality LUT or rescale that is there and cannot be read: skipping it could turn black
        into white.
    """
    lut = tags.first_item("ModalityLUTSequence")
    if lut is not None:
        return _look_up(values.astype(np.float64), lut)[0]
    slope, intercept = tags.number("RescaleSlope"), tags.number("RescaleIntercept")
    for keyword in ("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"):
        if tags.is_unreadable(keyword):
            raise DamagedFile(f"{keyword} is there and cannot be read")
    with np.errstate(over="ignore"):
        levels = values.astype(np.float64) * (1.0 if slope is None else slope) + (intercept or 0.0)
    if not np.abs(levels).max() < LARGEST_LEVEL:
        raise DamagedFile("RescaleSlope or RescaleIntercept is beyond all measure")
    return levels


def apply_voi(levels: Levels, tags: Tags, histogram: Histogram) -> Brightness:
    """Modality units to brightness: VOI LUT, else the first window, else percentiles.

    Parameters
    ----------
    histogram
        Counts how often each word occurs, without padding; only the fallback asks for it.

    Raises
    ------
    DamagedFile
        A VOI LUT that is there and cannot be read.
    """
    lut = tags.first_item("VOILUTSequence")
    if tags.is_unreadable("VOILUTSequence"):
        raise DamagedFile("VOILUTSequence is there and cannot be read")
    if lut is not None:
        output, full_scale = _look_up(levels, lut)
        return Brightness(output / full_scale, "VOI_LUT")
    window = read_window(tags)
    if window is not None and window.is_valid:
        with np.errstate(over="ignore"):  # a width of next to nothing is a threshold
            return Brightness(_apply_window(levels, window), f"WINDOW_{window.function}")
    cautions: tuple[Caution, ...] = ()
    if (
        window is not None
        or tags.is_unreadable("WindowCenter")
        or tags.is_unreadable("WindowWidth")
    ):
        cautions = (Caution("WINDOW_INVALID", "unusable window; percentiles are shown instead"),)
    return Brightness(_apply_percentiles(levels, histogram()), "PERCENTILES", cautions)


def read_window(tags: Tags) -> Window | None:
    """First window, or None; an unknown VOI LUT Function reads as LINEAR, its default."""
    center, width = tags.number("WindowCenter"), tags.number("WindowWidth")
    if center is None or width is None:
        return None
    function = tags.text("VOILUTFunction").upper()
    known = function in ("LINEAR_EXACT", "SIGMOID")
    return Window(center, width, function if known else "LINEAR")


def look_up(words: Words, table: NDArray[np.uint16]) -> Grey:
    """Replace each word by its entry; the table has one for every possible word."""
    return np.asarray(cv2.LUT(words, table), np.uint16)


def to_table(brightness: Levels, *, inverted: bool) -> NDArray[np.uint16]:
    """Brightness as full-scale 16 bit."""
    shown = 1.0 - brightness if inverted else brightness
    return np.rint(np.clip(shown, 0.0, 1.0) * WHITE).astype(np.uint16)


def count_words(words: Words, padding: NDArray[np.bool_] | None, size: int) -> NDArray[np.int64]:
    """Occurrences of each word outside the padding."""
    histogram = np.zeros(size, np.int64)
    for row in range(0, words.shape[0], _BLOCK_ROWS):
        block = words[row : row + _BLOCK_ROWS]
        kept = block if padding is None else block[~padding[row : row + _BLOCK_ROWS]]
        histogram += np.bincount(kept.ravel(), minlength=size)
    return histogram


def _apply_window(levels: Levels, window: Window) -> Levels:
    """PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT)."""
    center, width = window.center, window.width
    if window.function == "SIGMOID":
        exponent = np.clip(-4.0 * (levels - center) / width, -700.0, 700.0)
        sigmoid: Levels = 1.0 / (1.0 + np.exp(exponent))
        return sigmoid
    if window.function == "LINEAR_EXACT":
        return np.clip((levels - center) / width + 0.5, 0.0, 1.0)
    if width == 1:
        return np.where(levels > center - 0.5, 1.0, 0.0)
    return np.clip((levels - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def _apply_percentiles(levels: Levels, histogram: NDArray[np.int64]) -> Levels:
    """Stretch the range that nearly all pixels lie in."""
    present = np.flatnonzero(histogram)
    if present.size == 0:
        return np.zeros_like(levels)
    order = present[np.argsort(levels[present])]
    ranks = np.cumsum(histogram[order])
    wanted = np.array(FALLBACK_PERCENTILES) / 100.0 * ranks[-1]
    black, white = (float(levels[order[place]]) for place in np.searchsorted(ranks, wanted))
    if white <= black:
        black, white = float(levels[order[0]]), float(levels[order[-1]])
    if white <= black:
        return np.zeros_like(levels)
    return np.clip((levels - black) / (white - black), 0.0, 1.0)


def _look_up(levels: Levels, lut: Tags) -> tuple[Levels, float]:
    """Output of a LUT (PS3.3 C.11.1.1.1, C.11.2.1.1) and its full scale."""
    entries, first, full_scale = _read_lut(lut)
    if first > 0x7FFF and levels.min() < 0:
        first -= 0x10000
    places = np.clip(np.rint(levels) - first, 0, entries.size - 1).astype(np.int64)
    return entries[places], full_scale


def read_entries(
    octets: bytes, width: int, *, little: bool
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Entries of 1 or 2 bytes; of those packed two to a word the first is in its low byte."""
    words = np.frombuffer(octets[: len(octets) // 2 * 2], "<u2" if little else ">u2")
    if width == 2:
        return words.astype(np.uint16)
    last = np.frombuffer(octets[words.nbytes :], np.uint8)
    return np.concatenate((words.astype("<u2").view(np.uint8), last))


def _read_lut(lut: Tags) -> tuple[Levels, int, float]:
    """Entries, first value mapped, full scale; 0 entries in the descriptor mean 65536."""
    descriptor = [int(number) for number in lut.numbers("LUTDescriptor")]
    if len(descriptor) != 3:
        raise DamagedFile("LUTDescriptor does not hold three numbers")
    count = descriptor[0] & 0xFFFF or 0x10000
    octets = lut.octets("LUTData")
    if octets is None:
        entries = np.array(lut.numbers("LUTData"), np.float64) % 0x10000
    else:
        # Entries of 8 bits may be packed two to a word, or take a word each.
        width = 1 if len(octets) < 2 * count else 2
        entries = read_entries(octets, width, little=lut.little_endian).astype(np.float64)
    if entries.size < count:
        raise DamagedFile(f"LUTData holds {entries.size} entries; its descriptor says {count}")
    entries = entries[:count]
    nominal = float((1 << min(max(descriptor[2] & 0xFFFF, 1), 16)) - 1)
    return entries, descriptor[1], max(nominal, float(entries.max()))

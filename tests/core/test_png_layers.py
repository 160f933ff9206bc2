"""A PNG of several samples a pixel keeps all 16 bits of each."""

import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray

from service.core.errors import DamagedFile, UnsupportedPixelFormat
from service.core.intake import read_radiograph
from tests.support.radiographs import chest_levels
from tests.support.raster_catalogue import MAGIC, chunk

LEVELS = chest_levels(96, 80, bits=16)
TWELVE_BITS = chest_levels(96, 80)
OPAQUE = np.full_like(LEVELS, 65535)
GREY, COLOUR, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 4, 6


def wide_png(
    layers: NDArray[np.uint16], colour: int, *chunks: tuple[bytes, bytes], rows: int = 96
) -> bytes:
    """A 16-bit PNG, unfiltered, with further chunks before its pixels."""
    height, width = layers.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in layers[:rows])
    parts = ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return MAGIC + b"".join(chunk(kind, payload) for kind, payload in parts)


@pytest.mark.parametrize("levels", [LEVELS, TWELVE_BITS], ids=["16 bit", "12 bit"])
@pytest.mark.parametrize("colour", [COLOUR, GREY_ALPHA, COLOUR_ALPHA])
def test_no_bit_is_lost(levels: NDArray[np.uint16], colour: int) -> None:
    greys = [levels] * (1 if colour == GREY_ALPHA else 3)
    alpha = [OPAQUE] if colour != COLOUR else []

    read = read_radiograph(wide_png(np.dstack([*greys, *alpha]), colour))

    assert read.padding is None
    np.testing.assert_array_equal(read.grey, levels)


@pytest.mark.parametrize("colour", [GREY_ALPHA, COLOUR_ALPHA])
def test_transparent_pixels_are_padding(colour: int) -> None:
    alpha = np.where(np.arange(96)[:, None] < 9, 0, OPAQUE).astype(np.uint16)
    greys = [LEVELS] * (1 if colour == GREY_ALPHA else 3)

    read = read_radiograph(wide_png(np.dstack([*greys, alpha]), colour))

    np.testing.assert_array_equal(read.padding, alpha == 0)
    assert not read.grey[:9].any()
    np.testing.assert_array_equal(read.grey[9:], LEVELS[9:])


def test_pixels_that_are_nearly_transparent_are_seen() -> None:
    alpha = np.full_like(LEVELS, 255)

    assert read_radiograph(wide_png(np.dstack([LEVELS, alpha]), GREY_ALPHA)).padding is None


def test_transparent_colour_is_compared_in_all_its_bits() -> None:
    levels = np.maximum(TWELVE_BITS, 2)
    levels[:9] = 1
    clear = (b"tRNS", b"\0\1" * 3)

    read = read_radiograph(wide_png(np.dstack([levels] * 3), COLOUR, clear))

    np.testing.assert_array_equal(read.padding, levels == 1)


@pytest.mark.parametrize("levels", [LEVELS, TWELVE_BITS], ids=["16 bit", "12 bit"])
def test_coloured_picture_is_refused(levels: NDArray[np.uint16]) -> None:
    coloured = levels[..., None] // np.array([1, 2, 4], np.uint16)

    with pytest.raises(UnsupportedPixelFormat, match="coloured"):
        read_radiograph(wide_png(coloured, COLOUR))


def test_picture_that_lacks_rows_is_damaged() -> None:
    with pytest.raises(DamagedFile):
        read_radiograph(wide_png(np.dstack([LEVELS] * 3), COLOUR, rows=48))

"""Chunks beside the pixels of a PNG: texts, colour profiles, the palette."""

import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from service.core.errors import DamagedFile
from service.core.intake import read_radiograph
from tests.support.radiographs import chest_levels, picture_bytes, png_bytes
from tests.support.raster_catalogue import chunk

LEVELS = chest_levels(96, 80, bits=16)
LEVELS_8 = chest_levels(96, 80, bits=8).astype(np.uint8)
GREY_RGB = np.dstack([LEVELS_8] * 3)
WIDE = LEVELS_8.astype(np.uint16) * 257
EXIF_TURNED = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
LONG_TEXT = zlib.compress(bytes(3_000_000))


@pytest.mark.parametrize(
    "note",
    [
        chunk(b"zTXt", b"comment\0\0" + LONG_TEXT),
        chunk(b"iTXt", b"comment\0\1\0\0\0" + LONG_TEXT),
        chunk(b"iCCP", b"profile\0\0" + LONG_TEXT),
    ],
    ids=["text", "international text", "colour profile"],
)
@pytest.mark.parametrize("levels", [LEVELS, GREY_RGB], ids=["grey", "colour"])
@pytest.mark.parametrize("at", [33, -12], ids=["before the pixels", "behind them"])
def test_long_text_beside_the_pixels_of_a_png_is_passed_over(
    note: bytes, levels: Any, at: int
) -> None:
    body = png_bytes(levels)

    read = read_radiograph(body[:at] + note + body[at:])

    np.testing.assert_array_equal(read.grey, read_radiograph(body).grey)


def test_many_colour_profiles_are_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        PngImagePlugin, "_safe_zlib_decompress", lambda _packed: pytest.fail("inflated")
    )
    body = png_bytes(GREY_RGB)

    read = read_radiograph(body[:33] + chunk(b"iCCP", b"profile\0\0" + LONG_TEXT) * 9 + body[33:])

    np.testing.assert_array_equal(read.grey, WIDE)


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt"])
def test_orientation_in_a_text_of_a_png_is_followed(kind: bytes) -> None:
    told = f"\nexif\n{len(EXIF_TURNED):8}\n{EXIF_TURNED.hex()}\n".encode()
    content = told if kind == b"tEXt" else b"\0" + zlib.compress(told)
    note = chunk(kind, b"Raw profile type exif\0" + content)
    body = png_bytes(LEVELS_8)

    read = read_radiograph(body[:33] + note + body[33:])

    assert "ROTATED_BY_EXIF" in {caution.code for caution in read.cautions}
    np.testing.assert_array_equal(read.grey, np.rot90(WIDE, 3))


@pytest.mark.parametrize("colours", [0, 100])
def test_png_whose_palette_lacks_colours_is_damaged_and_not_scored(colours: int) -> None:
    picture = Image.fromarray(LEVELS_8)
    picture.putpalette([level for level in range(256) for _ in range(3)])
    body = picture_bytes(picture, "PNG")
    start, end = body.index(b"PLTE") - 4, body.index(b"PLTE") + 4 + 768 + 4
    ramp = bytes(level for level in range(colours) for _ in range(3))

    shorter = body[:start] + (chunk(b"PLTE", ramp) if colours else b"") + body[end:]

    np.testing.assert_array_equal(read_radiograph(body).grey, WIDE)
    with pytest.raises(DamagedFile):
        read_radiograph(shorter)

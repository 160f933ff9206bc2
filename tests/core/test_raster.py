"""PNG and JPEG: every mode is read right or refused with a code."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from service.core.errors import (
    DamagedFile,
    ImageTooLarge,
    IntakeError,
    NotEvaluated,
    UnsupportedPixelFormat,
)
from service.core.intake import read_radiograph
from tests.support.radiographs import chest_levels, jpeg_bytes, picture_bytes, png_bytes
from tests.support.raster_catalogue import chunk, raw_png

LEVELS = chest_levels(96, 80, bits=16)
LEVELS_8 = chest_levels(96, 80, bits=8).astype(np.uint8)
GREY_RGB = np.dstack([LEVELS_8] * 3)
COLOURED = GREY_RGB // np.array([1, 2, 4], np.uint8)
WIDE = LEVELS_8.astype(np.uint16) * 257
PICTURE = Image.fromarray(LEVELS_8)
EXIF_TURNED = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"


def codes(body: bytes) -> set[str]:
    """Codes of the cautions."""
    return {caution.code for caution in read_radiograph(body).cautions}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (png_bytes(LEVELS), LEVELS),
        (png_bytes(LEVELS_8), WIDE),
        (png_bytes(GREY_RGB), WIDE),
        (picture_bytes(PICTURE.convert("P"), "PNG"), WIDE),
        (picture_bytes(PICTURE.convert("LA"), "PNG"), WIDE),
        (picture_bytes(PICTURE.convert("RGBA"), "PNG"), WIDE),
    ],
    ids=["16 bit", "8 bit", "grey RGB", "palette", "grey and alpha", "RGBA"],
)
def test_lossless_picture_is_read_exactly(body: bytes, expected: Any) -> None:
    assert np.array_equal(read_radiograph(body).grey, expected)


@pytest.mark.parametrize("levels", [LEVELS_8, GREY_RGB])
def test_jpeg_is_near_and_warned(levels: Any) -> None:
    read = read_radiograph(jpeg_bytes(levels))

    assert np.corrcoef(read.grey.ravel(), WIDE.ravel())[0, 1] > 0.999
    assert {caution.code for caution in read.cautions} == {"NO_METADATA", "LOSSY_COMPRESSION"}


def test_every_picture_says_that_its_scope_is_unchecked() -> None:
    assert codes(png_bytes(LEVELS_8)) == {"NO_METADATA"}


def test_transparent_pixels_are_padding() -> None:
    rgba = np.dstack([GREY_RGB, np.full_like(LEVELS_8, 255)])
    rgba[:9, :, 3] = 0

    read = read_radiograph(png_bytes(rgba))

    assert read.padding is not None
    assert read.padding.sum() == 9 * 80
    assert not read.grey[read.padding].any()


@pytest.mark.parametrize("levels", [LEVELS, LEVELS_8], ids=["16 bit", "8 bit"])
def test_level_that_is_called_transparent_is_padding(levels: Any) -> None:
    white = np.iinfo(levels.dtype).max
    framed = np.pad(np.minimum(levels, white - 1), 9, constant_values=white)

    read = read_radiograph(png_bytes(framed, transparency=int(white)))

    assert np.array_equal(read.padding, framed == white)  # type: ignore[arg-type] # None is unequal
    assert not read.grey[framed == white].any()
    assert {caution.code for caution in read.cautions} == {"NO_METADATA", "TRANSPARENT_PIXELS"}


def test_exif_orientation_is_followed_and_warned() -> None:
    read = read_radiograph(jpeg_bytes(LEVELS_8, exif=EXIF_TURNED))

    assert read.grey.shape == (80, 96)
    assert "ROTATED_BY_EXIF" in {caution.code for caution in read.cautions}


@pytest.mark.parametrize("orientation", range(10))
def test_picture_is_turned_as_pillow_would(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    alpha = np.where(np.arange(96)[:, None] < 9, 0, 255)
    stored = Image.fromarray(np.dstack([LEVELS_8, np.broadcast_to(alpha, (96, 80))]).astype("u1"))

    read = read_radiograph(picture_bytes(stored, "PNG", exif=exif))

    stored.getexif()[0x0112] = orientation
    grey, opacity = np.moveaxis(np.asarray(ImageOps.exif_transpose(stored)), 2, 0)
    assert read.padding is not None
    assert np.array_equal(read.padding, opacity == 0)
    assert np.array_equal(read.grey, np.where(opacity == 0, 0, grey.astype(np.uint16) * 257))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (png_bytes(COLOURED), UnsupportedPixelFormat),
        (jpeg_bytes(COLOURED), UnsupportedPixelFormat),
        (picture_bytes(PICTURE.convert("1"), "PNG"), UnsupportedPixelFormat),
        (picture_bytes(PICTURE.convert("CMYK"), "JPEG"), UnsupportedPixelFormat),
        (png_bytes(LEVELS)[:-3000], DamagedFile),
        (png_bytes(LEVELS)[:40], DamagedFile),
        (jpeg_bytes(LEVELS_8)[:-800], DamagedFile),
        (jpeg_bytes(LEVELS_8)[:60], DamagedFile),
        (b"\x89PNG\r\n\x1a\n" + bytes(300), DamagedFile),
        (b"\xff\xd8\xff" + bytes(300), DamagedFile),
    ],
    ids=[
        "colour PNG",
        "colour JPEG",
        "1 bit",
        "CMYK",
        "cut PNG",
        "PNG cut in its header",
        "cut JPEG",
        "JPEG cut in its header",
        "only the magic of PNG",
        "only the magic of JPEG",
    ],
)
def test_what_is_no_grey_picture_is_refused(body: bytes, error: type[IntakeError]) -> None:
    with pytest.raises(error):
        read_radiograph(body)


def test_small_coloured_mark_is_tolerated() -> None:
    marked = GREY_RGB.copy()
    marked[:5, :5] = (255, 0, 0)

    assert read_radiograph(png_bytes(marked)).grey.shape == (96, 80)


def test_animated_png_is_not_evaluated() -> None:
    body = picture_bytes(PICTURE, "PNG", save_all=True, append_images=[PICTURE.rotate(90)])

    with pytest.raises(NotEvaluated) as refused:
        read_radiograph(body)

    assert refused.value.reason == "MULTI_FRAME"


@pytest.mark.parametrize("body", [png_bytes(GREY_RGB), jpeg_bytes(LEVELS_8)])
def test_no_limit_of_pillow_counts(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", LEVELS.size // 3)

    assert read_radiograph(body).grey.shape == (96, 80)


@pytest.mark.parametrize("orientation", [0, 1, 9, 300])
def test_picture_that_is_not_turned_is_not_called_so(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation

    assert codes(picture_bytes(PICTURE, "PNG", exif=exif)) == {"NO_METADATA"}


def test_png_bomb_is_refused_by_its_header() -> None:
    with pytest.raises(ImageTooLarge):
        read_radiograph(raw_png(65535, 65535, bytes(99)))


def _png_with_rows(levels: Any, rows: int) -> bytes:
    """A well-formed file, checksums and all, whose pixel stream ends after some rows."""
    height, width = levels.shape
    lines = b"".join(b"\0" + levels[row].astype(">u2").tobytes() for row in range(rows))
    return raw_png(width, height, lines)


@pytest.mark.parametrize("rows", [0, 1, 48, 95])
def test_picture_whose_rows_end_early_is_damaged_and_not_scored(rows: int) -> None:
    with pytest.raises(DamagedFile, match="png data"):
        read_radiograph(_png_with_rows(LEVELS, rows))


def test_picture_with_a_black_last_row_is_whole() -> None:
    levels = LEVELS.copy()
    levels[-8:] = 0

    assert np.array_equal(read_radiograph(_png_with_rows(levels, 96)).grey, levels)


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA", "P"])
@pytest.mark.parametrize("cut", [0, 16])
def test_png_whose_pixels_do_not_match_their_sum_is_damaged_and_not_scored(
    mode: str, cut: int
) -> None:
    body = picture_bytes(PICTURE.convert(mode), "PNG")
    in_sum = len(body) - 14

    with pytest.raises(DamagedFile, match="sum"):
        read_radiograph(body[:in_sum] + bytes([body[in_sum] ^ 1]) + body[in_sum + 1 : -cut or None])


def test_png_of_more_chunks_than_any_encoder_writes_is_refused_before_each_is_looked_at() -> None:
    body = png_bytes(LEVELS_8)

    with pytest.raises(DamagedFile, match="more than 100000 chunks"):
        read_radiograph(body[:33] + chunk(b"abCd", b"") * 100_000 + body[33:])


@pytest.mark.parametrize("exif", [b"", b"Exif", b"no exif at all"])
def test_sound_png_whose_exif_cannot_be_read_is_read_as_it_is_stored(exif: bytes) -> None:
    body = png_bytes(LEVELS_8)

    read = read_radiograph(body[:33] + chunk(b"eXIf", exif) + body[33:])

    assert np.array_equal(read.grey, WIDE)
    assert {caution.code for caution in read.cautions} == {"NO_METADATA"}

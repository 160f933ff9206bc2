"""PNG, JPEG and bytes that are neither, and the right response: one row a case."""

import struct
import zlib

import numpy as np
from PIL import Image

from tests.support.cases import EVALUATED, LEVELS, Case, upload
from tests.support.radiographs import dicom_bytes, jpeg_bytes, picture_bytes, png_bytes
from tests.support.scope_catalogue import GREY_RGB, LEVELS_8

LEVELS_16 = LEVELS << np.uint16(4)
NO_TAGS, LOST = "NO_METADATA", "LOSSY_COMPRESSION"
PICTURE = Image.fromarray(LEVELS_8)
COLOURED = GREY_RGB // np.array([1, 2, 4], np.uint8)
SEE_THROUGH = np.dstack([GREY_RGB, np.where(np.arange(96)[:, None] < 9, 0, LEVELS_8 * 0 + 255)])
SQUARE_TURNED = np.rot90(np.pad(LEVELS_16, ((0, 0), (8, 8)), mode="edge"))[:, 8:-8]
UPSIDE_DOWN = np.ascontiguousarray(LEVELS_8[::-1, ::-1])
EXIF_TURNED_HALF = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x03\0\0\0\0\0\0\0"
MAGIC = b"\x89PNG\r\n\x1a\n"
WHOLE = png_bytes(LEVELS_8)


def chunk(kind: bytes, payload: bytes) -> bytes:
    """One PNG chunk with its check sum."""
    check = struct.pack(">I", zlib.crc32(kind + payload))
    return struct.pack(">I", len(payload)) + kind + payload + check


def raw_png(width: int, height: int, lines: bytes, *, interlaced: bool = False) -> bytes:
    """A 16-bit grey PNG whose header need not tell the truth."""
    header = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, int(interlaced))
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return MAGIC + b"".join(chunk(kind, payload) for kind, payload in parts)


def few_bits(depth: int, *, colour: int = 0) -> bytes:
    """The exposure in the highest bits of each level, as grey or as places in a palette."""
    levels = LEVELS_8 >> np.uint8(8 - depth)
    bits = np.unpackbits(levels[..., None], axis=2)[..., 8 - depth :]
    lines = np.packbits(bits.reshape(96, -1), axis=1)
    header = struct.pack(">IIBBBBB", 80, 96, depth, colour, 0, 0, 0)
    palette = b"".join(bytes([255 * grey // (2**depth - 1)] * 3) for grey in range(2**depth))
    pixels = zlib.compress(b"".join(b"\0" + line.tobytes() for line in lines))
    parts = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", pixels), (b"IEND", b""))
    return MAGIC + b"".join(chunk(*part) for part in parts if colour == 3 or part[0] != b"PLTE")


def adam7_lines() -> bytes:
    """The exposure as the seven passes of an interlaced PNG."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
              (1, 0, 2, 1))  # fmt: skip
    return b"".join(
        b"\0" + line.astype(">u2").tobytes()
        for top, left, down, right in passes
        for line in LEVELS_16[top::down, left::right]
    )


def rows_of(count: int) -> bytes:
    """The first rows of the exposure, unfiltered."""
    return b"".join(b"\0" + line.astype(">u2").tobytes() for line in LEVELS_16[:count])


RASTER: dict[str, Case] = {
    "PNG, 16 bit": upload(EVALUATED, png_bytes(LEVELS_16), NO_TAGS),
    "PNG, 8 bit": upload(EVALUATED, png_bytes(LEVELS_8), NO_TAGS),
    "PNG, palette": upload(EVALUATED, picture_bytes(PICTURE.convert("P"), "PNG"), NO_TAGS),
    "PNG, RGB grey": upload(EVALUATED, png_bytes(GREY_RGB), NO_TAGS),
    "PNG, opaque alpha": upload(EVALUATED, picture_bytes(PICTURE.convert("LA"), "PNG"), NO_TAGS),
    "PNG, transparent rows": upload(
        EVALUATED, png_bytes(SEE_THROUGH), NO_TAGS, "TRANSPARENT_PIXELS", likeness=0.8
    ),
    "PNG, interlaced": upload(EVALUATED, raw_png(80, 96, adam7_lines(), interlaced=True), NO_TAGS),
    "JPEG, grey": upload(EVALUATED, jpeg_bytes(LEVELS_8), NO_TAGS, LOST, likeness=0.998),
    "JPEG, RGB grey": upload(EVALUATED, jpeg_bytes(GREY_RGB), NO_TAGS, LOST, likeness=0.998),
    "JPEG, progressive": upload(
        EVALUATED, jpeg_bytes(LEVELS_8, progressive=True), NO_TAGS, LOST, likeness=0.998
    ),
    "JPEG turned by EXIF": upload(
        EVALUATED,
        jpeg_bytes(UPSIDE_DOWN, exif=EXIF_TURNED_HALF),
        NO_TAGS,
        LOST,
        "ROTATED_BY_EXIF",
        likeness=0.998,
    ),
    "PNG that lies on its side": upload(
        EVALUATED, png_bytes(SQUARE_TURNED), NO_TAGS, "ORIENTATION_SUSPECT", likeness=-1.0
    ),
    "PNG, 1 bit": upload("UNSUPPORTED_PIXEL_FORMAT", picture_bytes(PICTURE.convert("1"), "PNG")),
    "PNG, palette of 1 bit": upload("UNSUPPORTED_PIXEL_FORMAT", few_bits(1, colour=3)),
    "PNG, palette of 4 bits": upload("UNSUPPORTED_PIXEL_FORMAT", few_bits(4, colour=3)),
    "PNG, 2 bits": upload("UNSUPPORTED_PIXEL_FORMAT", few_bits(2)),
    "PNG, 4 bits": upload("UNSUPPORTED_PIXEL_FORMAT", few_bits(4)),
    "PNG, unknown critical chunk": upload(
        "UNSUPPORTED_PIXEL_FORMAT", WHOLE[:33] + chunk(b"ABCD", b"x") + WHOLE[33:]
    ),
    "PNG, unknown critical chunk behind the pixels": upload(
        "UNSUPPORTED_PIXEL_FORMAT", WHOLE[:-12] + chunk(b"ABCD", b"x") + WHOLE[-12:]
    ),
    "PNG of Apple's own": upload(
        "UNSUPPORTED_PIXEL_FORMAT", MAGIC + chunk(b"CgBI", bytes(4)) + WHOLE[8:]
    ),
    "PNG, unknown ancillary chunk": upload(
        EVALUATED, WHOLE[:33] + chunk(b"abCd", b"x") + WHOLE[33:], NO_TAGS
    ),
    "PNG whose header comes late": upload(
        "DAMAGED_FILE", MAGIC + chunk(b"tEXt", b"a\0b") + WHOLE[8:]
    ),
    "PNG, coloured": upload("UNSUPPORTED_PIXEL_FORMAT", png_bytes(COLOURED)),
    "PNG, animated": upload(
        "MULTI_FRAME",
        picture_bytes(PICTURE, "PNG", save_all=True, append_images=[PICTURE.rotate(90)]),
    ),
    "PNG, constant": upload("IMAGE_BLANK", png_bytes(LEVELS_8 * 0 + 90)),
    "PNG, a strip": upload("NOT_A_CHEST", png_bytes(np.tile(LEVELS_8, (1, 5)))),
    "PNG cut": upload("DAMAGED_FILE", png_bytes(LEVELS_16)[:-3000]),
    "PNG that lacks rows": upload("DAMAGED_FILE", raw_png(80, 96, rows_of(48))),
    "PNG bomb": upload("IMAGE_TOO_LARGE", raw_png(65535, 65535, bytes(99))),
    "PNG of 134 MB": upload("IMAGE_TOO_LARGE", raw_png(8192, 8192, bytes(99))),
    "JPEG, coloured": upload("UNSUPPORTED_PIXEL_FORMAT", jpeg_bytes(COLOURED)),
    "JPEG, CMYK": upload(
        "UNSUPPORTED_PIXEL_FORMAT", picture_bytes(PICTURE.convert("CMYK"), "JPEG")
    ),
    "JPEG cut": upload("DAMAGED_FILE", jpeg_bytes(LEVELS_8)[:-800]),
    "JPEG cut, its end marker put back": upload(
        "DAMAGED_FILE", jpeg_bytes(LEVELS_8)[:-800] + b"\xff\xd9"
    ),
    "JPEG, progressive, cut, its end marker put back": upload(
        "DAMAGED_FILE", jpeg_bytes(LEVELS_8, progressive=True)[:-800] + b"\xff\xd9"
    ),
    "nothing": upload("EMPTY_UPLOAD", b""),
    "text": upload("UNKNOWN_FORMAT", b"not a radiograph"),
    "PDF file": upload("UNKNOWN_FORMAT", b"%PDF-1.7" + bytes(500)),
    "random bytes": upload("UNKNOWN_FORMAT", np.random.default_rng(5).bytes(4000)),
    "random bytes that parse as DICOM when forced": upload("UNKNOWN_FORMAT", b"\x08\0" * 400),
    "DICOM, only its magic word": upload("NOT_AN_IMAGE", bytes(128) + b"DICM"),
    "PNG inside a DICOM preamble": upload("DAMAGED_FILE", MAGIC + dicom_bytes(LEVELS)[8:]),
}

"""A plain PNG is decoded quickly, to the very same levels; anything else is left to the checks."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from service.core import png
from service.core.png import Levels, decode_plain

END = b"\0\0\0\0IEND\xaeB`\x82"
LEVELS = np.random.default_rng(1).integers(0, 256, (80, 96), np.uint8)


def encode(levels: NDArray[np.generic], **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "PNG", **options)
    return buffer.getvalue()


def decode(body: bytes, *, max_pixels: int = 10**6, min_side_px: int = 1) -> Levels | None:
    return decode_plain(body, max_pixels=max_pixels, min_side_px=min_side_px)


def with_chunk(kind: bytes, content: bytes, *, damage: int = 0) -> bytes:
    """A whole PNG with one chunk more, before its pixels."""
    crc = zlib.crc32(kind + content) ^ damage
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)
    body = encode(LEVELS)
    return body[:33] + chunk + body[33:]


def cut_stream(rows: int) -> bytes:
    """A PNG whose compressed stream ends validly after some rows."""
    body = encode(LEVELS)
    raw = b"".join(b"\0" + row.tobytes() for row in LEVELS[:rows])
    packed = zlib.compress(raw)
    crc = zlib.crc32(b"IDAT" + packed)
    length = struct.pack(">I", len(packed))
    return body[:33] + length + b"IDAT" + packed + struct.pack(">I", crc) + END


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([np.uint8, np.uint16])),
    st.integers(0, 2**32 - 1),
    st.integers(0, 9),
)
def test_plain_png_gives_the_levels_that_were_written(
    form: tuple[int, int, type[np.uint8 | np.uint16]], seed: int, compress_level: int
) -> None:
    rows, columns, kind = form
    generator = np.random.default_rng(seed)
    levels = generator.integers(0, np.iinfo(kind).max, (rows, columns), kind, endpoint=True)

    read = decode(encode(levels, compress_level=compress_level))

    assert read is not None
    assert read.dtype == levels.dtype
    np.testing.assert_array_equal(read, levels)


@pytest.mark.parametrize(
    "body",
    [
        encode(np.dstack([LEVELS] * 3)),
        encode(LEVELS > 100),
        encode(LEVELS, transparency=3),
        encode(LEVELS, save_all=True, append_images=[Image.fromarray(LEVELS.T.copy())]),
        encode(LEVELS, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"),
        with_chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0"),
        with_chunk(b"tRNS", b"\0\x03"),
        encode(LEVELS)[:24] + b"\x08\0\0\0\1" + encode(LEVELS)[29:],
    ],
    ids=[
        "colour", "one bit", "transparent", "animated", "exif", "exif chunk", "tRNS", "interlaced",
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_the_checks(body: bytes) -> None:
    assert decode(body) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        encode(LEVELS)[:20],
        encode(LEVELS)[:-12],
        encode(LEVELS)[:-40],
        cut_stream(rows=40),
        with_chunk(b"pHYs", b"\0" * 9, damage=1),
        encode(LEVELS)[:29] + b"\0\0\0\0" + encode(LEVELS)[33:],
        encode(LEVELS).replace(b"IDAT", b"IDAX"),
    ],
    ids=[
        "empty", "header cut", "no end", "pixels cut", "stream ends early", "damage beside pixels",
        "header damaged", "no pixels",
    ],
)  # fmt: skip
def test_what_is_damaged_is_left_to_the_checks(body: bytes) -> None:
    assert decode(body) is None


@given(st.integers(8, len(encode(LEVELS)) - 1), st.integers(0, 7))
def test_flipped_bit_anywhere_is_left_to_the_checks(place: int, bit: int) -> None:
    body = bytearray(encode(LEVELS))
    body[place] ^= 1 << bit

    assert decode(bytes(body)) is None


def test_pixels_in_several_chunks_are_read_as_one_stream() -> None:
    body = encode(LEVELS)
    (length,) = struct.unpack_from(">I", body, 33)
    half = length // 2
    parts = [b"IDAT" + body[41 : 41 + half], b"IDAT" + body[41 + half : 41 + length]]
    chunks = [struct.pack(">I", len(p) - 4) + p + struct.pack(">I", zlib.crc32(p)) for p in parts]

    read = decode(body[:33] + b"".join(chunks) + END)

    assert read is not None
    np.testing.assert_array_equal(read, LEVELS)


def test_what_lies_behind_the_end_is_neither_pixels_nor_looked_at() -> None:
    body = encode(LEVELS)
    (length,) = struct.unpack_from(">I", body, 33)
    half = length // 2
    parts = [b"IDAT" + body[41 : 41 + half], b"IDAT" + body[41 + half : 41 + length]]
    first, rest = (
        struct.pack(">I", len(p) - 4) + p + struct.pack(">I", zlib.crc32(p)) for p in parts
    )

    assert decode(body[:33] + first + END + rest) is None
    assert [kind for kind, _, _ in png._chunks(body + bytes(99_000))] == [b"IHDR", b"IDAT", b"IEND"]


def test_picture_of_very_many_pixels_is_not_inflated_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(png, "MOST_STORED_BYTES", LEVELS.size)
    monkeypatch.setattr(png, "store_rows", lambda *_: pytest.fail("inflated at once"))

    read = decode(encode(LEVELS))

    assert read is not None
    np.testing.assert_array_equal(read, LEVELS)


def test_chunk_that_changes_no_pixel_is_plain() -> None:
    read = decode(with_chunk(b"pHYs", struct.pack(">IIB", 2835, 2835, 1)))

    assert read is not None
    np.testing.assert_array_equal(read, LEVELS)


@pytest.mark.parametrize("limits", [{"max_pixels": LEVELS.size - 1}, {"min_side_px": 81}])
def test_size_out_of_bounds_is_left_to_the_checks(limits: dict[str, int]) -> None:
    assert decode(encode(LEVELS), **limits) is None

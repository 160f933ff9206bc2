"""A PNG written anew without compression shows the same pixels, and no damage gets lost."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from service.core import png_stored
from service.core.png_stored import store_rows

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ROWS, COLUMNS = 90, 1200
LEVELS = np.random.default_rng(2).integers(0, 4, (ROWS, COLUMNS), np.uint8)


def chunk(kind: bytes, content: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + crc


def encode(stream: bytes, *, pieces: int = 1) -> bytes:
    """Rows of 8-bit grey, their compressed stream in so many chunks."""
    header = struct.pack(">IIBBBBB", COLUMNS, ROWS, 8, 0, 0, 0, 0)
    step = -(-len(stream) // pieces)
    data = [chunk(b"IDAT", stream[i : i + step]) for i in range(0, len(stream), step)]
    return b"".join((SIGNATURE, chunk(b"IHDR", header), *data, chunk(b"IEND", b"")))


def filtered(rows: int = ROWS) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in LEVELS[:rows])


def test_rows_of_several_blocks_and_chunks_show_the_same_pixels() -> None:
    body = encode(zlib.compress(filtered()), pieces=7)

    stored = store_rows(body, COLUMNS, ROWS)

    assert len(stored) > png_stored.BLOCK_BYTES
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(stored))), LEVELS)


@given(st.data())
def test_no_flipped_bit_passes_for_pixels(data: st.DataObject) -> None:
    body = encode(zlib.compress(filtered()), pieces=3)
    place = data.draw(st.integers(41, len(body) - 17))
    length_bytes = {p + i for p in _chunk_starts(body) for i in range(8)}
    damaged = bytearray(body)
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))

    if place not in length_bytes:  # where chunks lie is checked before
        with pytest.raises((RuntimeError, ValueError)):
            store_rows(bytes(damaged), COLUMNS, ROWS)


def _chunk_starts(body: bytes) -> list[int]:
    starts, start = [], len(SIGNATURE)
    while start < len(body):
        starts.append(start)
        (length,) = struct.unpack_from(">I", body, start)
        start += 12 + length
    return starts


@pytest.mark.parametrize(
    "stream",
    [
        zlib.compress(filtered(ROWS - 1)),
        zlib.compress(filtered() + b"\0"),
        zlib.compress(filtered())[:-4] + b"\0\0\0\0",
        zlib.compress(filtered())[:-200],
    ],
    ids=["a row less", "a byte more", "wrong sum", "cut"],
)
def test_stream_that_does_not_hold_these_rows_is_refused(stream: bytes) -> None:
    with pytest.raises((RuntimeError, ValueError)):
        store_rows(encode(stream), COLUMNS, ROWS)


def test_very_large_picture_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png_stored, "MOST_BYTES", len(filtered()) - 1)
    body = encode(zlib.compress(filtered()))

    assert store_rows(body, COLUMNS, ROWS) is body

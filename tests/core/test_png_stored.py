"""A PNG written anew without compression shows the same pixels, and no damage gets lost."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from service.core.png_stored import BLOCK_BYTES, store_rows

ROWS, COLUMNS = 90, 1200
LEVELS = np.random.default_rng(2).integers(0, 4, (ROWS, COLUMNS), np.uint8)
IHDR = b"IHDR" + struct.pack(">IIBBBBB", COLUMNS, ROWS, 8, 0, 0, 0, 0)
HEADER = b"\x89PNG\r\n\x1a\n\0\0\0\r" + IHDR + struct.pack(">I", zlib.crc32(IHDR))
ROW_BYTES = ROWS * (1 + COLUMNS)


def filtered(rows: int = ROWS) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in LEVELS[:rows])


def test_rows_of_several_blocks_show_the_same_pixels() -> None:
    stored = store_rows(HEADER, zlib.compress(filtered()), ROW_BYTES)

    assert len(stored) > BLOCK_BYTES
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(stored))), LEVELS)


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
        store_rows(HEADER, stream, ROW_BYTES)

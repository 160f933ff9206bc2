"""A PNG whose rows lie in stored blocks: libdeflate inflates, and libpng only undoes the filters.

Most of what libpng takes is zlib's time. libdeflate takes half as long for the same stream and
checks the same sum, but needs all of it at once; a fifth of the time is saved
(`python -m bench.steps`).

References
----------
PNG specification (W3C, third edition), 5.3 chunk layout; RFC 1950, 2.2; RFC 1951, 3.2.4 stored.
"""

import struct
from collections.abc import Iterator

import imagecodecs

BLOCK_BYTES = 65_535
STORED_STREAM = b"\x78\x01"
LENGTH_BYTES, KIND_BYTES = 4, 4
UNKNOWN_SUM = bytes(4)
END = b"\0\0\0\0IEND\xaeB`\x82"


def store_rows(header: bytes, stream: bytes, row_bytes: int) -> bytearray:
    """A PNG that is not compressed.

    Parameters
    ----------
    header
        Signature and IHDR.
    stream
        Of all IDAT chunks.
    row_bytes
        All rows, each with the byte that names its filter.

    Raises
    ------
    RuntimeError, ValueError
        The stream is broken, its sum does not match, or it holds more rows or fewer.
    """
    rows = imagecodecs.deflate_decode(stream, out=row_bytes)
    if len(rows) != row_bytes:
        raise ValueError(f"{len(rows)} bytes of rows; expected {row_bytes}")
    sum_of_rows = struct.pack(">I", imagecodecs.deflate_adler32(rows))
    packed = [b"IDAT", STORED_STREAM, *_blocks(rows), sum_of_rows]
    length = sum(map(len, packed))
    # One copy of all: a picture of a megabyte is read from the cache for its sum.
    stored = bytearray().join(
        [header, struct.pack(">I", length - KIND_BYTES), *packed, UNKNOWN_SUM, END]
    )
    start = len(header) + LENGTH_BYTES
    content = memoryview(stored)[start : start + length]
    crc = imagecodecs.deflate_crc32(content)  # type: ignore[arg-type] # any buffer, says its code
    struct.pack_into(">I", stored, start + length, crc)
    return stored


def _blocks(rows: bytes | bytearray) -> Iterator[bytes | memoryview]:
    view = memoryview(rows)
    for start in range(0, len(view), BLOCK_BYTES):
        block = view[start : start + BLOCK_BYTES]
        is_last = start + BLOCK_BYTES >= len(view)
        yield struct.pack("<BHH", is_last, len(block), len(block) ^ 0xFFFF)
        yield block

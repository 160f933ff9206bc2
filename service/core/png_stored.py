"""A PNG whose rows lie in stored blocks: libdeflate inflates, and libpng only undoes the filters.

Most of what libpng takes is zlib's time. libdeflate takes half as long for the same stream and
checks the same sum, but needs all of it at once; an eighth of the time is saved
(`python -m bench.steps`).

References
----------
PNG specification (W3C, third edition), 5.3 chunk layout; RFC 1950, 2.2; RFC 1951, 3.2.4 stored.
"""

import struct
import zlib
from collections.abc import Iterator

import imagecodecs

BLOCK_BYTES = 65_535
STORED_STREAM = b"\x78\x01"


def store_rows(header: bytes, stream: bytes, row_bytes: int) -> bytes:
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
    rows = bytes(imagecodecs.deflate_decode(stream, out=row_bytes))
    if len(rows) != row_bytes:
        raise ValueError(f"{len(rows)} bytes of rows; expected {row_bytes}")
    sum_of_rows = struct.pack(">I", zlib.adler32(rows))
    packed = b"".join((b"IDAT", STORED_STREAM, *_blocks(rows), sum_of_rows))
    return b"".join((header, *_chunk(packed), *_chunk(b"IEND")))


def _blocks(rows: bytes) -> Iterator[bytes | memoryview]:
    view = memoryview(rows)
    for start in range(0, len(view), BLOCK_BYTES):
        block = view[start : start + BLOCK_BYTES]
        is_last = start + BLOCK_BYTES >= len(view)
        yield struct.pack("<BHH", is_last, len(block), len(block) ^ 0xFFFF)
        yield block


def _chunk(content: bytes) -> tuple[bytes, bytes, bytes]:
    """Length, kind with content, sum."""
    crc = imagecodecs.deflate_crc32(content)
    return struct.pack(">I", len(content) - 4), content, struct.pack(">I", crc)

"""Whether a PNG holds all the rows that its header promises.

Pillow leaves rows black, without a word, when the compressed stream ends early but validly; a
radiograph with half of its lungs missing would then be scored.

References
----------
PNG specification (W3C, third edition), 5.3 chunk layout, 8.1 interlaced passes, 11.2 IHDR and IDAT.
"""

import struct
import zlib
from collections.abc import Iterator

SIGNATURE_BYTES = 8
CHUNK_OVERHEAD_BYTES = 12
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel by colour type."""

ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""First column, first row, column step and row step of each interlaced pass."""

PIECE_BYTES = 1 << 16


def holds_all_rows(body: bytes) -> bool:
    """Inflate the pixel data in small pieces and count: constant memory, nothing is kept.

    A broken stream counts as incomplete.
    """
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body[16:29])
    bits = depth * CHANNELS.get(colour, 4)
    if interlace:
        expected = sum(
            _pass_bytes(-(-(width - x) // dx), -(-(height - y) // dy), bits)
            for x, y, dx, dy in ADAM7
        )
    else:
        expected = _pass_bytes(width, height, bits)
    try:
        return _inflated_bytes(body, expected) >= expected
    except zlib.error:
        return False


def _pass_bytes(width: int, height: int, bits: int) -> int:
    """Rows with one filter byte each; an empty pass has none."""
    return height * (1 + -(-width * bits // 8)) if width > 0 and height > 0 else 0


def _inflated_bytes(body: bytes, enough: int) -> int:
    stream, count = zlib.decompressobj(), 0
    for chunk in _pixel_chunks(body):
        rest = chunk
        while rest and count < enough and not stream.eof:
            count += len(stream.decompress(rest, PIECE_BYTES))
            rest = stream.unconsumed_tail
    while count < enough and not stream.eof and (more := stream.decompress(b"", PIECE_BYTES)):
        count += len(more)
    return count


def _pixel_chunks(body: bytes) -> Iterator[bytes]:
    start = SIGNATURE_BYTES
    while start + CHUNK_OVERHEAD_BYTES <= len(body):
        (length,) = struct.unpack_from(">I", body, start)
        if body[start + 4 : start + 8] == b"IDAT":
            yield body[start + 8 : start + 8 + length]
        start += CHUNK_OVERHEAD_BYTES + length

"""Whether a PNG holds all the rows that its header promises; and the plain ones, decoded quickly.

Pillow leaves rows black, without a word, when the compressed stream ends early but validly; a
radiograph with half of its lungs missing would then be scored.

Nearly every upload is plain: one grey channel, not interlaced, nothing that changes a pixel. These
are decoded straight into an array, and libpng refuses a stream that ends early by itself. Whatever
is not plain, or is damaged in any way, is left to Pillow and its checks.

References
----------
PNG specification (W3C, third edition), 5.3 and 5.4 chunks, 8.1 interlaced passes, 11.2 IHDR, IDAT.
"""

import struct
import zlib
from collections.abc import Iterator

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from service.core.errors import DamagedFile, UnsupportedPixelFormat
from service.core.png_stored import store_rows

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIGNATURE_BYTES = 8
HEADER_END = 29
HEADER_BYTES = 33
"""Signature and IHDR with its sum."""

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

PLAIN_CHUNKS = frozenset((b"IHDR", b"IDAT", b"IEND", b"pHYs", b"tIME", b"sBIT", b"bKGD", b"gAMA"))
"""Those that leave pixels as they are."""

CRITICAL_CHUNKS = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND"))

NOTES = frozenset((b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"sRGB", b"cHRM", b"sPLT", b"hIST"))
"""Texts and colour profiles: grey levels are read as they are stored, whatever these say."""

TELL_ORIENTATION = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
"""Keywords of the texts that may turn a picture."""

MOST_CHUNKS = 100_000
"""More than the largest upload has where its pixels come by the kilobyte; each takes microseconds
of the interpreter, and so of every other thread."""

MOST_STORED_BYTES = 32_000_000
"""Of rows that are inflated at once: of more there would be too many copies."""

Levels = NDArray[np.uint8 | np.uint16]


def decode_plain(body: bytes, *, max_pixels: int, min_side_px: int) -> Levels | None:
    """(H, W) 8 or 16 bit, as stored; None for all that is not plain, whole and of a fit size."""
    if not body.startswith(SIGNATURE) or len(body) < HEADER_END or not _is_plain(body):
        return None
    width, height, depth = struct.unpack(">IIB", body[16:25])
    if min(width, height) < min_side_px or width * height > max_pixels:
        return None
    try:
        levels: Levels = imagecodecs.png_decode(_stored(body, height * (1 + width * depth // 8)))
    except (RuntimeError, ValueError):
        return None
    expected = np.uint8 if depth == 8 else np.uint16
    return levels if levels.dtype == expected and levels.shape == (height, width) else None


def _stored(body: bytes, row_bytes: int) -> bytes | bytearray:
    """The same picture, inflated; one of very many pixels as it is."""
    if row_bytes > MOST_STORED_BYTES:
        return body
    return store_rows(body[:HEADER_BYTES], b"".join(_pixel_chunks(body)), row_bytes)


def _is_plain(body: bytes) -> bool:
    """One grey channel of 8 or 16 bit, whose chunks are known and whole."""
    if body[24:HEADER_END] not in (b"\x08\0\0\0\0", b"\x10\0\0\0\0"):
        return False
    start, kind = SIGNATURE_BYTES, b""
    for _ in range(MOST_CHUNKS):
        length, kind = struct.unpack_from(">I4s", body, start)
        end = start + CHUNK_OVERHEAD_BYTES + length
        if end > len(body) or kind not in PLAIN_CHUNKS:
            return False
        # libpng passes over damage beside the pixels, and sees no more of the pixels' sums.
        if not _is_whole(body, start + 4, end - 4):
            return False
        if kind == b"IEND" or end + CHUNK_OVERHEAD_BYTES > len(body):
            break
        start = end
    return kind == b"IEND"


def _is_whole(body: bytes, start: int, end: int) -> bool:
    (promised,) = struct.unpack_from(">I", body, end)
    return imagecodecs.deflate_crc32(body[start:end]) == int(promised)


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


def check_header(body: bytes) -> None:
    """Refuse, before anything is decoded, what no decoder may guess at.

    Raises
    ------
    UnsupportedPixelFormat
        Fewer than 8 bits a sample; a critical chunk that the standard does not know (PNG 5.4).
    DamagedFile
        The header is not the first chunk; or there are more chunks than any encoder writes.
    """
    for number, (kind, _, _) in enumerate(_chunks(body)):
        if number >= MOST_CHUNKS:
            raise DamagedFile(f"png with more than {MOST_CHUNKS} chunks")
        if kind.isalpha() and kind[:1].isupper() and kind not in CRITICAL_CHUNKS:
            raise UnsupportedPixelFormat("PNG with a critical chunk that is not of the standard")
    if body[SIGNATURE_BYTES + 4 : 16] != b"IHDR" or len(body) < HEADER_END:
        raise DamagedFile("the png header cannot be read")
    depth = body[24]
    if depth in (1, 2, 4):
        raise UnsupportedPixelFormat(f"PNG of {depth} bits a sample; expected 8 or 16")


def check_sums(body: bytes) -> None:
    """Refuse pixels that are not those that were sent: Pillow passes over the sums of IDAT.

    Its other chunks it does check, and what inflates to another number of rows it may not notice.

    Raises
    ------
    DamagedFile
        A sum that does not match, or that is cut off.
    """
    for kind, start, end in _chunks(body):
        has_sum = end + 4 <= len(body)
        if kind == b"IDAT" and not (has_sum and _is_whole(body, start - 4, end)):
            raise DamagedFile("png data does not match its check sum")


def without_notes(body: bytes) -> bytes:
    """The same picture without the texts and colour profiles that no pixel depends on.

    Pillow refuses a sound picture whose packed text or profile is longer than 1 MB, and inflates
    each profile anew, however many there are: a few MB of them took a decoder minutes.
    """
    parts, start = list[memoryview](), 0
    for kind, first, end in _chunks(body):
        told = body[first : first + len(TELL_ORIENTATION[0])]
        is_note = kind in NOTES and not told.startswith(TELL_ORIENTATION)
        # What is damaged stays, to be refused.
        if is_note and end + 4 <= len(body) and _is_whole(body, first - 4, end):
            parts.append(memoryview(body)[start : first - 8])
            start = end + 4
    return b"".join((*parts, memoryview(body)[start:])) if start else body


def palette_entries(body: bytes) -> int:
    """Colours in the palette; 0 without one."""
    lengths = [end - start for kind, start, end in _chunks(body) if kind == b"PLTE"]
    return lengths[-1] // 3 if lengths else 0


def _pixel_chunks(body: bytes) -> Iterator[bytes]:
    for kind, start, end in _chunks(body):
        if kind == b"IDAT":
            yield body[start:end]


def _chunks(body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, and where the content of each begins and ends; what lies behind IEND is none."""
    start, kind = SIGNATURE_BYTES, b""
    while kind != b"IEND" and start + CHUNK_OVERHEAD_BYTES <= len(body):
        length, kind = struct.unpack_from(">I4s", body, start)
        yield kind, start + 8, start + 8 + length
        start += CHUNK_OVERHEAD_BYTES + length

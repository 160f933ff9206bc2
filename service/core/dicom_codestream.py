"""Encapsulated frame -> what its own codestream promises, read before anything is decoded.

References
----------
ITU-T T.81 annex B (JPEG markers), T.87 annex C (JPEG-LS), T.800 annex A (JPEG 2000).
"""

from dataclasses import dataclass

from service.core.errors import PixelDataDamaged

SOI, SOS, DQT, DHT, DRI = 0xD8, 0xDA, 0xDB, 0xC4, 0xDD
SOF_BASELINE, SOF_EXTENDED, SOF_LOSSLESS, SOF_JPEG_LS = 0xC0, 0xC1, 0xC3, 0xF7
J2K_START = b"\xff\x4f\xff\x51"
END_OF_IMAGE = b"\xff\xd9"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, 0xCC} | {SOF_JPEG_LS}
_START_OF_TILE, _CODING_STYLE = b"\xff\x90", b"\xff\x52"
_MAX_TILES = 4096
"""Each tile costs memory before its first byte is read; encoders write one, or a few hundred."""


@dataclass(frozen=True, slots=True)
class Promise:
    """Size and depth that a codestream states of itself."""

    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool = False


@dataclass(frozen=True, slots=True)
class JpegParts:
    """A JPEG or JPEG-LS codestream, taken apart at its first scan; `entropy` without fill bytes."""

    process: int
    promise: Promise
    tables: tuple[tuple[int, bytes], ...]
    scan: bytes
    entropy: bytes


def split_jpeg(codestream: bytes) -> JpegParts:
    """Take the marker segments apart, up to and without the end-of-image marker.

    Raises
    ------
    PixelDataDamaged
        Not JPEG, a segment is cut, there is no frame before the scan, or no end of image.
    """
    if codestream[:2] != bytes((0xFF, SOI)):
        raise PixelDataDamaged("the pixel data does not begin as a JPEG codestream")
    offset, process, frame = 2, 0, b""
    tables: list[tuple[int, bytes]] = []
    while True:
        marker, segment, offset = _read_segment(codestream, offset)
        if marker in _FRAMES:
            if frame:
                raise PixelDataDamaged("the JPEG codestream holds more than one frame header")
            process, frame = marker, segment
        elif marker == SOS:
            break
        elif marker in (DQT, DHT, DRI):
            tables.append((marker, segment))
    end = codestream.rfind(END_OF_IMAGE)
    if end < offset:
        raise PixelDataDamaged("the JPEG codestream ends without its end-of-image marker")
    promise = _read_frame(frame)
    entropy = codestream[offset:end].rstrip(b"\xff")
    return JpegParts(process, promise, tuple(tables), segment, entropy)


def drop_fill(codestream: bytes) -> bytes:
    """Leave out the fill bytes that may precede the end-of-image marker (T.81 B.1.1.2)."""
    end = max(codestream.rfind(END_OF_IMAGE), 0)
    return codestream[:end].rstrip(b"\xff") + codestream[end:]


def read_jpeg_2000(codestream: bytes) -> Promise:
    """Read the SIZ segment of a raw JPEG 2000 codestream.

    Raises
    ------
    PixelDataDamaged
        Not JPEG 2000, cut short, or with more tiles than any encoder writes.
    """
    if not codestream.startswith(J2K_START) or len(codestream) < 45:
        raise PixelDataDamaged("the pixel data does not begin as a JPEG 2000 codestream")
    # Real files are padded with 00, and with FF.
    if not codestream.rstrip(b"\0\xff").endswith(END_OF_IMAGE):
        raise PixelDataDamaged("the JPEG 2000 codestream ends without its end marker")
    right, bottom, left, top, tile_width, tile_height, tile_left, tile_top = (
        int.from_bytes(codestream[at : at + 4], "big") for at in range(8, 40, 4)
    )
    samples = int.from_bytes(codestream[40:42], "big")
    if right <= left or bottom <= top or tile_width == 0 or tile_height == 0:
        raise PixelDataDamaged("the JPEG 2000 codestream states an impossible size")
    tiles = -(-(right - tile_left) // tile_width) * -(-(bottom - tile_top) // tile_height)
    depths = {codestream[at : at + 3] for at in range(42, 42 + 3 * samples, 3)}
    if tiles > _MAX_TILES or len(depths) != 1 or codestream[43:45] != b"\1\1":
        raise PixelDataDamaged("the JPEG 2000 codestream has too many tiles or uneven components")
    depth = codestream[42]
    return Promise(bottom - top, right - left, samples, (depth & 0x7F) + 1, depth > 0x7F)


def says_lossy(frame: bytes) -> bool:
    """Whether a codestream says of itself that it lost detail, whatever syntax it is filed under.

    JPEG-LS does by its NEAR (T.87 C.2.3), JPEG 2000 by its irreversible wavelet (T.800 A.6.1).
    """
    codestream = unwrap_jpeg_2000(frame)
    if codestream.startswith(J2K_START):
        return _has_irreversible_wavelet(codestream)
    try:
        parts = split_jpeg(codestream)
    except PixelDataDamaged:
        return False
    near_at = 1 + 2 * parts.scan[0] if parts.scan else 0
    return parts.process == SOF_JPEG_LS and any(parts.scan[near_at : near_at + 1])


def _has_irreversible_wavelet(codestream: bytes) -> bool:
    offset = 2
    while (marker := codestream[offset : offset + 2]) not in (_START_OF_TILE, b""):
        if marker == _CODING_STYLE:
            return codestream[offset + 13 : offset + 14] == b"\0"
        offset += 2 + int.from_bytes(codestream[offset + 2 : offset + 4], "big")
    return False


def unwrap_jpeg_2000(frame: bytes) -> bytes:
    """Drop a JP2 file header, which some senders leave in (PS3.5 A.4.4 forbids it)."""
    start = frame.find(J2K_START, 0, 4096)
    return frame if start <= 0 else frame[start:]


def _read_segment(codestream: bytes, offset: int) -> tuple[int, bytes, int]:
    """Marker, payload, and the offset behind it."""
    start = offset
    while codestream[offset : offset + 2] == b"\xff\xff":
        offset += 1
    marker = codestream[offset + 1 : offset + 2]
    length = int.from_bytes(codestream[offset + 2 : offset + 4], "big")
    end = offset + 2 + length
    if codestream[offset : offset + 1] != b"\xff" or length < 2 or end > len(codestream):
        raise PixelDataDamaged(f"the JPEG codestream is cut or broken at byte {start}")
    return marker[0], codestream[offset + 4 : end], end


def _read_frame(frame: bytes) -> Promise:
    if len(frame) < 6 or len(frame) != 6 + 3 * frame[5]:
        raise PixelDataDamaged("the JPEG codestream has no valid frame header before its scan")
    rows, columns = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    return Promise(rows, columns, frame[5], frame[0])

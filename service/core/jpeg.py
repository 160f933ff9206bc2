"""Whether a JPEG holds all the blocks that its header promises.

libjpeg, and all that is built on it, paints missing blocks in one grey without a word, and shows
the blurred beginning of a progressive picture that was cut; a radiograph with half of its lungs, or
most of its detail, missing would then be scored.

References
----------
ITU-T T.81 annex B (markers, B.2.3 scan header), annex G (progressive).
"""

import re
from collections.abc import Iterator
from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from service.core.errors import DamagedFile, UnsupportedPixelFormat

START_OF_IMAGE, END_OF_IMAGE, START_OF_SCAN = 0xD8, 0xD9, 0xDA
PROGRESSIVE: Final = 0xC2
FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""Markers of a frame header."""

LOSSLESS: Final = 0xC3
JPEG_LS: Final = 0xF7
HUFFMAN: Final = frozenset((0xC0, 0xC1, PROGRESSIVE, LOSSLESS))
"""What can be checked for wholeness: neither arithmetic coding nor hierarchical frames."""

BLOCK_PX = 8
COEFFICIENTS = 64
SAMPLE_BITS = 8
UNSENT = 14
"""Above any position of a bit (T.81 table B.3)."""

MOST_SEGMENTS = 1_000
"""More than a colour profile, previews and scans take."""

MOST_SCANS = 100
"""Encoders write ten or so; each costs a pass over the whole picture, however few bytes it has."""

MOST_IDLE_BYTES = 100_000
"""Fill bytes and the like between the segments of a head; encoders pad to a page of a disk."""

MOST_PREVIEWS = 100
"""Segments of EXIF or Photoshop, which hold 6 MB then."""

_PREVIEWS: Final = (b"Exif\0", b"Photoshop ")

FILLER = bytes(range(1, 255)) * 64
"""To be read on where a scan ends early; without FF, so that nothing of it is a marker."""

RESTARTS = 8
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_LAST_RESTARTS = re.compile(rb"(?:\xff+[\xd0-\xd7])+\Z")
"""Behind them nothing stands that they could restart; in front of them something may be missing."""

_MARKER = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd7])")
"""Neither a stuffed byte nor a marker that stands inside a scan.

Without its fill bytes: a long run of them would be searched anew from each.
"""

Samples = NDArray[np.uint8 | np.uint16]


def check_process(codestream: bytes) -> int:
    """Refuse by the headers what no reader of JPEG pictures here decodes.

    Returns
    -------
    Marker of the frame header, 0 where none is found.

    Raises
    ------
    UnsupportedPixelFormat
        JPEG-LS, arithmetic coding, hierarchical frames, or other than 8 bits.
    DamagedFile
        More scans or segments than any encoder writes.
    """
    process, sent, scans = 0, _Sent(b""), 0
    for marker, segment, _ in _segments(codestream):
        if marker in FRAMES:
            _check_frame(marker, segment)
            process, sent = marker, _Sent(segment)
        elif marker == START_OF_SCAN:
            scans += 1
            sent.note(segment, is_progressive=process == PROGRESSIVE)
            if scans > MOST_SCANS:
                raise DamagedFile(f"jpeg with more than {MOST_SCANS} scans")
            if scans == 1 and process != PROGRESSIVE and sent.is_complete():
                break  # libjpeg reads no further
    return process


def check_head(codestream: bytes) -> None:
    """Refuse a head that Pillow would read for minutes, whatever `check_process` says of the rest.

    It steps through idle bytes one by one, and copies what it has of EXIF anew with each segment.

    Raises
    ------
    DamagedFile
        More of either than any encoder writes.
    """
    at, idle, previews = 0, 0, 0
    for _ in range(MOST_SEGMENTS):
        found = _MARKER.search(codestream, at)
        marker = START_OF_SCAN if found is None else codestream[found.end() - 1]
        idle += (len(codestream) if found is None else found.end() - 2) - at
        if idle > MOST_IDLE_BYTES or previews > MOST_PREVIEWS:
            raise DamagedFile("jpeg with more fill bytes or EXIF than any encoder writes")
        if found is None or marker == START_OF_SCAN:
            return
        at = found.end()
        if marker != START_OF_IMAGE:
            previews += codestream.startswith(_PREVIEWS, at + 2)
            at += int.from_bytes(codestream[at : at + 2], "big")


def _check_frame(marker: int, frame: bytes) -> None:
    advice = "expected JPEG of 8 bits; a DICOM file may hold it"
    if marker == JPEG_LS:
        raise UnsupportedPixelFormat(f"JPEG-LS; {advice}")
    if marker not in HUFFMAN:
        raise UnsupportedPixelFormat("arithmetic or hierarchical JPEG; expected Huffman codes")
    if frame and frame[0] != SAMPLE_BITS:
        raise UnsupportedPixelFormat(f"JPEG of {frame[0]} bits; {advice}")


def ends_early(codestream: bytes, samples: Samples) -> bool:
    """Decode once more with something behind each scan: only a scan that lacks blocks reads it.

    Parameters
    ----------
    samples
        (H, W) or (H, W, C), what the codestream decodes to. Only where their last block is flat
        can a sequential scan of blocks lack some, so that most pictures cost nothing.

    Notes
    -----
    Fill bytes before a marker, and whatever stands behind the end of the image, are no damage. A
    missing end is: what stands in its place, such as the zeros of a disk, may read as blocks.
    """
    top, left = ((side - 1) // BLOCK_PX * BLOCK_PX for side in samples.shape[:2])
    has_detail = bool(np.ptp(samples[top:, left:], axis=(0, 1)).any())
    process, sent, is_scan, has_all, marker = 0, _Sent(b""), False, False, 0
    ends: list[int] = []
    for marker, segment, start in _segments(codestream):
        if has_all:
            return False
        if is_scan:
            ends.append(start)
        is_scan = marker == START_OF_SCAN
        if marker in FRAMES:
            process, sent = marker, _Sent(segment)
        elif is_scan:
            sent.note(segment, is_progressive=process == PROGRESSIVE)
            is_sequential = process not in (PROGRESSIVE, LOSSLESS)
            has_all = has_detail and is_sequential and sent.is_complete()
    has_end = marker == END_OF_IMAGE
    return not has_end or not sent.is_complete() or _reads_on(codestream, ends)


def _reads_on(codestream: bytes, ends: list[int]) -> bool:
    longer, start = bytearray(), 0
    for end in ends:
        scan = _LAST_RESTARTS.sub(b"", codestream[start:end])
        longer += scan + _more_of(scan)
        start = end
    longer += codestream[start:]
    return not np.array_equal(
        imagecodecs.jpeg8_decode(codestream), imagecodecs.jpeg8_decode(bytes(longer))
    )


def _more_of(scan: bytes) -> bytes:
    """Read on within a restart interval, and, behind the marker that would be next, after it."""
    restarts = _RESTART.findall(scan)
    following = (restarts[-1][1] + 1) % RESTARTS if restarts else 0
    return FILLER + bytes((0xFF, 0xD0 + following)) + FILLER


class _Sent:
    """Down to which bit each coefficient of each component has arrived."""

    def __init__(self, frame: bytes) -> None:
        self._lowest_bits = {component: [UNSENT] * COEFFICIENTS for component in frame[6::3]}

    def note(self, scan: bytes, *, is_progressive: bool) -> None:
        """A scan brings a band of coefficients, all of them where it is not progressive."""
        count = scan[0] if scan else 0
        first, last, bits = (*scan[1 + 2 * count : 4 + 2 * count], 0, 0, 0)[:3]
        if not is_progressive:
            first, last, bits = 0, COEFFICIENTS - 1, 0
        for component in scan[1 : 1 + 2 * count : 2]:
            if component in self._lowest_bits:
                for place in range(first, min(last, COEFFICIENTS - 1) + 1):
                    self._lowest_bits[component][place] = bits & 0x0F

    def is_complete(self) -> bool:
        """Nothing is left to come."""
        return not any(map(any, self._lowest_bits.values()))


def _segments(codestream: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, payload and place of each segment to the end of the image; scans are passed over."""
    at = 0
    for _ in range(MOST_SEGMENTS):
        found = _MARKER.search(codestream, at)
        if found is None:
            return
        place = at + len(codestream[at : found.start()].rstrip(b"\xff"))
        marker, at = codestream[found.end() - 1], found.end()
        if marker == START_OF_IMAGE:
            continue
        length = int.from_bytes(codestream[at : at + 2], "big")
        yield marker, codestream[at + 2 : at + length], place
        if marker == END_OF_IMAGE:
            return
        at += length
    raise DamagedFile(f"jpeg with more than {MOST_SEGMENTS} segments")

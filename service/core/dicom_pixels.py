"""Pixel Data -> stored words of one frame, native or decoded; and colour -> grey.

Nothing is decoded, and nothing large is allocated, before the lengths and the codestream's own
header agree with the header of the file.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from service.core.dicom_codecs import decode_frame
from service.core.dicom_format import PALETTE, PixelFormat, Words
from service.core.dicom_layout import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    Layout,
    PixelSpan,
)
from service.core.dicom_lut import read_entries, stored_values
from service.core.dicom_tags import Tags
from service.core.errors import (
    DamagedFile,
    PixelDataDamaged,
    UnsupportedPixelFormat,
    UnsupportedTransferSyntax,
)
from service.core.grey import grey_from_colour

_SUBSAMPLED = "YBR_FULL_422"
_DECODED_TO_RGB = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
"""Here libjpeg-turbo undoes YBR itself."""

NATIVE = (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)


def read_words(body: bytes, layout: Layout, pixels: PixelSpan, pixel_format: PixelFormat) -> Words:
    """Read or decode the only frame.

    Returns
    -------
    (H, W) or (H, W, 3) words, Bits Allocated wide.

    Raises
    ------
    UnsupportedTransferSyntax
        No codec for it here.
    PixelDataDamaged
        Too short, too long, or in contradiction to the header.
    """
    if layout.transfer_syntax_uid in NATIVE:
        if pixels.encapsulated:
            raise PixelDataDamaged("encapsulated pixels under a native transfer syntax")
        return _read_native(body, layout, pixels, pixel_format)
    if not pixels.encapsulated:
        raise UnsupportedTransferSyntax("not a native transfer syntax, and not encapsulated")
    frame = b"".join(body[start:end] for start, end in pixels.spans)
    return decode_frame(layout.transfer_syntax_uid, frame, pixel_format)


def grey_levels(
    words: Words, transfer_syntax_uid: str, pixel_format: PixelFormat, tags: Tags
) -> NDArray[np.uint8]:
    """Colour words to grey, where the channels agree.

    Raises
    ------
    UnsupportedPixelFormat
        Coloured content, or a palette in segments.
    DamagedFile
        A palette that cannot be read.
    """
    photometric = pixel_format.photometric_interpretation
    if photometric == PALETTE:
        return grey_from_colour(_look_up_palette(words, pixel_format, tags))
    colour = words.astype(np.uint8, copy=False)
    if photometric.startswith("YBR_FULL") and transfer_syntax_uid not in _DECODED_TO_RGB:
        swapped = np.ascontiguousarray(colour[..., (0, 2, 1)])
        colour = cv2.cvtColor(swapped, cv2.COLOR_YCrCb2RGB).astype(np.uint8, copy=False)
    return grey_from_colour(colour)


def _read_native(
    body: bytes, layout: Layout, pixels: PixelSpan, pixel_format: PixelFormat
) -> Words:
    """View the bytes as words; they are copied only where the byte order asks for it."""
    start, end = pixels.spans[0]
    count = pixel_format.sample_count
    if pixel_format.photometric_interpretation == _SUBSAMPLED:
        count = pixel_format.rows * pixel_format.columns * 2
    expected = count * pixel_format.word_bytes
    # Up to a row of padding occurs; more means that Rows or Columns belong to another picture.
    if not expected <= end - start <= expected + max(expected // pixel_format.rows, 1):
        raise PixelDataDamaged(f"{end - start} bytes of pixel data; the header says {expected}")
    order = "<" if layout.little_endian else ">"
    words = np.frombuffer(body, f"{order}u{pixel_format.word_bytes}", count, start)
    if order == ">" and pixel_format.word_bytes == 1 and pixels.vr == "OW":
        words = _swap_bytes(body[start:end])[:count]
    return _shape(words.astype(pixel_format.dtype, copy=False), pixel_format)


def _swap_bytes(octets: bytes) -> NDArray[np.uint8]:
    """Big-endian 8-bit pixels sent as 16-bit words lie in pairs the wrong way round."""
    even = np.frombuffer(octets + bytes(len(octets) % 2), np.uint8)
    return np.ascontiguousarray(even.reshape(-1, 2)[:, ::-1]).ravel()


def _shape(words: Words, pixel_format: PixelFormat) -> Words:
    rows, columns = pixel_format.rows, pixel_format.columns
    if pixel_format.samples == 1:
        return words.reshape(rows, columns)
    if pixel_format.photometric_interpretation == _SUBSAMPLED:
        if columns % 2:
            raise PixelDataDamaged("YBR_FULL_422 with an odd number of columns")
        quads = words.reshape(rows, columns // 2, 4)
        pairs = [quads[..., (at, 2, 3)] for at in (0, 1)]
        return np.stack(pairs, axis=2).reshape(rows, columns, 3)
    if pixel_format.planar:
        return words.reshape(3, rows, columns).transpose(1, 2, 0)
    return words.reshape(rows, columns, 3)


def _look_up_palette(words: Words, pixel_format: PixelFormat, tags: Tags) -> NDArray[np.uint8]:
    values = stored_values(pixel_format)
    channels = [_read_palette(values, tags, name)[words] for name in ("Red", "Green", "Blue")]
    return np.stack(channels, axis=2)


def _read_palette(values: NDArray[np.int64], tags: Tags, name: str) -> NDArray[np.uint8]:
    """One channel for each stored word (PS3.3 C.7.6.3.1.5)."""
    if f"Segmented{name}PaletteColorLookupTableData" in tags:
        raise UnsupportedPixelFormat("a segmented palette; expected a plain one, or grey")
    descriptor = [int(n) for n in tags.numbers(f"{name}PaletteColorLookupTableDescriptor")]
    octets = tags.octets(f"{name}PaletteColorLookupTableData")
    if len(descriptor) != 3 or not octets:
        raise DamagedFile("the palette is missing or cannot be read")
    count = descriptor[0] & 0xFFFF or 0x10000
    width = 1 if len(octets) < 2 * count else 2
    if len(octets) < width * count:
        raise DamagedFile("the palette is shorter than its descriptor says")
    entries = read_entries(octets, width, little=tags.little_endian)[:count]
    if width == 2 and entries.max() > 0xFF:
        entries = (entries >> 8).astype(np.uint8)
    return entries.astype(np.uint8)[np.clip(values - descriptor[1], 0, count - 1)]

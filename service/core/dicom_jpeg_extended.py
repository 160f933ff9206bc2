"""JPEG Extended (process 4) codestream of 12 bits -> samples, by GDCM on checked parts only.

GDCM 3.2.6 ends the whole process on damaged tables or frame headers (measured), so the codestream
is taken apart, each part is checked, and a plain one is put together. What damage is then left, in
the entropy-coded bytes, it survives.

References
----------
ITU-T T.81 annex B.2.4 (table segments).
"""

import gdcm
import numpy as np
from numpy.typing import NDArray

from service.core.dicom_codestream import (
    DHT,
    DQT,
    DRI,
    END_OF_IMAGE,
    SOF_EXTENDED,
    SOI,
    SOS,
    JpegParts,
    Promise,
)
from service.core.errors import PixelDataDamaged, UnsupportedPixelFormat

PRECISION = 12
_LARGEST_SYMBOL = {0: 15, 1: 255}
"""DC categories reach 15 at 12 bits (T.81 table F.6); AC symbols fill a byte."""

for _silence in (gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff, gdcm.Trace.DebugOff):
    _silence()


def decode_jpeg_extended(parts: JpegParts) -> NDArray[np.uint16]:
    """Decode one grey frame of 12 bits.

    Raises
    ------
    UnsupportedPixelFormat
        Several components or restart intervals.
    PixelDataDamaged
        A table or header contradicts the standard, or GDCM gives no frame.
    """
    codestream = _rebuild(parts)
    promise = parts.promise
    octets = _decode_with_gdcm(codestream, promise)
    if len(octets) != promise.rows * promise.columns * 2:
        raise PixelDataDamaged("the JPEG codestream does not decode to the size that it states")
    return np.frombuffer(octets, np.dtype("<u2")).reshape(promise.rows, promise.columns)


def _rebuild(parts: JpegParts) -> bytes:
    """Put a codestream together from checked parts and nothing else."""
    if parts.promise.samples != 1 or any(marker == DRI for marker, _ in parts.tables):
        raise UnsupportedPixelFormat("12-bit JPEG with several components or restart intervals")
    known: set[tuple[int, int]] = set()
    for marker, segment in parts.tables:
        known |= _check_quantisation(segment) if marker == DQT else _check_huffman(segment)
    scan, frame = parts.scan, parts.frame
    if len(scan) != 6 or scan[:2] != bytes((1, frame[6])):
        raise PixelDataDamaged("the JPEG scan header is invalid")
    if not {(DQT, frame[8]), (DHT, scan[2] >> 4), (DHT, 0x10 | scan[2] & 15)} <= known:
        raise PixelDataDamaged("the JPEG scan names a table that is not there")
    if b"\xff" in parts.entropy.replace(b"\xff\x00", b""):
        raise PixelDataDamaged("a marker interrupts the JPEG scan")
    # A sequential scan has but one spectral range; some encoders write another.
    segments = [*parts.tables, (SOF_EXTENDED, frame), (SOS, scan[:3] + bytes((0, 63, 0)))]
    body = b"".join(_write_segment(marker, segment) for marker, segment in segments)
    return bytes((0xFF, SOI)) + body + parts.entropy + END_OF_IMAGE


def _write_segment(marker: int, segment: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(segment) + 2).to_bytes(2, "big") + segment


def _check_quantisation(segment: bytes) -> set[tuple[int, int]]:
    found: set[tuple[int, int]] = set()
    while segment:
        size = 129 if segment[0] >> 4 else 65
        if segment[0] >> 4 > 1 or segment[0] & 15 > 3 or len(segment) < size:
            raise PixelDataDamaged("a JPEG quantisation table is invalid")
        found.add((DQT, segment[0] & 15))
        segment = segment[size:]
    return found


def _check_huffman(segment: bytes) -> set[tuple[int, int]]:
    found: set[tuple[int, int]] = set()
    while segment:
        kind, counts = segment[0] >> 4, segment[1:17]
        size = 17 + sum(counts)
        space = sum(count << (16 - bits) for bits, count in enumerate(counts, start=1))
        symbols = segment[17:size]
        if kind > 1 or segment[0] & 15 > 3 or len(counts) < 16 or len(segment) < size:
            raise PixelDataDamaged("a JPEG Huffman table is cut or misnamed")
        if not symbols or space > 1 << 16 or max(symbols) > _LARGEST_SYMBOL[kind]:
            raise PixelDataDamaged("a JPEG Huffman table holds impossible codes")
        found.add((DHT, segment[0]))
        segment = segment[size:]
    return found


def _decode_with_gdcm(codestream: bytes, promise: Promise) -> bytes:
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(codestream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    frame = gdcm.Image()
    frame.SetNumberOfDimensions(2)
    frame.SetDimensions((promise.columns, promise.rows, 1))
    frame.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation.MONOCHROME2
    frame.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    extended = gdcm.TransferSyntax.JPEGExtendedProcess2_4
    frame.SetTransferSyntax(gdcm.TransferSyntax(extended))
    frame.SetPixelFormat(gdcm.PixelFormat(1, 16, PRECISION, PRECISION - 1, 0))
    # SWIG hands a char* over as text; surrogateescape gives the same bytes back.
    text: str = frame.GetBuffer()
    return text.encode("utf-8", "surrogateescape")

"""JPEG Lossless (process 14) codestream -> samples, by libjpeg-turbo, checked for wholeness.

libjpeg survives anything that it is given, and fills what is missing or cannot be decoded without
a word. Because the process is lossless, the samples tell how many bits they were coded in: a scan
that is any shorter or longer has been cut or has gone out of step, and is damage.

References
----------
ITU-T T.81 annex H (lossless mode), annex C (Huffman tables).
"""

from collections.abc import Callable
from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from service.core.dicom_codestream import DHT, DRI, JpegParts, split_jpeg
from service.core.errors import PixelDataDamaged, UnsupportedPixelFormat

Samples = NDArray[np.uint16]

_BLOCK_ROWS = 64
"""Rows measured at once; their differences stay in the cache."""

_NO_CODE = 1 << 20
"""Bits of a difference that the table has no code for: more than any scan has left."""

_FULL_CATEGORY = 16
"""Difference 32768; the only category without extra bits (T.81 H.1.2.2)."""


def decode_jpeg_lossless(codestream: bytes) -> NDArray[np.uint8 | np.uint16]:
    """Decode one grey frame.

    Returns
    -------
    (H, W), as wide as the precision asks for.

    Raises
    ------
    UnsupportedPixelFormat
        Several components, restart intervals or a point transform.
    PixelDataDamaged
        The tables or the scan contradict the standard, or the scan has another length than the
        samples that were decoded from it.
    """
    parts = split_jpeg(codestream)
    cost = _check_scan(parts)
    try:
        decoded: NDArray[np.uint8 | np.uint16] = imagecodecs.jpeg8_decode(codestream)
    except (RuntimeError, ValueError):
        raise PixelDataDamaged("the JPEG Lossless codestream does not decode") from None
    samples = decoded.astype(np.uint16, copy=False)
    if samples.shape != (parts.promise.rows, parts.promise.columns):
        raise PixelDataDamaged("the JPEG Lossless scan does not decode to the size it states")
    coded_bits = _measure(samples, parts.promise.precision, parts.scan[3], cost)
    scan_bits = 8 * (len(parts.entropy) - parts.entropy.count(b"\xff\x00"))
    # Encoders pad the last byte with ones, never a whole byte.
    if not 0 <= scan_bits - coded_bits < 16 or int(samples.max()) >> parts.promise.precision:
        raise PixelDataDamaged("the JPEG Lossless scan does not hold the samples that it should")
    return decoded


def _check_scan(parts: JpegParts) -> NDArray[np.uint32]:
    """Refuse what is not decoded here; returns the bits of each difference."""
    promise, scan = parts.promise, parts.scan
    if promise.samples != 1 or any(marker == DRI for marker, _ in parts.tables):
        raise UnsupportedPixelFormat("JPEG Lossless with several components or restart intervals")
    if len(scan) != 6 or scan[0] != 1 or not 1 <= scan[3] <= 7 or not 2 <= promise.precision <= 16:
        raise PixelDataDamaged("the JPEG Lossless scan header is invalid")
    if scan[5] != 0:
        raise UnsupportedPixelFormat("JPEG Lossless with a point transform")
    if parts.entropy.count(b"\xff") != parts.entropy.count(b"\xff\x00"):
        raise PixelDataDamaged("a marker interrupts the JPEG Lossless scan")
    return _count_bits(*_pick_table(parts, scan[2] >> 4))


def _pick_table(parts: JpegParts, wanted: int) -> tuple[bytes, bytes]:
    """Code counts per length, and the categories, of the last DC table with the id asked for."""
    found: tuple[bytes, bytes] | None = None
    for marker, segment in parts.tables:
        at = 0
        while marker == DHT and len(segment) >= at + 17:
            counts = segment[at + 1 : at + 17]
            end = at + 17 + sum(counts)
            if segment[at] == wanted:
                found = counts, segment[at + 17 : end]
            at = end
    if found is None or len(found[1]) != sum(found[0]) or max(found[1], default=17) > 16:
        raise PixelDataDamaged("the JPEG Lossless scan names a Huffman table that is not there")
    return found


def _count_bits(counts: bytes, categories: bytes) -> NDArray[np.uint32]:
    """Bits of code and extra bits for each difference modulo 65536 (T.81 table H.2)."""
    code_bits = np.repeat(np.arange(1, 17), list(counts))
    of_category = np.full(_FULL_CATEGORY + 1, _NO_CODE, np.uint32)
    for category, bits in zip(categories, code_bits.tolist(), strict=True):
        extra = 0 if category == _FULL_CATEGORY else category
        of_category[category] = min(int(of_category[category]), bits + extra)
    differences = np.arange(1 << 16, dtype=np.int64).astype(np.uint16).view(np.int16)
    magnitudes = np.abs(differences.astype(np.int64))
    return of_category[np.frexp(magnitudes.astype(np.float64))[1]]


def _measure(samples: Samples, precision: int, predictor: int, cost: NDArray[np.uint32]) -> int:
    """Bits that these samples take when they are coded with this table."""
    start = np.uint16(1 << (precision - 1))
    bits = int(cost[np.diff(samples[0], prepend=start)].sum(dtype=np.int64))
    for above in range(0, samples.shape[0] - 1, _BLOCK_ROWS):
        differences = _differences(samples[above : above + _BLOCK_ROWS + 1], predictor)
        bits += int(np.take(cost, differences).sum(dtype=np.int64))
    return bits


def _differences(rows: Samples, predictor: int) -> Samples:
    """Of all rows but the first, modulo 65536 (T.81 H.1.2.1)."""
    predicted = np.empty_like(rows[1:])
    predicted[:, 0] = rows[:-1, 0]
    predicted[:, 1:] = _PREDICTORS[predictor](rows[1:, :-1], rows[:-1, 1:], rows[:-1, :-1])
    return np.subtract(rows[1:], predicted, dtype=np.uint16)


def _half(levels: NDArray[np.int32]) -> Samples:
    return (levels >> 1).astype(np.uint16)


def _wide(samples: Samples) -> NDArray[np.int32]:
    return samples.astype(np.int32)


_PREDICTORS: Final[dict[int, Callable[[Samples, Samples, Samples], Samples]]] = {
    1: lambda left, above, corner: left,
    2: lambda left, above, corner: above,
    3: lambda left, above, corner: corner,
    4: lambda left, above, corner: left + above - corner,
    5: lambda left, above, corner: left + _half(_wide(above) - corner),
    6: lambda left, above, corner: above + _half(_wide(left) - corner),
    7: lambda left, above, corner: _half(_wide(left) + above),
}
"""T.81 table H.1; sums wrap at 65536 as the standard asks."""

"""JPEG Lossless (process 14) codestream -> samples, in numpy.

Own code, because GDCM 3.2.6, the only permissive decoder among our requirements, aborts or
segfaults the process on damaged headers, and fills a cut scan with zeros without a word (both
measured). This one is strict: a code that does not exist, or a scan that ends too early or too
late, is damage.

The code length at every bit position is looked up at once; only the walk from one code to the next
is a loop.

References
----------
ITU-T T.81 annex H (lossless mode), annex C (Huffman tables).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core.dicom_codestream import DHT, DRI, JpegParts
from service.core.errors import PixelDataDamaged, UnsupportedPixelFormat

_CHUNK_BYTES = 1 << 18
"""Entropy bytes looked up at once: bounds the memory, 2 bytes per bit."""

_PAD_BYTES = 8
_INVALID = 255
_FULL_CATEGORY = 16
"""Difference 32768; the only category without extra bits (T.81 H.1.2.2)."""


@dataclass(frozen=True, slots=True)
class _Codes:
    """Per 16-bit window: bits of the code, its category, and both together (`_INVALID` if none)."""

    code_bits: NDArray[np.uint8]
    categories: NDArray[np.uint8]
    steps: NDArray[np.uint8]


def decode_jpeg_lossless(parts: JpegParts) -> NDArray[np.uint16]:
    """Decode one grey frame.

    Raises
    ------
    UnsupportedPixelFormat
        Several components, restart intervals or a point transform.
    PixelDataDamaged
        The tables or the scan contradict the standard.
    """
    promise, scan = parts.promise, parts.scan
    if promise.samples != 1 or any(marker == DRI for marker, _ in parts.tables):
        raise UnsupportedPixelFormat("JPEG Lossless with several components or restart intervals")
    if len(scan) != 6 or scan[0] != 1 or not 1 <= scan[3] <= 7 or not 2 <= promise.precision <= 16:
        raise PixelDataDamaged("the JPEG Lossless scan header is invalid")
    if scan[5] != 0:
        raise UnsupportedPixelFormat("JPEG Lossless with a point transform")
    codes = _build_codes(_pick_table(parts, scan[2] >> 4))
    differences = _decode_differences(parts.entropy, codes, promise.rows * promise.columns)
    shaped = differences.reshape(promise.rows, promise.columns)
    return _undo_prediction(shaped, predictor=scan[3], precision=promise.precision)


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


def _build_codes(table: tuple[bytes, bytes]) -> _Codes:
    """Canonical Huffman codes (T.81 C.2) as a table over the next 16 bits."""
    counts, categories = table
    code_bits = np.zeros(1 << 16, np.uint8)
    category_of = np.zeros(1 << 16, np.uint8)
    steps = np.full(1 << 16, _INVALID, np.uint8)
    start, used = 0, 0
    for bits, count in enumerate(counts, start=1):
        for category in categories[used : used + count]:
            stop = start + (1 << (16 - bits))
            if stop > 1 << 16:
                raise PixelDataDamaged("the JPEG Lossless Huffman table is overfull")
            extra = 0 if category == _FULL_CATEGORY else category
            code_bits[start:stop], category_of[start:stop] = bits, category
            steps[start:stop] = bits + extra
            start = stop
        used += count
    return _Codes(code_bits, category_of, steps)


def _decode_differences(entropy: bytes, codes: _Codes, count: int) -> NDArray[np.int32]:
    """All Huffman-coded differences of the scan, in order."""
    if b"\xff" in entropy.replace(b"\xff\x00", b""):
        raise PixelDataDamaged("a marker interrupts the JPEG Lossless scan")
    octets = np.frombuffer(entropy.replace(b"\xff\x00", b"\xff") + bytes(_PAD_BYTES), np.uint8)
    size = octets.size - _PAD_BYTES
    differences = np.empty(count, np.int32)
    done, position, last_bit = 0, 0, 0
    for chunk in range(0, size, _CHUNK_BYTES):
        window = octets[chunk : min(chunk + _CHUNK_BYTES, size) + _PAD_BYTES]
        found, position = _decode_chunk(window, codes, position, count - done)
        differences[done : done + found.size] = found
        done += found.size
        last_bit = chunk * 8 + position
        position -= 8 * (window.size - _PAD_BYTES)
        if done == count:
            break
    # Encoders pad the last byte with ones, never a whole byte.
    if done < count or not 0 <= size * 8 - last_bit < 16:
        raise PixelDataDamaged("the JPEG Lossless scan does not hold the samples that it should")
    return differences


def _decode_chunk(
    window: NDArray[np.uint8], codes: _Codes, first: int, most: int
) -> tuple[NDArray[np.int32], int]:
    """Differences whose codes begin in this chunk, and the bit behind the last of them."""
    padded = window.astype(np.uint32)
    words = (padded[:-3] << 24 | padded[1:-2] << 16 | padded[2:-1] << 8 | padded[3:]).astype(
        np.uint32, copy=False
    )
    ends = window.size - _PAD_BYTES
    steps = np.empty((ends, 8), np.uint8)
    for bit in range(8):
        steps[:, bit] = codes.steps[(words[:ends] >> np.uint32(16 - bit)) & 0xFFFF]
    positions, behind = _walk(steps.tobytes(), first, most)
    starts = np.array(positions, np.int64)
    code = (words[starts >> 3].astype(np.int64) >> (16 - (starts & 7))) & 0xFFFF
    if (codes.steps[code] == _INVALID).any():
        raise PixelDataDamaged("the JPEG Lossless scan holds a code that its table has not")
    return _read_extra_bits(words, starts + codes.code_bits[code], codes.categories[code]), behind


def _walk(steps: bytes, position: int, most: int) -> tuple[list[int], int]:
    """Bit positions at which codes begin."""
    positions: list[int] = []
    append, end = positions.append, len(steps)
    while position < end and len(positions) < most:
        append(position)
        position += steps[position]
    return positions, position


def _read_extra_bits(
    words: NDArray[np.uint32], starts: NDArray[np.int64], categories: NDArray[np.uint8]
) -> NDArray[np.int32]:
    """Signed differences from their category and extra bits (T.81 F.2.2.1, EXTEND)."""
    sizes = np.where(categories == _FULL_CATEGORY, 0, categories).astype(np.int64)
    words_at = words[np.minimum(starts >> 3, words.size - 1)].astype(np.int64)
    extra = (words_at >> (32 - (starts & 7) - sizes)) & ((1 << sizes) - 1)
    negative = extra < (1 << np.maximum(sizes - 1, 0))
    differences = np.where(negative & (sizes > 0), extra - (1 << sizes) + 1, extra)
    return np.where(categories == _FULL_CATEGORY, 32768, differences).astype(np.int32)


def _undo_prediction(
    differences: NDArray[np.int32], *, predictor: int, precision: int
) -> NDArray[np.uint16]:
    """Samples from differences; arithmetic is modulo 65536 (T.81 H.1.2.1)."""
    rows, columns = differences.shape
    samples = np.empty((rows, columns), np.uint16)
    samples[0] = (np.cumsum(differences[0], dtype=np.int64) + (1 << (precision - 1))) & 0xFFFF
    for row in range(1, rows):
        above = samples[row - 1].astype(np.int64)
        samples[row] = _predict_row(above, differences[row], predictor)
    if int(samples.max()) >> precision:
        raise PixelDataDamaged("the JPEG Lossless samples exceed their stated precision")
    return samples


def _predict_row(
    above: NDArray[np.int64], differences: NDArray[np.int32], predictor: int
) -> NDArray[np.int64]:
    """One row below the first; Ra is left, Rb above, Rc above left (T.81 table H.1)."""
    steps = differences.astype(np.int64)
    if predictor in (2, 3):
        from_above = above if predictor == 2 else np.concatenate((above[:1], above[:-1]))
        return (from_above + steps) & 0xFFFF
    steps[0] += above[0]
    if predictor == 4:
        steps[1:] += np.diff(above)
    elif predictor == 5:
        steps[1:] += np.diff(above) >> 1
    elif predictor >= 6:
        return _predict_row_in_order(above, steps, predictor)
    return np.cumsum(steps) & 0xFFFF


def _predict_row_in_order(
    above: NDArray[np.int64], steps: NDArray[np.int64], predictor: int
) -> NDArray[np.int64]:
    """Predictors that halve the sample to the left: each needs the one before."""
    up = above.tolist()
    left = int(steps[0]) & 0xFFFF
    row = [left]
    for column, step in enumerate(steps[1:].tolist(), start=1):
        if predictor == 6:
            predicted = up[column] + ((left - up[column - 1]) >> 1)
        else:
            predicted = (left + up[column]) >> 1
        left = (predicted + step) & 0xFFFF
        row.append(left)
    return np.array(row, np.int64)

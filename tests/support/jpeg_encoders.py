"""JPEG processes that no permissive library writes: Lossless, and Extended with 12 bits.

Plain and slow, for small pictures. Every Huffman code has the same length, which is legal (T.81 C)
and easy to check by hand.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

SOF_EXTENDED, SOF_LOSSLESS, DHT, SOS, DQT = 0xC1, 0xC3, 0xC4, 0xDA, 0xDB
CATEGORY_BITS = 5
SYMBOL_BITS = 8
END_OF_BLOCK, SIXTEEN_ZEROS = 0x00, 0xF0
AC_SYMBOLS = (
    END_OF_BLOCK,
    SIXTEEN_ZEROS,
    *(run << 4 | size for run in range(16) for size in range(1, 15)),
)
ZIGZAG = sorted(
    ((row, column) for row in range(8) for column in range(8)),
    key=lambda at: (sum(at), at[0] if sum(at) % 2 else at[1]),
)


def encode_jpeg_lossless(
    samples: NDArray[np.integer], *, precision: int, predictor: int = 1
) -> bytes:
    """Encode (H, W) samples with the predictor asked for (T.81 table H.1)."""
    values = samples.astype(np.int64)
    differences = (values - _predict(values, precision, predictor) + 0x8000) % 0x10000 - 0x8000
    bits = [_category_bits(int(difference)) for difference in differences.ravel()]
    tables = _segment(DHT, _huffman_table(0x00, CATEGORY_BITS, tuple(range(17))))
    scan = _segment(SOS, bytes((1, 1, 0, predictor, 0, 0)))
    return _codestream(tables + _frame(SOF_LOSSLESS, samples, precision) + scan, "".join(bits))


def encode_jpeg_extended(samples: NDArray[np.integer]) -> bytes:
    """Encode (H, W) samples of 12 bits, sides multiples of 8, quantised by 1: nearly lossless."""
    bits: list[str] = []
    previous = 0
    for top in range(0, samples.shape[0], 8):
        for left in range(0, samples.shape[1], 8):
            block = samples[top : top + 8, left : left + 8].astype(np.float64) - 2048
            levels = np.rint(dctn(block, norm="ortho")).astype(int)
            bits.append(_category_bits(int(levels[0, 0]) - previous))
            previous = int(levels[0, 0])
            bits.append(_block_bits([int(levels[at]) for at in ZIGZAG[1:]]))
    tables = (
        _segment(DQT, bytes((0, *[1] * 64)))
        + _segment(DHT, _huffman_table(0x00, CATEGORY_BITS, tuple(range(16))))
        + _segment(DHT, _huffman_table(0x10, SYMBOL_BITS, AC_SYMBOLS))
    )
    scan = _segment(SOS, bytes((1, 1, 0, 0, 63, 0)))
    return _codestream(tables + _frame(SOF_EXTENDED, samples, 12) + scan, "".join(bits))


def _predict(values: NDArray[np.int64], precision: int, predictor: int) -> NDArray[np.int64]:
    left, above, corner = (np.zeros_like(values) for _ in range(3))
    left[:, 1:], above[1:] = values[:, :-1], values[:-1]
    corner[1:, 1:] = values[:-1, :-1]
    formulas = {
        1: left,
        2: above,
        3: corner,
        4: left + above - corner,
        5: left + ((above - corner) >> 1),
        6: above + ((left - corner) >> 1),
        7: (left + above) >> 1,
    }
    predicted = formulas[predictor].copy()
    predicted[0], predicted[1:, 0] = left[0], above[1:, 0]
    predicted[0, 0] = 1 << (precision - 1)
    return predicted


def _category_bits(difference: int) -> str:
    """Code of the category, then its extra bits (T.81 F.1.2.1)."""
    if difference == -32768:
        return f"{16:0{CATEGORY_BITS}b}"
    size = abs(difference).bit_length()
    return f"{size:0{CATEGORY_BITS}b}" + _extra_bits(difference, size)


def _extra_bits(value: int, size: int) -> str:
    return f"{value if value > 0 else value + (1 << size) - 1:0{size}b}" if size else ""


def _block_bits(levels: list[int]) -> str:
    """AC coefficients as runs of zeros and values (T.81 F.1.2.2)."""
    bits, run = "", 0
    for level in levels:
        if level == 0:
            run += 1
            continue
        size = abs(level).bit_length()
        symbols = [SIXTEEN_ZEROS] * (run // 16) + [(run % 16) << 4 | size]
        bits += "".join(_symbol_bits(symbol) for symbol in symbols) + _extra_bits(level, size)
        run = 0
    return bits + (_symbol_bits(END_OF_BLOCK) if run else "")


def _symbol_bits(symbol: int) -> str:
    return f"{AC_SYMBOLS.index(symbol):0{SYMBOL_BITS}b}"


def _huffman_table(name: int, bits: int, symbols: tuple[int, ...]) -> bytes:
    counts = [len(symbols) if length == bits else 0 for length in range(1, 17)]
    return bytes((name, *counts, *symbols))


def _frame(process: int, samples: NDArray[np.integer], precision: int) -> bytes:
    rows, columns = samples.shape
    size = rows.to_bytes(2, "big") + columns.to_bytes(2, "big")
    return _segment(process, bytes((precision,)) + size + bytes((1, 1, 0x11, 0)))


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


def _codestream(segments: bytes, bits: str) -> bytes:
    padded = bits + "1" * (-len(bits) % 8)
    entropy = int(padded, 2).to_bytes(len(padded) // 8, "big").replace(b"\xff", b"\xff\x00")
    return b"\xff\xd8" + segments + entropy + b"\xff\xd9"

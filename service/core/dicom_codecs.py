"""One encapsulated frame -> stored words, by the codec that its transfer syntax names.

imagecodecs brings them all but RLE, and releases the GIL in each: libjpeg-turbo for every JPEG
process, CharLS for JPEG-LS, OpenJPEG for JPEG 2000 and its high-throughput variant. Chosen by
measurement of speed (`python -m bench.decode`) and of what damaged input does to the process:
`docs/intake.md` has both tables. What they would pass over in silence is checked here.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from rle.rle import decode_frame as decode_rle_frame

from service.core.dicom_codestream import (
    SOF_BASELINE,
    SOF_EXTENDED,
    SOF_JPEG_LS,
    SOF_LOSSLESS,
    Promise,
    drop_fill,
    read_jpeg_2000,
    says_lossy,
    split_jpeg,
    unwrap_jpeg_2000,
)
from service.core.dicom_format import PixelFormat, Words
from service.core.dicom_jpeg_lossless import decode_jpeg_lossless
from service.core.errors import IntakeError, PixelDataDamaged, UnsupportedTransferSyntax
from service.core.jpeg import Samples, ends_early

LOSSY = frozenset(
    (
        "1.2.840.10008.1.2.4.50",  # JPEG Baseline
        "1.2.840.10008.1.2.4.51",  # JPEG Extended, 8 or 12 bit
        "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
        "1.2.840.10008.1.2.4.91",  # JPEG 2000
        "1.2.840.10008.1.2.4.203",  # High-throughput JPEG 2000
    )
)

OVERSHOOT_RATIO = 1 / 8
"""Of the range: ringing takes samples some per cent beyond it; other bits lie farther out."""

T = TypeVar("T")


def decode_frame(transfer_syntax_uid: str, frame: bytes, pixel_format: PixelFormat) -> Words:
    """Decode one frame.

    Returns
    -------
    (H, W) or (H, W, 3), Bits Allocated wide.

    Raises
    ------
    UnsupportedTransferSyntax
        No codec for it here.
    UnsupportedPixelFormat
        A variant of its codec that no chest radiograph uses.
    PixelDataDamaged
        The codestream contradicts the header or itself.
    """
    decoder = DECODERS.get(transfer_syntax_uid)
    if decoder is None:
        raise UnsupportedTransferSyntax("compressed by a transfer syntax that is not supported")
    words = _fit_words(decoder(frame, pixel_format), pixel_format)
    if _exceeds_stored(words, pixel_format) and _is_lossy(transfer_syntax_uid, frame):
        return _clip_overshoot(words, pixel_format)
    return words


def _fit_words(samples: NDArray[np.generic], pixel_format: PixelFormat) -> Words:
    """Check the shape, and widen to Bits Allocated; signed samples keep their sign bits."""
    expected: tuple[int, ...] = (pixel_format.rows, pixel_format.columns)
    if pixel_format.samples > 1:
        expected += (pixel_format.samples,)
    if samples.shape != expected or samples.dtype.itemsize > pixel_format.word_bytes:
        raise PixelDataDamaged("the codestream does not decode to the size that the header states")
    sign = "i" if np.issubdtype(samples.dtype, np.signedinteger) else "u"
    wide = samples.astype(f"{sign}{pixel_format.word_bytes}", copy=False)
    return cast(Words, wide.view(pixel_format.dtype))


def _exceeds_stored(words: Words, pixel_format: PixelFormat) -> bool:
    return pixel_format.shift == 0 and bool(int(words.max()) >> pixel_format.bits_stored)


def _is_lossy(transfer_syntax_uid: str, frame: bytes) -> bool:
    return transfer_syntax_uid in LOSSY or says_lossy(frame)


def _clip_overshoot(words: Words, pixel_format: PixelFormat) -> Words:
    """Keep white white where loss took samples beyond Bits Stored.

    Encoders that code all bits allocated let a burnt-out area ring into the unused ones. Masking
    would turn such samples over, the brightest to the darkest.
    """
    bits, values = pixel_format.bits_stored, np.arange(1 << pixel_format.bits_allocated)
    least = 0
    if pixel_format.signed:
        is_negative = values >= values.size // 2
        if int(words.max()) < values.size // 2:
            return words  # the sign is not extended into the unused bits: these say nothing
        values[is_negative] -= values.size
        least = -(1 << (bits - 1))
    clipped = np.clip(values, least, least + (1 << bits) - 1)
    is_near = np.abs(values - clipped) <= OVERSHOOT_RATIO * (1 << bits)
    table: Words = np.where(is_near, clipped, values).astype(pixel_format.dtype)
    return cast(Words, cv2.LUT(words, table))


def _check_promise(promise: Promise, pixel_format: PixelFormat) -> None:
    """Refuse a codestream that is not what the header says, before it is decoded."""
    stated = (promise.rows, promise.columns, promise.samples)
    expected = (pixel_format.rows, pixel_format.columns, pixel_format.samples)
    if stated != expected or not 2 <= promise.precision <= pixel_format.bits_allocated:
        raise PixelDataDamaged(
            "the codestream states {} x {} x {} samples, the header {} x {} x {}; or more bits "
            "than are allocated".format(*stated, *expected)
        )


def _decode_rle(frame: bytes, pixel_format: PixelFormat) -> NDArray[np.generic]:
    segments = pixel_format.samples * pixel_format.word_bytes
    offsets = [int.from_bytes(frame[at : at + 4], "little") for at in range(4, 64, 4)][:segments]
    is_ascending = all(a < b for a, b in zip([63, *offsets], [*offsets, len(frame)], strict=True))
    if int.from_bytes(frame[:4], "little") != segments or not is_ascending:
        raise PixelDataDamaged("the RLE header contradicts the size of the picture")
    count = pixel_format.rows * pixel_format.columns
    octets = _call(lambda: decode_rle_frame(frame, count, pixel_format.bits_allocated, "<"))
    if len(octets) != pixel_format.sample_count * pixel_format.word_bytes:
        raise PixelDataDamaged("the RLE segments do not decode to the size that the header states")
    planes = np.frombuffer(octets, np.dtype(f"<u{pixel_format.word_bytes}"))
    shape = (pixel_format.rows, pixel_format.columns)
    if pixel_format.samples == 1:
        return planes.reshape(shape)
    return planes.reshape(-1, *shape).transpose(1, 2, 0)


def _decode_jpeg(frame: bytes, pixel_format: PixelFormat) -> NDArray[np.generic]:
    _check_jpeg(frame, pixel_format, (SOF_BASELINE, SOF_EXTENDED))
    samples: Samples = _call(lambda: imagecodecs.jpeg8_decode(frame))
    if _call(lambda: ends_early(drop_fill(frame), samples)):
        raise PixelDataDamaged("the JPEG scan ends before the picture does")
    return samples


def _decode_jpeg_lossless(frame: bytes, pixel_format: PixelFormat) -> NDArray[np.generic]:
    _check_jpeg(frame, pixel_format, (SOF_LOSSLESS,))
    return _call(lambda: decode_jpeg_lossless(frame))


def _decode_jpeg_ls(frame: bytes, pixel_format: PixelFormat) -> NDArray[np.generic]:
    _check_jpeg(frame, pixel_format, (SOF_JPEG_LS,))
    return _call(lambda: imagecodecs.jpegls_decode(frame))


def _decode_jpeg_2000(frame: bytes, pixel_format: PixelFormat) -> NDArray[np.generic]:
    codestream = unwrap_jpeg_2000(frame)
    promise = read_jpeg_2000(codestream)
    _check_promise(promise, pixel_format)
    samples = _call(lambda: imagecodecs.jpeg2k_decode(codestream, numthreads=1))
    return _settle_sign(samples, promise, pixel_format)


def _settle_sign(
    samples: NDArray[Any], promise: Promise, pixel_format: PixelFormat
) -> NDArray[np.generic]:
    """Give back the sign that some encoders leave out of a codestream of two's complement.

    Raises
    ------
    PixelDataDamaged
        Samples below zero, where the header says that there are none.
    """
    if promise.signed == pixel_format.signed:
        return samples
    if promise.signed:
        if int(samples.min()) < 0:
            raise PixelDataDamaged("the codestream holds signed samples, the header unsigned ones")
        return samples
    unused = 8 * samples.itemsize - promise.precision
    return np.asarray((samples.view(f"i{samples.itemsize}") << unused) >> unused)


def _check_jpeg(frame: bytes, pixel_format: PixelFormat, processes: tuple[int, ...]) -> None:
    """Refuse a JPEG codestream that is not what the header says, before it is decoded."""
    parts = split_jpeg(frame)
    _check_promise(parts.promise, pixel_format)
    if parts.process not in processes:
        raise PixelDataDamaged("the codestream is not of the process that the header names")


def _call(decode: Callable[[], T]) -> T:
    """Run foreign code on the sender's bytes; whatever it raises means damage.

    Codecs raise nearly anything (RuntimeError, ValueError, OSError, cv2.error ...), and their
    messages say nothing that the sender could use. A panic of the Rust one is no Exception.
    """
    try:
        return decode()
    except IntakeError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise PixelDataDamaged("the codestream does not decode") from None


_Decoder = Callable[[bytes, PixelFormat], NDArray[np.generic]]
DECODERS: dict[str, _Decoder] = {
    "1.2.840.10008.1.2.5": _decode_rle,
    "1.2.840.10008.1.2.4.50": _decode_jpeg,
    "1.2.840.10008.1.2.4.51": _decode_jpeg,
    "1.2.840.10008.1.2.4.57": _decode_jpeg_lossless,
    "1.2.840.10008.1.2.4.70": _decode_jpeg_lossless,
    "1.2.840.10008.1.2.4.80": _decode_jpeg_ls,
    "1.2.840.10008.1.2.4.81": _decode_jpeg_ls,
    "1.2.840.10008.1.2.4.90": _decode_jpeg_2000,
    "1.2.840.10008.1.2.4.91": _decode_jpeg_2000,
    "1.2.840.10008.1.2.4.201": _decode_jpeg_2000,
    "1.2.840.10008.1.2.4.202": _decode_jpeg_2000,
    "1.2.840.10008.1.2.4.203": _decode_jpeg_2000,
}

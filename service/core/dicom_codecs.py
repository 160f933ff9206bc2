"""One encapsulated frame -> stored words, by the codec that its transfer syntax names.

Chosen by measurement on a 1955 x 1841, 15-bit radiograph (two busy cores), and by what damaged
input does to the process:

- JPEG 2000: OpenCV, 0.67 s lossless, 0.11 s lossy: as fast as the others, and alone releases the
  GIL. openjpeg's own binding (0.69 s) takes what OpenCV does not: signed, coloured.
- JPEG-LS: CharLS, 0.10 s. RLE: pylibjpeg-rle, 0.01 s. JPEG Baseline: Pillow.
- JPEG Lossless: own code, 0.8 s. GDCM takes 0.1 s, and aborts or segfaults on damaged headers.
- JPEG Extended 12 bit: GDCM, the only one that can, on a codestream rebuilt from checked parts.
"""

import io
from collections.abc import Callable
from typing import TypeVar, cast

import cv2
import jpeg_ls
import numpy as np
from numpy.typing import NDArray
from openjpeg.utils import decode_pixel_data
from PIL import Image
from rle.rle import decode_frame as decode_rle_frame

from service.core.dicom_codestream import (
    SOF_BASELINE,
    SOF_EXTENDED,
    SOF_JPEG_LS,
    SOF_LOSSLESS,
    Promise,
    read_jpeg_2000,
    split_jpeg,
    unwrap_jpeg_2000,
)
from service.core.dicom_format import PixelFormat, Words
from service.core.dicom_jpeg_extended import PRECISION, decode_jpeg_extended
from service.core.dicom_jpeg_lossless import decode_jpeg_lossless
from service.core.errors import IntakeError, PixelDataDamaged, UnsupportedTransferSyntax

LOSSY = frozenset(
    (
        "1.2.840.10008.1.2.4.50",  # JPEG Baseline
        "1.2.840.10008.1.2.4.51",  # JPEG Extended, 8 or 12 bit
        "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
        "1.2.840.10008.1.2.4.91",  # JPEG 2000
    )
)

# OpenCV reports what it finds odd about a codestream on stderr; the error tree does that here.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

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
    decoder = _DECODERS.get(transfer_syntax_uid)
    if decoder is None:
        raise UnsupportedTransferSyntax("compressed by a transfer syntax that is not supported")
    return _fit_words(decoder(frame, pixel_format), pixel_format)


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
    return _shape(octets, pixel_format, is_planar=True)


def _decode_jpeg(frame: bytes, pixel_format: PixelFormat) -> NDArray[np.generic]:
    parts = split_jpeg(frame)
    _check_promise(parts.promise, pixel_format)
    if parts.process not in (SOF_BASELINE, SOF_EXTENDED):
        raise PixelDataDamaged("the codestream is not of the JPEG process that the header names")
    if parts.promise.precision == PRECISION:
        return _call(lambda: decode_jpeg_extended(parts))
    mode = "L" if pixel_format.samples == 1 else "RGB"
    picture = _call(lambda: Image.open(io.BytesIO(frame), formats=["JPEG"]).convert(mode))
    return np.asarray(picture)


def _decode_jpeg_lossless(frame: bytes, pixel_format: PixelFormat) -> NDArray[np.generic]:
    parts = split_jpeg(frame)
    _check_promise(parts.promise, pixel_format)
    if parts.process != SOF_LOSSLESS:
        raise PixelDataDamaged("the codestream is not of the JPEG process that the header names")
    samples = decode_jpeg_lossless(parts)
    return samples.astype(np.uint8) if pixel_format.bits_allocated == 8 else samples


def _decode_jpeg_ls(frame: bytes, pixel_format: PixelFormat) -> NDArray[np.generic]:
    parts = split_jpeg(frame)
    _check_promise(parts.promise, pixel_format)
    if parts.process != SOF_JPEG_LS:
        raise PixelDataDamaged("the codestream is not JPEG-LS")
    octets, info = _call(lambda: jpeg_ls.decode_buffer(frame))
    return _shape(octets, pixel_format, is_planar=info["interleave_mode"] == 0)


def _decode_jpeg_2000(frame: bytes, pixel_format: PixelFormat) -> NDArray[np.generic]:
    codestream = unwrap_jpeg_2000(frame)
    promise = read_jpeg_2000(codestream)
    _check_promise(promise, pixel_format)
    if promise.samples == 1 and not promise.signed:
        octets = np.frombuffer(codestream, np.uint8)
        samples = _call(lambda: cv2.imdecode(octets, cv2.IMREAD_UNCHANGED))
        if samples is None:
            raise PixelDataDamaged("the JPEG 2000 codestream does not decode")
        return samples
    decoded = _shape(
        cast(bytearray, _call(lambda: decode_pixel_data(codestream, version=2))), pixel_format
    )
    return decoded.view(f"i{decoded.dtype.itemsize}") if promise.signed else decoded


def _shape(
    octets: bytes | bytearray, pixel_format: PixelFormat, *, is_planar: bool = False
) -> NDArray[np.generic]:
    """Little-endian bytes of a codec as (H, W) or (H, W, 3)."""
    if len(octets) not in (pixel_format.sample_count, pixel_format.sample_count * 2):
        raise PixelDataDamaged("the codestream does not decode to the size that the header states")
    width = len(octets) // pixel_format.sample_count
    samples = np.frombuffer(octets, np.dtype(f"<u{width}"))
    rows, columns = pixel_format.rows, pixel_format.columns
    if pixel_format.samples == 1:
        return samples.reshape(rows, columns)
    if is_planar:
        return samples.reshape(-1, rows, columns).transpose(1, 2, 0)
    return samples.reshape(rows, columns, -1)


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
_DECODERS: dict[str, _Decoder] = {
    "1.2.840.10008.1.2.5": _decode_rle,
    "1.2.840.10008.1.2.4.50": _decode_jpeg,
    "1.2.840.10008.1.2.4.51": _decode_jpeg,
    "1.2.840.10008.1.2.4.57": _decode_jpeg_lossless,
    "1.2.840.10008.1.2.4.70": _decode_jpeg_lossless,
    "1.2.840.10008.1.2.4.80": _decode_jpeg_ls,
    "1.2.840.10008.1.2.4.81": _decode_jpeg_ls,
    "1.2.840.10008.1.2.4.90": _decode_jpeg_2000,
    "1.2.840.10008.1.2.4.91": _decode_jpeg_2000,
}

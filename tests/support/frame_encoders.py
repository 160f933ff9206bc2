"""One frame of stored words -> the codestream of a transfer syntax."""

from collections.abc import Callable
from typing import Any

import imagecodecs
import jpeg_ls
import numpy as np
from numpy.typing import NDArray
from openjpeg.utils import encode_array
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pydicom.uid import JPEGLossless as JPEGLosslessAny
from rle.utils import encode_pixel_data

from tests.support.jpeg_encoders import encode_jpeg_extended, encode_jpeg_lossless
from tests.support.phantoms import jpeg_bytes


def encode_frame(
    words: NDArray[np.integer[Any]], transfer_syntax: str, *, bits_stored: int, jp2: bool = False
) -> bytes:
    """Encode without loss, or, for a lossy syntax, with little.

    Parameters
    ----------
    jp2
        Wrap JPEG 2000 in a file header, which DICOM forbids and some senders leave in.
    """
    words = np.ascontiguousarray(words)
    encoders: dict[UID, Callable[[], bytes]] = {
        RLELossless: lambda: _encode_rle(words),
        JPEGBaseline8Bit: lambda: jpeg_bytes(words),
        JPEGExtended12Bit: lambda: encode_jpeg_extended(words),
        JPEGLosslessAny: lambda: encode_jpeg_lossless(words, precision=bits_stored, predictor=6),
        JPEGLosslessSV1: lambda: encode_jpeg_lossless(words, precision=bits_stored),
        JPEGLSLossless: lambda: bytes(jpeg_ls.encode_array(words)),
        JPEGLSNearLossless: lambda: bytes(jpeg_ls.encode_array(words, lossy_error=3)),
        JPEG2000Lossless: lambda: encode_array(
            words, bits_stored=bits_stored, codec_format=int(jp2)
        ),
        JPEG2000: lambda: encode_array(words, bits_stored=bits_stored, compression_ratios=[4]),
        HTJ2KLossless: lambda: bytes(imagecodecs.htj2k_encode(words, reversible=True)),
        HTJ2KLosslessRPCL: lambda: bytes(imagecodecs.htj2k_encode(words, reversible=True)),
        HTJ2K: lambda: bytes(imagecodecs.htj2k_encode(words, level=0.001, reversible=False)),
    }
    return encoders[UID(transfer_syntax)]()


def _encode_rle(words: NDArray[np.integer[Any]]) -> bytes:
    rows, columns, samples = (*words.shape, 1)[:3]
    encoded = encode_pixel_data(
        words.tobytes(),
        rows=rows,
        columns=columns,
        samples_per_pixel=samples,
        number_of_frames=1,
        bits_allocated=words.itemsize * 8,
        byteorder="<",
    )
    return bytes(encoded)

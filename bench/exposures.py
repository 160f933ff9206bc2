"""One drawn exposure as a DICOM file of every transfer syntax.

Axes: H rows, W columns.
"""

from collections.abc import Callable

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from rle.utils import encode_pixel_data

from service.core.findings import Finding
from training.phantoms import draw_chest

Words = NDArray[np.uint8 | np.uint16]
NOISE_RATIO = 0.0015
"""Of full scale: about the quantum noise of a detector at diagnostic dose."""

DRAWN_SIDE_PX = 640


def draw_exposure(rows: int, columns: int, *, bits: int) -> Words:
    """(H, W) words of a negative (MONOCHROME1), as noisy as a detector: noise is hard to pack."""
    drawn = draw_chest(7, Finding.PNEUMONIA, DRAWN_SIDE_PX, DRAWN_SIDE_PX)
    large = cv2.resize(drawn, (columns, rows), interpolation=cv2.INTER_CUBIC) / 65535.0
    noise = np.random.default_rng(7).normal(0, NOISE_RATIO, large.shape)
    levels = np.clip(1.0 - large + noise, 0, 1) * ((1 << bits) - 1)
    words: Words = np.rint(levels).astype(np.uint8 if bits == 8 else np.uint16)
    return words


def encode(words: Words, transfer_syntax: UID) -> bytes:
    """One frame as the codestream of a transfer syntax."""
    return bytes(_ENCODERS[transfer_syntax](words))


def bits_of(transfer_syntax: UID) -> int:
    """Bits stored: 16, but for the JPEG processes that cannot hold them."""
    return {JPEGBaseline8Bit: 8, JPEGExtended12Bit: 12}.get(transfer_syntax, 16)


def write_exposure(words: Words, transfer_syntax: UID, *, bits: int) -> bytes:
    """A part-10 file with a window, as a detector sends it for presentation."""
    dataset = Dataset()
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID, dataset.Modality = "1.2.826.0.1.3680043.9.7777.5", "DX"
    dataset.Rows, dataset.Columns = words.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME1"
    dataset.BitsAllocated = words.itemsize * 8
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.RescaleSlope, dataset.RescaleIntercept = "1", "0"
    dataset.WindowCenter, dataset.WindowWidth = str(1 << (bits - 1)), str(int(0.9 * (1 << bits)))
    if transfer_syntax == ExplicitVRLittleEndian:
        dataset.add_new("PixelData", "OB" if bits == 8 else "OW", words.tobytes())
    else:
        dataset.add_new("PixelData", "OB", encapsulate([encode(words, transfer_syntax)]))
        dataset["PixelData"].is_undefined_length = True
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    buffer = DicomBytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return bytes(buffer.getvalue())


def _encode_rle(words: Words) -> bytes:
    rows, columns = words.shape
    return encode_pixel_data(
        words.tobytes(), rows=rows, columns=columns, samples_per_pixel=1, number_of_frames=1,
        bits_allocated=words.itemsize * 8, byteorder="<",
    )  # fmt: skip


_ENCODERS: dict[UID, Callable[[Words], bytes | bytearray]] = {
    RLELossless: _encode_rle,
    JPEGBaseline8Bit: lambda words: imagecodecs.jpeg8_encode(words, level=90),
    JPEGExtended12Bit: lambda words: imagecodecs.jpeg8_encode(words, level=90, bitspersample=12),
    JPEGLosslessSV1: lambda words: imagecodecs.jpeg8_encode(
        words, lossless=True, predictor=1, bitspersample=16
    ),
    JPEGLSLossless: imagecodecs.jpegls_encode,
    JPEGLSNearLossless: lambda words: imagecodecs.jpegls_encode(words, level=3),
    JPEG2000Lossless: lambda words: imagecodecs.jpeg2k_encode(
        words, level=0, reversible=True, codecformat="J2K"
    ),
    JPEG2000: lambda words: imagecodecs.jpeg2k_encode(
        words, level=60, reversible=False, codecformat="J2K"
    ),
    HTJ2KLossless: lambda words: imagecodecs.htj2k_encode(words, reversible=True),
    HTJ2K: lambda words: imagecodecs.htj2k_encode(words, level=0.0005, reversible=False),
}

SYNTAXES: tuple[UID, ...] = (ExplicitVRLittleEndian, *_ENCODERS)

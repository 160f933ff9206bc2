"""Phantom radiographs as PNG, JPEG and DICOM bytes, each made to measure by keyword."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tests.support.frame_encoders import encode_frame
from tests.support.phantoms import (
    chest_levels,
    chest_phantom,
    jpeg_bytes,
    picture_bytes,
    png_bytes,
)
from tests.support.sentinels import sentinel_tags

__all__ = [
    "chest_levels",
    "chest_phantom",
    "coded",
    "dicom_bytes",
    "jpeg_bytes",
    "picture_bytes",
    "png_bytes",
    "sentinel_dicom_bytes",
    "write_dicom",
]

SOP_INSTANCE_UID = "1.2.826.0.1.3680043.9.7777.1.1"
STUDY_INSTANCE_UID = "1.2.826.0.1.3680043.9.7777.1"
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
Words = NDArray[np.integer[Any]]
Lut = tuple[Sequence[int], int, int]
"""Entries, first value mapped, bits of an entry."""


def dicom_bytes(
    stored: Words | None = None,
    *,
    photometric: str = "MONOCHROME2",
    presentation_lut_shape: str | None = None,
    bits_stored: int = 12,
    signed: bool = False,
    rescale: tuple[float, float] | None = None,
    window: tuple[object, object] | None = None,
    voi_lut: Lut | None = None,
    modality_lut: Lut | None = None,
    padding: Sequence[int] = (),
    transfer_syntax: str = ExplicitVRLittleEndian,
    frame: bytes | None = None,
    modality: str = "DX",
    view: str | None = "PA",
    body_part: str | None = "CHEST",
    age: str | None = "045Y",
    preamble: bytes = bytes(128),
    tags: Mapping[str, object] | None = None,
) -> bytes:
    """One DICOM file, of the phantom unless other words are given.

    Parameters
    ----------
    stored
        (H, W) or (H, W, 3) words of 8 or 16 bits.
    rescale
        Slope and intercept.
    padding
        Pixel Padding Value, and Range Limit if there is a second number.
    frame
        Encoded frame to store as it is, whatever it holds.
    tags
        Set last, by keyword; None deletes.
    """
    words = chest_levels(bits=bits_stored) if stored is None else stored
    dataset = _describe_exam(modality, view, body_part, age)
    _describe_pixels(dataset, words, photometric, bits_stored, signed=signed)
    for keyword, limit in zip(_PADDING, padding, strict=False):
        dataset.add_new(keyword, "SS" if signed else "US", limit)
    values: dict[str, object] = {
        "PresentationLUTShape": presentation_lut_shape,
        "RescaleSlope": None if rescale is None else str(rescale[0]),
        "RescaleIntercept": None if rescale is None else str(rescale[1]),
        "WindowCenter": None if window is None else window[0],
        "WindowWidth": None if window is None else window[1],
        "VOILUTSequence": None if voi_lut is None else [build_lut(voi_lut)],
        "ModalityLUTSequence": None if modality_lut is None else [build_lut(modality_lut)],
    }
    if frame is None and transfer_syntax not in NATIVE:
        frame = encode_frame(words, transfer_syntax, bits_stored=bits_stored)
    _store_pixels(dataset, words, transfer_syntax, frame)
    _set_tags(dataset, {**values, **(tags or {})})
    return write_dicom(dataset, transfer_syntax, preamble=preamble)


def sentinel_dicom_bytes(tags: Mapping[str, object] | None = None) -> tuple[bytes, tuple[str, ...]]:
    """A readable chest radiograph full of identifying values, and all of these values.

    Parameters
    ----------
    tags
        Set last; may damage the file, or replace a sentinel.
    """
    sentinels, values = sentinel_tags()
    return dicom_bytes(tags={**sentinels, **(tags or {})}), values


def coded(code: str) -> list[Dataset]:
    """A code sequence of one item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "SCT", "free text"
    return [item]


def build_lut(lut: Lut) -> Dataset:
    """Item of a Modality or VOI LUT Sequence, with entries of 16 bits each."""
    entries, first, bits = lut
    item = Dataset()
    count = len(entries) % 65536
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [count, first, bits])
    item.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    return item


def write_dicom(
    dataset: Dataset,
    transfer_syntax: str = ExplicitVRLittleEndian,
    *,
    preamble: bytes = bytes(128),
) -> bytes:
    """Part-10 bytes of any data set."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", "1.2.3")
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", SOP_INSTANCE_UID)
    dataset.file_meta = meta
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return preamble + buffer.getvalue()[128:]


_PADDING = ("PixelPaddingValue", "PixelPaddingRangeLimit")


def _describe_exam(
    modality: str, view: str | None, body_part: str | None, age: str | None
) -> Dataset:
    dataset = Dataset()
    is_cr = modality == "CR"
    _set_tags(
        dataset,
        {
            "SOPClassUID": ComputedRadiographyImageStorage
            if is_cr
            else DigitalXRayImageStorageForPresentation,
            "SOPInstanceUID": SOP_INSTANCE_UID,
            "StudyInstanceUID": STUDY_INSTANCE_UID,
            "Modality": modality,
            "ImageType": ["ORIGINAL", "PRIMARY"],
            "PresentationIntentType": None if is_cr else "FOR PRESENTATION",
            "ViewPosition": view,
            "BodyPartExamined": body_part,
            "PatientAge": age,
            "PatientID": "PHANTOM-1",
            "StudyDate": "20240615",
            "ImagerPixelSpacing": ["0.15", "0.15"],
        },
    )
    return dataset


def _describe_pixels(
    dataset: Dataset,
    words: Words,
    photometric: str,
    bits_stored: int,
    *,
    signed: bool,
) -> None:
    bits_allocated = words.dtype.itemsize * 8
    dataset.Rows, dataset.Columns = words.shape[:2]
    dataset.SamplesPerPixel = 1 if words.ndim == 2 else words.shape[2]
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = bits_allocated
    dataset.BitsStored = min(bits_stored, bits_allocated)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(signed)
    if words.ndim == 3:
        dataset.PlanarConfiguration = 0


def _store_pixels(
    dataset: Dataset, words: Words, transfer_syntax: str, frame: bytes | None
) -> None:
    if frame is not None:
        dataset.add_new("PixelData", "OB", encapsulate([frame]))
        dataset["PixelData"].is_undefined_length = True
        return
    is_swapped = transfer_syntax == ExplicitVRBigEndian
    octets = (words.byteswap() if is_swapped else words).tobytes()
    vr = "OB" if words.dtype.itemsize == 1 else "OW"
    dataset.add_new("PixelData", vr, octets + bytes(len(octets) % 2))


def _set_tags(dataset: Dataset, tags: Mapping[str, object]) -> None:
    for keyword, value in tags.items():
        if value is not None:
            setattr(dataset, keyword, value)
        elif keyword in dataset:
            delattr(dataset, keyword)

"""Drawn chests as uploads, for the golden self-test: no patient, and the same bytes each time.

Axes: H rows, W columns.
"""

import io
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from scipy.special import expit

from service.core.findings import Finding
from service.core.radiograph import WHITE, Grey

ROWS, COLUMNS = 384, 352
UID_ROOT = "2.25.303920614870174105"
STORED_BITS = 12

LUNG_ROW, LUNG_COLUMN, LUNG_HEIGHT, LUNG_REACH = -0.05, 0.42, 0.68, (0.27, 0.33)
HEART_CENTER, HEART_HEIGHT, HEART_REACH = (0.3, 0.14), 0.36, (0.28, 0.36)
"""From the middle of the picture, in half sides; a reach is drawn evenly between two."""

Canvas = NDArray[np.float64]


def draw_chest(seed: int, finding: Finding, rows: int = ROWS, columns: int = COLUMNS) -> Grey:
    """A frontal chest: body, lungs, heart, spine and ribs; opacities as the finding has them."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    canvas = 0.72 * _blob(y, x, (0.1, 0.0), (1.25, 0.95))
    for side in (-1, 1):
        reach = generator.uniform(*LUNG_REACH)
        canvas -= 0.5 * _blob(y, x, (LUNG_ROW, LUNG_COLUMN * side), (LUNG_HEIGHT, reach))
    heart_reach = generator.uniform(*HEART_REACH)
    canvas += 0.3 * _blob(y, x, HEART_CENTER, (HEART_HEIGHT, heart_reach))
    canvas += 0.16 * np.exp(-((x / 0.09) ** 2))
    canvas += 0.05 * np.sin(16 * y + 5 * x**2 + generator.uniform(0, 6)) * (np.abs(x) < 0.8)
    for center, size, strength in _opacities(finding, generator):
        canvas += strength * _blob(y, x, center, size)
    canvas += generator.normal(0, 0.012, canvas.shape)
    return np.asarray(np.clip(canvas, 0, 1) * WHITE, np.uint16)


def draw_lungs(seed: int, rows: int = ROWS, columns: int = COLUMNS) -> NDArray[np.bool_]:
    """(rows, columns), true where `draw_chest` of the same seed draws lung, heart not counted."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    inside = np.zeros((rows, columns), np.bool_)
    for side in (-1, 1):
        reach = generator.uniform(*LUNG_REACH)
        inside |= _blob(y, x, (LUNG_ROW, LUNG_COLUMN * side), (LUNG_HEIGHT, reach)) > 0.5
    heart = _blob(y, x, HEART_CENTER, (HEART_HEIGHT, generator.uniform(*HEART_REACH))) > 0.5
    return np.asarray(inside & ~heart)


def encode_png8(grey: Grey) -> bytes:
    """PNG, 8 bit."""
    return _encode((grey >> 8).astype(np.uint8), "PNG")


def encode_png16(grey: Grey) -> bytes:
    """PNG, 16 bit."""
    return _encode(grey, "PNG")


def encode_jpeg(grey: Grey) -> bytes:
    """JPEG, quality 95."""
    return _encode((grey >> 8).astype(np.uint8), "JPEG")


def encode_dicom(
    grey: Grey,
    *,
    inverted: bool = False,
    age_years: int = 45,
    tags: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """A digital radiograph (PA, for presentation) of 12 bit; inverted: MONOCHROME1.

    Parameters
    ----------
    tags
        Values that replace, or stand beside, those of a phantom, by their DICOM keyword.
    """
    stored = grey >> (16 - STORED_BITS)
    if inverted:
        stored = (1 << STORED_BITS) - 1 - stored
    dataset = _describe_dicom(f"{age_years:03d}Y", "MONOCHROME1" if inverted else "MONOCHROME2")
    dataset.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    dataset.Rows, dataset.Columns = grey.shape
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = stored.astype("<u2").tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def golden_uploads() -> tuple[bytes, ...]:
    """One upload of each finding and each kind of file that the service reads."""
    normal, pneumonia, tuberculosis = (draw_chest(11 + i, f) for i, f in enumerate(Finding))
    return (
        encode_png8(normal),
        encode_png16(pneumonia),
        encode_jpeg(tuberculosis),
        encode_dicom(draw_chest(21, Finding.NORMAL, rows=420)),
        encode_dicom(draw_chest(22, Finding.PNEUMONIA, columns=420), inverted=True),
        encode_dicom(draw_chest(23, Finding.TUBERCULOSIS)),
    )


def _opacities(
    finding: Finding, generator: np.random.Generator
) -> list[tuple[tuple[float, float], tuple[float, float], float]]:
    """Center, size and strength: one lower-lobe consolidation, or several apical nodules."""
    side = float(generator.choice([-1, 1]))
    if finding is Finding.PNEUMONIA:
        center = (generator.uniform(0.15, 0.3), side * generator.uniform(0.35, 0.5))
        return [(center, (0.3, 0.24), 0.4)]
    if finding is Finding.TUBERCULOSIS:
        return [
            ((generator.uniform(-0.6, -0.25), side * generator.uniform(0.25, 0.5)), (0.1, 0.1), 0.4)
            for _ in range(5)
        ]
    return []


def _blob(y: Canvas, x: Canvas, center: tuple[float, float], size: tuple[float, float]) -> Canvas:
    """A soft-edged ellipse of height 1."""
    distance = ((y - center[0]) / size[0]) ** 2 + ((x - center[1]) / size[1]) ** 2
    return np.asarray(expit(12 * (1 - distance)))


def _encode(levels: NDArray[np.uint8] | Grey, file_format: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, format=file_format, quality=95)
    return buffer.getvalue()


def _describe_dicom(age: str, photometric_interpretation: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = UID(f"{UID_ROOT}.3")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = f"{UID_ROOT}.3"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{UID_ROOT}.1", f"{UID_ROOT}.2"
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "CHEST", "PA"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.PatientName, dataset.PatientID = "PHANTOM", "PHANTOM"
    dataset.PatientAge, dataset.PatientSex = age, "O"
    dataset.BurnedInAnnotation = "NO"
    dataset.PhotometricInterpretation = photometric_interpretation
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, STORED_BITS, STORED_BITS - 1
    dataset.PixelSpacing = dataset.ImagerPixelSpacing = [1.0, 1.0]
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, 0, "US"
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    return dataset

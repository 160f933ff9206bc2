"""A drawn chest as a DICOM file in which every tag that could identify a person is marked."""

import io
import mmap
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from service.core.artifact import GOLDEN, Artifact
from service.core.golden import read_golden
from service.core.intake import read_radiograph

MARKED = (
    "PatientName", "PatientID", "OtherPatientNames", "PatientMotherBirthName", "PatientAddress",
    "PatientComments", "ReferringPhysicianName", "OperatorsName", "InstitutionName",
    "InstitutionAddress", "StudyDescription", "SeriesDescription", "ProtocolName",
    "DeviceSerialNumber", "ImageComments", "AdditionalPatientHistory", "AccessionNumber",
    "StudyID", "StationName", "PatientTelephoneNumbers",
)  # fmt: skip
"""Keywords; their values are drawn anew each time, so that no trace of an earlier run counts."""

MARK_BYTES = 7
"""With two letters before it 16 characters, the most that a short string (SH) holds."""

CODINGS = ("ascii", "utf-16-le", "utf-16-be")

ROOT = "2.25."
"""UIDs made from a random number (PS3.5 B.2)."""


@dataclass(frozen=True, slots=True)
class Phantom:
    """The upload, what must be found nowhere, and what the model said of it at release."""

    body: bytes = field(repr=False)
    marks: dict[str, str]
    """By keyword, also the UIDs."""
    probabilities: tuple[float, ...]

    @property
    def sop_instance_uid(self) -> str:
        """Names it at the PACS."""
        return self.marks["SOPInstanceUID"]


def draw_phantom(artifact: Artifact) -> Phantom:
    """Draw the first golden chest of a version, with marks of this moment."""
    golden = read_golden(artifact.files[GOLDEN])
    grey = read_radiograph(golden.uploads[0]).grey
    marks = {keyword: f"ZQ{secrets.token_hex(MARK_BYTES).upper()}" for keyword in MARKED}
    uids = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
    marks |= {keyword: f"{ROOT}{secrets.randbits(120)}" for keyword in uids}
    probabilities = tuple(float(value) for value in golden.probabilities[0])
    return Phantom(_write(grey.astype(np.uint16), marks), marks, probabilities)


def find_marks(phantom: Phantom, traces: bytes | mmap.mmap) -> list[str]:
    """Keywords whose mark stands in the bytes, as text of one or of two bytes a letter."""
    return [
        keyword
        for keyword, mark in phantom.marks.items()
        if any(traces.find(mark.encode(coding)) >= 0 for coding in CODINGS)
    ]


def find_marks_in_file(phantom: Phantom, path: Path) -> list[str]:
    """The same in a file of any size; one that is gone by now was not kept.

    Raises
    ------
    PermissionError
        It is another user's.
    """
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as traces,
        ):
            return find_marks(phantom, traces)
    except (FileNotFoundError, ValueError):  # ValueError: it was emptied meanwhile
        return []


def _write(grey: np.ndarray[tuple[int, ...], np.dtype[np.uint16]], marks: dict[str, str]) -> bytes:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.Modality, dataset.PresentationIntentType = "DX", "FOR PRESENTATION"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.BodyPartExamined, dataset.ViewPosition, dataset.PatientAge = "CHEST", "PA", "045Y"
    dataset.PatientOrientation = ["L", "F"]
    for keyword, mark in marks.items():
        setattr(dataset, keyword, mark)
    dataset.Rows, dataset.Columns = grey.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 0
    dataset.PixelData = grey.tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()

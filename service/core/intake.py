"""Bytes -> Radiograph: sniff what they are, enforce limits, call the right reader."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from service.core.dicom import NoteContext, looks_like_dicom, read_dicom
from service.core.errors import BodyTooLarge, EmptyUpload, UnknownFormat
from service.core.radiograph import FileFormat, Radiograph
from service.core.raster import read_raster
from service.core.scope import IntendedUse, check_tags

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"
OTHER_FORMATS: Final = (
    (0, b"II*\0", "TIFF"), (0, b"MM\0*", "TIFF"), (0, b"BM", "BMP"), (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"), (4, b"ftyp", "HEIC, AVIF or a film"), (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"), (4, b"JXL ", "JPEG XL"), (0, b"\xff\x0a", "JPEG XL"),
    (0, b"%PDF", "PDF"), (0, b"\x1f\x8b", "gzip"), (0, b"PK\3\4", "ZIP"),
    (0, b"iVBORw0KGgo", "PNG in Base64"), (0, b"/9j/", "JPEG in Base64"),
    (0, b"A" * 168, "DICOM in Base64"), (0, b"--", "parts of a message that is no form"),
    (0, b"\r\n--", "parts of a message that is no form"),
)  # fmt: skip
"""Where they have their magic; named to the sender, who may not know what was sent."""


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """What is refused before it is decoded.

    The defaults pass every real radiograph: a 64 megapixel mammography detector is larger than
    any chest detector.
    """

    max_body_bytes: int = 100_000_000
    max_pixels: int = 64_000_000
    min_side_px: int = 64


def sniff(body: bytes) -> FileFormat | None:
    """Tell the format by content alone; headers and file names are not trusted."""
    if body.startswith(PNG_MAGIC):
        return FileFormat.PNG
    if body.startswith(JPEG_MAGIC):
        return FileFormat.JPEG
    return FileFormat.DICOM if looks_like_dicom(body) else None


def read_radiograph(
    body: bytes,
    limits: IntakeLimits = IntakeLimits(),
    *,
    intended_use: IntendedUse | None = None,
    note: NoteContext | None = None,
) -> Radiograph:
    """Read a PNG, JPEG or DICOM upload.

    Parameters
    ----------
    intended_use
        What tags alone put outside of it is refused before a pixel is decoded, or missed; the
        rest of `check_scope` is the caller's. None reads whatever can be read.
    note
        Is told what the tags of a DICOM upload say, whether its pixels can be read or not.

    Raises
    ------
    IntakeError
        One of its leaves: the sender can mend it.
    NotEvaluated
        A valid object that holds no single frame to evaluate, or one outside the intended use.
    """
    if not body:
        raise EmptyUpload("the upload is empty; expected a PNG, JPEG or DICOM file")
    if len(body) > limits.max_body_bytes:
        raise BodyTooLarge(f"{len(body)} bytes; at most {limits.max_body_bytes} are accepted")
    file_format = sniff(body)
    if file_format is None:
        raise UnknownFormat(_describe(body))
    bounds = {"max_pixels": limits.max_pixels, "min_side_px": limits.min_side_px}
    if file_format is FileFormat.DICOM:
        check = None if intended_use is None else partial(check_tags, intended_use=intended_use)
        return read_dicom(body, **bounds, note=note, check=check)
    return read_raster(body, file_format, **bounds)


def _describe(body: bytes) -> str:
    """What was seen instead, where it is a known format."""
    for offset, magic, name in OTHER_FORMATS:
        if body.startswith(magic, offset):
            return f"the bytes look like {name}; expected PNG, JPEG or DICOM"
    return "the bytes are neither PNG, JPEG nor DICOM"

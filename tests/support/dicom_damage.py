"""DICOM files that are odd, damaged or hostile in ways that no writer offers."""

import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from openjpeg.utils import encode_array
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ImplicitVRLittleEndian

from tests.support.phantoms import chest_levels
from tests.support.radiographs import dicom_bytes, write_dicom

IMAGE_END = b"\xff\xd9"


def palette_tags(scale: tuple[int, int, int] = (1, 1, 1)) -> dict[str, object]:
    """A palette whose channels are the index times `scale`."""
    tags: dict[str, object] = {}
    for name, factor in zip(("Red", "Green", "Blue"), scale, strict=True):
        entries = np.arange(256, dtype=np.uint8) * np.uint8(factor)
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
        tags[f"{name}PaletteColorLookupTableData"] = entries.tobytes()
    return tags


def planes(colour: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same octets plane by plane, under the same shape."""
    return np.ascontiguousarray(colour.transpose(2, 0, 1)).reshape(colour.shape)


def cut(count: int) -> Callable[[bytes], bytes]:
    """Drop the last bytes of the file."""
    return lambda body: body[:-count]


def half(body: bytes) -> bytes:
    """The first half of the file."""
    return body[: len(body) // 2]


def until_pixel_format(body: bytes) -> bytes:
    """All that stands before Samples per Pixel, cut between two elements."""
    return body[: body.index(b"\x28\0\x02\0US")]


def without_preamble(body: bytes) -> bytes:
    """Only the data set and its meta header."""
    return body[132:]


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Overwrite what stands first in the file."""

    def change(body: bytes) -> bytes:
        assert old in body
        return body.replace(old, new, 1)

    return change


def behind(tail: bytes) -> Callable[[bytes], bytes]:
    """Append to the file."""
    return lambda body: body + tail


def in_fragments(frame: bytes, count: int) -> Callable[[bytes], bytes]:
    """Store the frame in several fragments, with a Basic Offset Table, instead of in one."""

    def change(body: bytes) -> bytes:
        start = body.index(b"\xe0\x7f\x10\x00OB")
        pixels = encapsulate([frame], fragments_per_frame=count, has_bot=True)
        return body[: start + 12] + pixels + b"\xfe\xff\xdd\xe0\0\0\0\0"

    return change


def shortened(frame: bytes, missing: int) -> bytes:
    """A codestream that lacks its last bytes, but for the marker that ends it."""
    return frame[: -missing - 2] + IMAGE_END


def filled(frame: bytes, count: int = 1) -> bytes:
    """A JPEG codestream with fill bytes before the marker that ends it, as DCMTK writes it."""
    return frame[:-2] + b"\xff" * count + frame[-2:]


def report(sop_class: UID, modality: str) -> Callable[[object], bytes]:
    """An object of a PACS that is no image."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.Modality = sop_class, modality
    body = write_dicom(dataset)
    return lambda _tags: body


def nested(depth: int) -> bytes:
    """A chest radiograph whose header opens `depth` sequences, one in the other."""
    opening = struct.pack("<HHI", 0x0008, 0x1140, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    closing = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    body = dicom_bytes(chest_levels(96, 80), transfer_syntax=ImplicitVRLittleEndian)
    at = body.index(struct.pack("<HHI", 0x0010, 0x0020, 10))
    return body[:at] + opening * depth + closing * depth + body[at:]


def with_sequence(tag: int, items: int, times: int = 1) -> Callable[[bytes], bytes]:
    """Before the pixels, a sequence of undefined length with so many empty items."""
    header = struct.pack("<HH2sxxI", tag >> 16, tag & 0xFFFF, b"SQ", 0xFFFFFFFF)
    item, end = (struct.pack("<HHI", 0xFFFE, element, 0) for element in (0xE000, 0xE0DD))

    def change(body: bytes) -> bytes:
        at = body.rindex(b"\xe0\x7f\x10\x00")
        return body[:at] + (header + item * items + end) * times + body[at:]

    return change


def huge_jpeg_2000(side_px: int = 8192) -> bytes:
    """A few hundred bytes that decode to 134 MB: 8192 x 8192 samples of 16 bits."""
    frame = encode_array(np.zeros((64, 64), np.uint16), bits_stored=16)
    size = struct.pack(">II", side_px, side_px)
    return frame[:8] + size + frame[16:24] + size + frame[32:]

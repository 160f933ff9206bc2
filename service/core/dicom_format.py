"""Tags -> the checked Image Pixel module: how the stored words are to be read."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.core.dicom_tags import Tags
from service.core.errors import DamagedFile, UnsupportedPixelFormat

Words = NDArray[np.uint8 | np.uint16]
"""(H, W) or (H, W, 3), Bits Allocated wide; sign and unused bits still as stored."""

MONOCHROME: Final = ("MONOCHROME1", "MONOCHROME2")
COLOUR: Final = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
PALETTE: Final = "PALETTE COLOR"


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """The Image Pixel module (PS3.3 C.7.6.3), checked."""

    rows: int
    columns: int
    frames: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric_interpretation: str
    planar: bool

    @property
    def sample_count(self) -> int:
        """Samples in one frame."""
        return self.rows * self.columns * self.samples

    @property
    def word_bytes(self) -> int:
        """Bytes of one stored sample."""
        return self.bits_allocated // 8

    @property
    def shift(self) -> int:
        """Unused bits below those of the sample."""
        return self.high_bit + 1 - self.bits_stored

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Unsigned word of Bits Allocated."""
        return np.uint8 if self.bits_allocated == 8 else np.uint16


def read_pixel_format(tags: Tags) -> PixelFormat:
    """Check the attributes that say how pixels are stored.

    Raises
    ------
    DamagedFile
        A required attribute is missing, or they contradict each other.
    UnsupportedPixelFormat
        Valid, and not an 8 or 16 bit grey or colour picture.
    """
    bits_allocated = _require(tags, "BitsAllocated", least=1)
    bits_stored = _require(tags, "BitsStored", least=1)
    high_bit = tags.integer("HighBit")
    pixel_format = PixelFormat(
        rows=_require(tags, "Rows", least=1),
        columns=_require(tags, "Columns", least=1),
        frames=_read_frames(tags),
        samples=_require(tags, "SamplesPerPixel", least=1),
        bits_allocated=bits_allocated,
        bits_stored=bits_stored,
        high_bit=bits_stored - 1 if high_bit is None else high_bit,
        signed=tags.integer("PixelRepresentation") == 1,
        photometric_interpretation=tags.text("PhotometricInterpretation").upper(),
        planar=tags.integer("PlanarConfiguration") == 1,
    )
    _check(pixel_format)
    return pixel_format


def _require(tags: Tags, keyword: str, *, least: int) -> int:
    value = tags.integer(keyword)
    if value is None or value < least:
        raise DamagedFile(f"{keyword} is missing or invalid; expected {least} or more")
    return value


def _read_frames(tags: Tags) -> int:
    """Number of Frames; absent or empty means one."""
    frames = tags.integer("NumberOfFrames")
    if tags.is_unreadable("NumberOfFrames") or (frames is not None and frames < 1):
        raise DamagedFile("NumberOfFrames is invalid; expected 1 or more")
    return frames or 1


def _check(pixel_format: PixelFormat) -> None:
    allocated, stored = pixel_format.bits_allocated, pixel_format.bits_stored
    if allocated not in (8, 16):
        raise UnsupportedPixelFormat(f"{allocated} bits allocated; expected 8 or 16")
    if stored > allocated or not stored - 1 <= pixel_format.high_bit < allocated:
        raise DamagedFile(
            f"{stored} bits stored with high bit {pixel_format.high_bit} do not fit {allocated}"
        )
    photometric = pixel_format.photometric_interpretation
    is_single = photometric in MONOCHROME or photometric == PALETTE
    if not photometric or (is_single and pixel_format.samples != 1):
        raise DamagedFile("PhotometricInterpretation is missing or contradicts SamplesPerPixel")
    if not is_single and (photometric not in COLOUR or pixel_format.samples != 3):
        raise UnsupportedPixelFormat("neither grey, RGB, YBR nor palette colour")
    if pixel_format.samples == 3 and allocated != 8:
        raise UnsupportedPixelFormat("colour with more than 8 bits a channel")

"""What arrives from a PACS and must not be scored: one row a case, each with its code.

Bytes that are no DICOM are in `raster_catalogue`.
"""

from pathlib import Path

import numpy as np
from openjpeg.utils import encode_array
from pydicom.data import get_testdata_file
from pydicom.uid import (
    MPEG2MPML,
    UID,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEG2000MCLossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    VLPhotographicImageStorage,
)

from tests.support.cases import LEVELS, Case, refused, upload
from tests.support.dicom_catalogue import SIGNED_FRAME
from tests.support.dicom_damage import (
    cut,
    filled,
    half,
    huge_jpeg_2000,
    nested,
    palette_tags,
    planes,
    replaced,
    shortened,
    until_pixel_format,
)
from tests.support.frame_encoders import encode_frame
from tests.support.scope_catalogue import COLOURED, LEVELS_8, PURPOSE

JPEG_XL = UID("1.2.840.10008.1.2.4.110")
VENDOR_PRIVATE = UID("1.2.840.113619.5.2")
BLANK = np.full((96, 80), 700, np.uint16)
NOISE = np.random.default_rng(0).integers(600, 900, (96, 80)).astype(np.uint16)
SLOPE = (700 + np.add.outer(np.arange(96) // 4, np.zeros(80))).astype(np.uint16)
J2K = encode_array(LEVELS, bits_stored=12)
HALF_BLACK = LEVELS_8.copy()
HALF_BLACK[60:] = 0
DEFLATED = Path(str(get_testdata_file("image_dfl.dcm", download=False))).read_bytes()


def frame_of(transfer_syntax: str, *, missing: int = 0) -> bytes:
    """The exposure as a codestream, without its last bytes."""
    bits = 8 if transfer_syntax == JPEGBaseline8Bit else 12
    words = LEVELS_8 if bits == 8 else LEVELS
    return shortened(encode_frame(words, transfer_syntax, bits_stored=bits), missing)


CONTENT: dict[str, Case] = {
    "multi-frame": refused(
        "MULTI_FRAME", tags={"NumberOfFrames": 2, "PixelData": LEVELS.tobytes() * 2}
    ),
    "coloured RGB": refused("UNSUPPORTED_PIXEL_FORMAT", COLOURED, photometric="RGB", bits_stored=8),
    "coloured RGB, planar": refused(
        "UNSUPPORTED_PIXEL_FORMAT",
        planes(COLOURED),
        photometric="RGB",
        bits_stored=8,
        tags={"PlanarConfiguration": 1},
    ),
    "coloured photograph": refused(
        "UNSUPPORTED_PIXEL_FORMAT",
        COLOURED,
        photometric="RGB",
        bits_stored=8,
        tags={"SOPClassUID": VLPhotographicImageStorage},
    ),
    "coloured palette": refused(
        "UNSUPPORTED_PIXEL_FORMAT",
        LEVELS_8,
        photometric="PALETTE COLOR",
        bits_stored=8,
        tags=palette_tags((1, 2, 3)),
    ),
    "palette in segments": refused(
        "UNSUPPORTED_PIXEL_FORMAT",
        LEVELS_8,
        photometric="PALETTE COLOR",
        bits_stored=8,
        tags={
            "RedPaletteColorLookupTableDescriptor": [256, 0, 16],
            "SegmentedRedPaletteColorLookupTableData": b"\1\0\0\1\0\0\xff\xff",
        },
    ),
    "16-bit colour": refused(
        "UNSUPPORTED_PIXEL_FORMAT", np.dstack([LEVELS] * 3), photometric="RGB"
    ),
    "32 bits": refused("UNSUPPORTED_PIXEL_FORMAT", tags={"BitsAllocated": 32}),
    "1 bit": refused("UNSUPPORTED_PIXEL_FORMAT", tags={"BitsAllocated": 1, "BitsStored": 1}),
    "constant": refused("IMAGE_BLANK", BLANK),
    "noise": refused("IMAGE_BLANK", NOISE),
    "noise of three levels": refused("IMAGE_BLANK", NOISE // 100, window=(2048, 4096)),
    "noise under a window far too wide": refused("IMAGE_BLANK", NOISE, window=(2048, 409_600)),
    "slope of an empty exposure": refused("IMAGE_BLANK", SLOPE, window=(2048, 4096)),
    "8-bit picture in three levels": refused(
        "IMAGE_BLANK", LEVELS_8 // 100, bits_stored=8, window=(128, 256)
    ),
    "slope 0": refused("IMAGE_BLANK", rescale=(0, 5)),
    "all padding": refused("IMAGE_BLANK", BLANK, padding=(700,)),
    "contradicting polarity, no chest to judge by": refused(
        "POLARITY_AMBIGUOUS", NOISE, photometric="MONOCHROME1", presentation_lut_shape="IDENTITY"
    ),
    "too small": refused("IMAGE_TOO_SMALL", LEVELS[:40]),
}

SYNTAX: dict[str, Case] = {
    "deflated": upload("UNSUPPORTED_TRANSFER_SYNTAX", DEFLATED),
    "MPEG": refused("UNSUPPORTED_TRANSFER_SYNTAX", transfer_syntax=MPEG2MPML, frame=b"\0\0"),
    "JPEG 2000, part 2": refused(
        "UNSUPPORTED_TRANSFER_SYNTAX", transfer_syntax=JPEG2000MCLossless, frame=J2K
    ),
    "JPEG XL": refused(
        "UNSUPPORTED_TRANSFER_SYNTAX",
        transfer_syntax=HTJ2KLossless,
        change=replaced(HTJ2KLossless.encode(), JPEG_XL.encode()),
    ),
    "private": refused(
        "UNSUPPORTED_TRANSFER_SYNTAX",
        transfer_syntax=ImplicitVRLittleEndian,
        change=replaced(ImplicitVRLittleEndian.encode() + b"\0", VENDOR_PRIVATE.encode()),
    ),
    "encapsulated under a native syntax": refused(
        "PIXEL_DATA_DAMAGED", transfer_syntax=ImplicitVRLittleEndian, frame=J2K
    ),
    "JPEG under the name of JPEG 2000": refused(
        "PIXEL_DATA_DAMAGED", transfer_syntax=JPEG2000Lossless, frame=frame_of(JPEGLosslessSV1)
    ),
}

DAMAGE: dict[str, Case] = {
    "pixel data cut": refused("PIXEL_DATA_DAMAGED", change=cut(100)),
    "file cut in half": refused("PIXEL_DATA_DAMAGED", change=half),
    "header cut": refused("DAMAGED_FILE", change=lambda body: body[:400]),
    "fewer bytes than the header says": refused("PIXEL_DATA_DAMAGED", tags={"Rows": 97}),
    "more bytes than the header says": refused("PIXEL_DATA_DAMAGED", tags={"Rows": 90}),
    "no pixel data": refused("NO_PIXEL_DATA", tags={"PixelData": None}),
    "CR of a header alone": refused(
        "NO_PIXEL_DATA", modality="CR", tags={"PixelData": None, "Rows": None, "Columns": None}
    ),
    "file cut before its image description": refused("NO_PIXEL_DATA", change=until_pixel_format),
    "more bits stored than allocated": refused("DAMAGED_FILE", tags={"BitsStored": 17}),
    "no rows": refused("DAMAGED_FILE", tags={"Rows": None}),
    "no photometric interpretation": refused(
        "DAMAGED_FILE", tags={"PhotometricInterpretation": None}
    ),
    "slope that is no number": refused(
        "DAMAGED_FILE", rescale=(-1, 4095), change=replaced(b"DS\2\0-1", b"DS\2\0-x")
    ),
    "slope beyond all measure": refused("DAMAGED_FILE", rescale=("1e308", 0)),
    "VOI LUT shorter than it says": refused(
        "DAMAGED_FILE",
        voi_lut=([1, 2, 3], 0, 12),
        change=replaced(b"\x02\x30US\6\0\3\0", b"\x02\x30US\6\0\x00\x10"),
    ),
    "cut JPEG 2000": refused(
        "PIXEL_DATA_DAMAGED", transfer_syntax=JPEG2000Lossless, frame=J2K[:-400]
    ),
    "cut JPEG 2000, its end marker put back": refused(
        "PIXEL_DATA_DAMAGED", transfer_syntax=JPEG2000Lossless, frame=shortened(J2K, 400)
    ),
    "malformed JPEG 2000": refused(
        "PIXEL_DATA_DAMAGED",
        transfer_syntax=JPEG2000Lossless,
        frame=J2K.replace(b"\xff\x52\x00\x0c", b"\xff\x52\xff\xff"),
    ),
    "JPEG 2000 with samples below zero, unsigned by the header": refused(
        "PIXEL_DATA_DAMAGED", transfer_syntax=JPEG2000Lossless, frame=SIGNED_FRAME
    ),
    "cut JPEG-LS, its end marker put back": refused(
        "PIXEL_DATA_DAMAGED",
        transfer_syntax=JPEGLSLossless,
        frame=frame_of(JPEGLSLossless, missing=400),
    ),
    "cut JPEG Lossless, its end marker put back": refused(
        "PIXEL_DATA_DAMAGED",
        transfer_syntax=JPEGLosslessSV1,
        frame=frame_of(JPEGLosslessSV1, missing=400),
    ),
    "cut JPEG, its end marker put back": refused(
        "PIXEL_DATA_DAMAGED",
        LEVELS_8,
        bits_stored=8,
        transfer_syntax=JPEGBaseline8Bit,
        frame=frame_of(JPEGBaseline8Bit, missing=400),
    ),
    "cut 12-bit JPEG, its end marker put back": refused(
        "PIXEL_DATA_DAMAGED",
        transfer_syntax=JPEGExtended12Bit,
        frame=frame_of(JPEGExtended12Bit, missing=400),
    ),
    "cut JPEG, its end marker put back behind fill bytes": refused(
        "PIXEL_DATA_DAMAGED",
        LEVELS_8,
        bits_stored=8,
        transfer_syntax=JPEGBaseline8Bit,
        frame=filled(frame_of(JPEGBaseline8Bit, missing=400), 2),
    ),
    "garbage as RLE": refused(
        "PIXEL_DATA_DAMAGED", transfer_syntax=RLELossless, frame=b"\x07" * 200
    ),
}

HOSTILE: dict[str, Case] = {
    "JPEG 2000 larger than the header says": refused(
        "PIXEL_DATA_DAMAGED", transfer_syntax=JPEG2000Lossless, frame=huge_jpeg_2000()
    ),
    "JPEG 2000 of 134 MB in a few hundred bytes": refused(
        "IMAGE_TOO_LARGE",
        transfer_syntax=JPEG2000Lossless,
        frame=huge_jpeg_2000(),
        tags={"Rows": 8192, "Columns": 8192},
    ),
    "JPEG-LS larger than the header says": refused(
        "PIXEL_DATA_DAMAGED", transfer_syntax=JPEGLSLossless, tags={"Rows": 95}
    ),
    "JPEG Lossless larger than the header says": refused(
        "PIXEL_DATA_DAMAGED", transfer_syntax=JPEGLosslessSV1, tags={"Columns": 79}
    ),
    "RLE of another size": refused(
        "PIXEL_DATA_DAMAGED", transfer_syntax=RLELossless, tags={"Columns": 81}
    ),
    "65535 x 65535 x 9999": refused(
        "IMAGE_TOO_LARGE", tags={"Rows": 65535, "Columns": 65535, "NumberOfFrames": 9999}
    ),
    "sequences 200 deep": upload("DAMAGED_FILE", nested(200)),
    "executable preamble": refused("UNSAFE_PREAMBLE", preamble=b"MZ\x90" + bytes(125)),
}

REFUSED: dict[str, Case] = {**PURPOSE, **CONTENT, **SYNTAX, **DAMAGE, **HOSTILE}

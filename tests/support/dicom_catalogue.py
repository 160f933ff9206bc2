"""What really arrives from a PACS and is read: one row a case, in the words of the reading room.

`exact` shows the very same grey levels, `same` the same picture, `warned` the same with a code.
"""

import numpy as np
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from tests.support.cases import LEVELS, Case, exact, same, warned
from tests.support.dicom_damage import (
    behind,
    filled,
    in_fragments,
    palette_tags,
    planes,
    replaced,
    without_preamble,
)
from tests.support.frame_encoders import encode_frame
from tests.support.phantoms import chest_levels
from tests.support.radiographs import build_lut
from tests.support.scope_catalogue import EXAM, GREY_RGB, LEVELS_8

FULL = 4095
NEGATIVE = FULL - LEVELS
SIGNED = LEVELS.astype(np.int16) - 2048
GREY_YBR = np.dstack([LEVELS_8, np.full_like(LEVELS_8, 128), np.full_like(LEVELS_8, 128)])
RAMP, FALLING = list(range(4096)), list(range(FULL, -1, -1))
PADDED = LEVELS.copy()
PADDED[:, :6] = 4000
FRAME = encode_frame(LEVELS, JPEG2000Lossless, bits_stored=12)
JP2_FRAME = encode_frame(LEVELS, JPEG2000Lossless, bits_stored=12, jp2=True)
SIGNED_FRAME = encode_frame(SIGNED, JPEG2000Lossless, bits_stored=12)
UNSIGNED_FRAME = encode_frame((SIGNED & 0x0FFF).astype(np.uint16), JPEG2000Lossless, bits_stored=12)
SHUTTER: dict[str, object] = {
    "ShutterShape": "RECTANGULAR",
    "ShutterLeftVerticalEdge": 7,
    "ShutterRightVerticalEdge": 80,
    "ShutterUpperHorizontalEdge": 1,
    "ShutterLowerHorizontalEdge": 96,
}

POLARITY: dict[str, Case] = {
    "MONOCHROME2": exact(),
    "MONOCHROME2 + IDENTITY": exact(presentation_lut_shape="IDENTITY"),
    "MONOCHROME1": exact(NEGATIVE, photometric="MONOCHROME1"),
    "MONOCHROME1 + INVERSE": exact(
        NEGATIVE, photometric="MONOCHROME1", presentation_lut_shape="INVERSE"
    ),
    "negative slope": exact(NEGATIVE, rescale=(-1, FULL)),
    "negative slope, MONOCHROME1": exact(LEVELS, rescale=(-2, 7), photometric="MONOCHROME1"),
    "inverting VOI LUT": same(NEGATIVE, voi_lut=(FALLING, 0, 12)),
    "inverting VOI LUT, MONOCHROME1": same(
        LEVELS, voi_lut=(FALLING, 0, 12), photometric="MONOCHROME1"
    ),
    "inverting modality LUT": exact(NEGATIVE, modality_lut=(FALLING, 0, 12)),
    "MONOCHROME1 + IDENTITY, stored as a positive": warned(
        "POLARITY_AMBIGUOUS", photometric="MONOCHROME1", presentation_lut_shape="IDENTITY"
    ),
    "MONOCHROME1 + IDENTITY, stored as a negative": warned(
        "POLARITY_AMBIGUOUS", NEGATIVE, photometric="MONOCHROME1", presentation_lut_shape="IDENTITY"
    ),
    "MONOCHROME2 + INVERSE, stored as a positive": warned(
        "POLARITY_AMBIGUOUS", presentation_lut_shape="INVERSE"
    ),
    "MONOCHROME2 + INVERSE, stored as a negative": warned(
        "POLARITY_AMBIGUOUS", NEGATIVE, presentation_lut_shape="INVERSE"
    ),
    "negative without a tag that says so": warned("POLARITY_SUSPECT", NEGATIVE, likeness=-1.0),
}

WINDOW: dict[str, Case] = {
    "VOI LUT of 16 bits": same(voi_lut=(list(range(0, 65536, 16)), 0, 16)),
    "VOI LUT of 11 bits": same(voi_lut=([n // 2 for n in range(4096)], 0, 11)),
    "VOI LUT of 10 bits": same(voi_lut=([n // 4 for n in range(4096)], 0, 10)),
    "VOI LUT of 8 bits": same(voi_lut=([n // 16 for n in range(4096)], 0, 8)),
    "VOI LUT of signed input": same(
        SIGNED.view(np.uint16), voi_lut=(RAMP, -2048, 12), signed=True, bits_stored=16
    ),
    "five VOI LUTs of 65536 entries": same(
        tags={"VOILUTSequence": [build_lut((range(65536), 0, 16))] * 5}
    ),
    "five modality LUTs of 65536 entries": same(
        tags={"ModalityLUTSequence": [build_lut((range(65536), 0, 16))] * 5}
    ),
    "VOI LUT before window": same(voi_lut=(RAMP, 0, 12), window=(9, 9)),
    "window": same(window=(2048, 4096)),
    "several windows": same(window=([2048, 9], [4096, 9])),
    "LINEAR_EXACT": same(window=(2048, 4096), tags={"VOILUTFunction": "LINEAR_EXACT"}),
    "SIGMOID": same(window=(2048, 16384), tags={"VOILUTFunction": "SIGMOID"}),
    "unknown VOI LUT function": same(window=(2048, 4096), tags={"VOILUTFunction": "CUBIC"}),
    "no window": exact(),
    "empty window": exact(window=("", "")),
    "window of width 0": warned("WINDOW_INVALID", window=(2048, 0)),
    "window of width below 1": warned("WINDOW_INVALID", window=(2048, 0.5)),
    "window a hundred times too wide": warned("RANGE_NARROW", window=(2048, 409_600)),
    "9 bits in a file of 16": warned(
        "RANGE_NARROW", chest_levels(96, 80, bits=9), bits_stored=16, window=(32_768, 65_536)
    ),
    "rescale into other units": same(rescale=(0.5, -1000), window=(23.75, 2047.5)),
    "LINEAR_EXACT of next to no width": same(
        window=(1300, "1e-300"), tags={"VOILUTFunction": "LINEAR_EXACT"}, likeness=0.7
    ),
    "modality LUT": exact(modality_lut=(RAMP, 0, 12)),
    "modality LUT of 16 bits": same(modality_lut=(list(range(0, 65536, 16)), 0, 16)),
}

WORDS: dict[str, Case] = {
    "dirty high bits": exact(LEVELS | np.uint16(0xA000)),
    "overlay in the high bits": exact(
        LEVELS | (np.uint16(0x8000) * (LEVELS % 7 == 0)).astype(np.uint16),
        tags={"OverlayRows": None},
    ),
    "high bit 15": exact(LEVELS << np.uint16(4), tags={"HighBit": 15}),
    "signed, 12 bits": exact((SIGNED & 0x0FFF).view(np.uint16), signed=True),
    "signed, 16 bits": exact(SIGNED.view(np.uint16), signed=True, bits_stored=16),
    "16 bits": exact(LEVELS << np.uint16(4), bits_stored=16),
    "8 bits": same(LEVELS_8, bits_stored=8),
    "padding value": same(PADDED, padding=(4000,), likeness=0.9),
    "padding range": same(PADDED, padding=(4095, 3990), likeness=0.9),
    "padding value that no pixel has": exact(padding=(4095,)),
    "display shutter": same(PADDED, tags=SHUTTER, likeness=0.9),
    "one frame, said so": exact(tags={"NumberOfFrames": 1}),
    "a byte of padding behind the pixels": exact(change=behind(b"\0")),
    "trailing padding element": exact(change=behind(b"\xfc\xff\xfc\xffOB\0\0\4\0\0\0\0\0\0\0")),
}

COLOUR: dict[str, Case] = {
    "RGB": same(GREY_RGB, photometric="RGB", bits_stored=8),
    "RGB, planar": same(
        planes(GREY_RGB), photometric="RGB", bits_stored=8, tags={"PlanarConfiguration": 1}
    ),
    "YBR_FULL": same(GREY_YBR, photometric="YBR_FULL", bits_stored=8),
    "palette": same(LEVELS_8, photometric="PALETTE COLOR", bits_stored=8, tags=palette_tags()),
    "RGB in RLE": same(GREY_RGB, photometric="RGB", bits_stored=8, transfer_syntax=RLELossless),
    "RGB in JPEG 2000": same(
        GREY_RGB, photometric="RGB", bits_stored=8, transfer_syntax=JPEG2000Lossless
    ),
    "RGB in JPEG-LS": same(
        GREY_RGB, photometric="RGB", bits_stored=8, transfer_syntax=JPEGLSLossless
    ),
    "RGB in JPEG": warned(
        "LOSSY_COMPRESSION",
        GREY_RGB,
        photometric="YBR_FULL_422",
        bits_stored=8,
        transfer_syntax=JPEGBaseline8Bit,
        likeness=0.998,
    ),
}

LOSSLESS: dict[str, Case] = {
    "implicit VR": exact(transfer_syntax=ImplicitVRLittleEndian),
    "big endian": exact(transfer_syntax=ExplicitVRBigEndian),
    "RLE": exact(transfer_syntax=RLELossless),
    "JPEG Lossless SV1": exact(transfer_syntax=JPEGLosslessSV1),
    "JPEG Lossless, predictor 6": exact(transfer_syntax=JPEGLossless),
    "JPEG Lossless, a fill byte before its end": exact(
        transfer_syntax=JPEGLosslessSV1,
        frame=filled(encode_frame(LEVELS, JPEGLosslessSV1, bits_stored=12)),
    ),
    "JPEG-LS": exact(transfer_syntax=JPEGLSLossless),
    "JPEG-LS, fill bytes before its end": exact(
        transfer_syntax=JPEGLSLossless,
        frame=filled(encode_frame(LEVELS, JPEGLSLossless, bits_stored=12), 2),
    ),
    "JPEG 2000": exact(transfer_syntax=JPEG2000Lossless),
    "JPEG 2000 in four fragments": exact(
        transfer_syntax=JPEG2000Lossless, frame=FRAME, change=in_fragments(FRAME, 4)
    ),
    "JPEG 2000 in a JP2 file header": exact(transfer_syntax=JPEG2000Lossless, frame=JP2_FRAME),
    "JPEG 2000, padded with FF": exact(transfer_syntax=JPEG2000Lossless, frame=FRAME + b"\xff" * 6),
    "JPEG 2000, signed": exact(
        (SIGNED & 0x0FFF).view(np.uint16),
        signed=True,
        transfer_syntax=JPEG2000Lossless,
        frame=SIGNED_FRAME,
    ),
    "JPEG 2000, signed, of a codestream without sign": exact(
        SIGNED.view(np.uint16),
        signed=True,
        bits_stored=16,
        transfer_syntax=JPEG2000Lossless,
        frame=UNSIGNED_FRAME,
    ),
    "JPEG 2000, unsigned, of a codestream with sign": exact(
        transfer_syntax=JPEG2000Lossless,
        frame=encode_frame(LEVELS.astype(np.int16), JPEG2000Lossless, bits_stored=13),
    ),
    "HTJ2K": exact(transfer_syntax=HTJ2KLossless),
    "HTJ2K, RPCL": exact(transfer_syntax=HTJ2KLosslessRPCL),
}

LOSSY: dict[str, Case] = {
    "JPEG-LS, near": warned("LOSSY_COMPRESSION", transfer_syntax=JPEGLSNearLossless),
    "JPEG 2000, lossy": warned("LOSSY_COMPRESSION", transfer_syntax=JPEG2000, likeness=0.99),
    "HTJ2K, lossy": warned("LOSSY_COMPRESSION", transfer_syntax=HTJ2K, likeness=0.99),
    "JPEG-LS, near, filed as lossless": warned(
        "LOSSY_COMPRESSION",
        transfer_syntax=JPEGLSLossless,
        frame=encode_frame(LEVELS, JPEGLSNearLossless, bits_stored=12),
    ),
    "JPEG 2000, lossy, filed as lossless": warned(
        "LOSSY_COMPRESSION",
        transfer_syntax=JPEG2000Lossless,
        frame=encode_frame(LEVELS, JPEG2000, bits_stored=12),
        likeness=0.99,
    ),
    "HTJ2K, lossy, filed as lossless": warned(
        "LOSSY_COMPRESSION",
        transfer_syntax=HTJ2KLossless,
        frame=encode_frame(LEVELS, HTJ2K, bits_stored=12),
        likeness=0.99,
    ),
    "JPEG Extended, 12 bits": warned("LOSSY_COMPRESSION", transfer_syntax=JPEGExtended12Bit),
    "JPEG Baseline": warned(
        "LOSSY_COMPRESSION",
        LEVELS_8,
        bits_stored=8,
        transfer_syntax=JPEGBaseline8Bit,
        likeness=0.998,
    ),
    "JPEG Extended, fill bytes before its end": warned(
        "LOSSY_COMPRESSION",
        transfer_syntax=JPEGExtended12Bit,
        frame=filled(encode_frame(LEVELS, JPEGExtended12Bit, bits_stored=12), 3),
    ),
    "lossy before it was sent": warned("LOSSY_COMPRESSION", tags={"LossyImageCompression": "01"}),
}

HEADER: dict[str, Case] = {
    "CR": exact(modality="CR"),
    "TIFF preamble": exact(preamble=b"II*\0" + bytes(124)),
    "no preamble": exact(change=without_preamble),
    "no preamble, implicit VR": exact(
        transfer_syntax=ImplicitVRLittleEndian, change=without_preamble
    ),
    "transfer syntax that says implicit over an explicit data set": exact(
        change=replaced(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0")
    ),
    "derived and primary": exact(tags={"ImageType": ["DERIVED", "PRIMARY"]}),
    "rows to the left, columns to the feet": exact(tags={"PatientOrientation": ["L", "F"]}),
    "rows to the right, so a mirror image": warned(
        "ORIENTATION_SUSPECT", tags={"PatientOrientation": ["R", "F"]}
    ),
    "stands on its head": warned(
        "ORIENTATION_SUSPECT", np.ascontiguousarray(LEVELS[::-1, ::-1]), likeness=-1.0
    ),
    "text in the pixels": warned("BURNED_IN_ANNOTATION", tags={"BurnedInAnnotation": "YES"}),
    "over-long value": warned("TAG_UNREADABLE", tags={"PatientID": "9" * 600_000}),
    "spacing that is no number": warned(
        "TAG_UNREADABLE", change=replaced(b"0.15\\0.15", b"x.15\\0.15")
    ),
    "empty optional values": exact(tags={"Manufacturer": "", "SoftwareVersions": ""}),
    "Latin 1 name": exact(
        tags={"SpecificCharacterSet": "ISO_IR 100", "PatientName": "M\u00fcller^J\u00f6rg"}
    ),
    "UTF-8 name": exact(
        tags={"SpecificCharacterSet": "ISO_IR 192", "PatientName": "\u9673^\u5927\u6587"}
    ),
    "ISO 2022 name": exact(
        tags={
            "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
            "PatientName": "\u5c71\u7530^\u592a\u90ce",
        }
    ),
    "unknown character set": exact(tags={"SpecificCharacterSet": "ISO_IR 999"}),
    "circular shutter": warned("SHUTTER_IGNORED", tags={"ShutterShape": "CIRCULAR"}),
    "shutter that leaves nothing open": warned(
        "SHUTTER_IGNORED", tags={**SHUTTER, "ShutterLowerHorizontalEdge": 0}
    ),
}

READ: dict[str, Case] = {
    **POLARITY, **WINDOW, **WORDS, **COLOUR, **LOSSLESS, **LOSSY, **HEADER, **EXAM,
}  # fmt: skip

"""What a small file can make of the memory: measured as the resident size of a process of its own.

A bomb promises 134 MB; nothing may take more than the largest picture that is allowed, and 64 MB.
"""

import struct
import subprocess
import sys

import numpy as np
import pytest
from pydicom.uid import (
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.support.dicom_damage import huge_jpeg_2000
from tests.support.radiographs import dicom_bytes, png_bytes
from tests.support.raster_catalogue import raw_png

MAX_PIXELS = 2_000_000
SPARE_BYTES = 64_000_000
PROBE = """
import re, sys
from service.core.errors import CxrError
from service.core.intake import IntakeLimits, read_radiograph
def peak():
    # Not ru_maxrss: it starts at the size of the process that started this one.
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
def outcome(body, limits):
    try:
        return "read" if read_radiograph(body, limits).grey.size else ""
    except CxrError as refused:
        return refused.code
warm_up, body = (open(path, "rb").read() for path in sys.argv[1:3])
outcome(warm_up, IntakeLimits())
before = peak()
code = outcome(body, IntakeLimits(max_pixels=int(sys.argv[3])))
print(code, peak() - before)
"""


def frame_of_8192(marker: bytes, start: bytes) -> bytes:
    """A JPEG or JPEG-LS header of 8192 x 8192 over a scan that holds next to nothing."""
    frame = struct.pack(">HBHHB", 11, 16 if marker != b"\xff\xc0" else 8, 8192, 8192, 1)
    return (
        start
        + marker
        + frame
        + b"\1\x11\0"
        + b"\xff\xda\0\x08\1\1\0\0\0\0"
        + bytes(200)
        + b"\xff\xd9"
    )


HEADER_8192: dict[str, object] = {"Rows": 8192, "Columns": 8192}
PLAIN = np.zeros((96, 80), np.uint16)
BOMBS = {
    "JPEG 2000 under a small header": dicom_bytes(
        PLAIN, transfer_syntax=JPEG2000Lossless, frame=huge_jpeg_2000()
    ),
    "JPEG 2000 under its own header": dicom_bytes(
        PLAIN, transfer_syntax=JPEG2000Lossless, frame=huge_jpeg_2000(), tags=HEADER_8192
    ),
    "HTJ2K": dicom_bytes(
        PLAIN, transfer_syntax=HTJ2KLossless, frame=huge_jpeg_2000(), tags=HEADER_8192
    ),
    "JPEG Lossless": dicom_bytes(
        PLAIN,
        transfer_syntax=JPEGLosslessSV1,
        frame=frame_of_8192(b"\xff\xc3", b"\xff\xd8"),
        tags=HEADER_8192,
    ),
    "JPEG-LS": dicom_bytes(
        PLAIN,
        transfer_syntax=JPEGLSLossless,
        frame=frame_of_8192(b"\xff\xf7", b"\xff\xd8"),
        tags=HEADER_8192,
    ),
    "JPEG Baseline": dicom_bytes(
        PLAIN.astype(np.uint8),
        bits_stored=8,
        transfer_syntax=JPEGBaseline8Bit,
        frame=frame_of_8192(b"\xff\xc0", b"\xff\xd8"),
        tags=HEADER_8192,
    ),
    "RLE": dicom_bytes(
        PLAIN,
        transfer_syntax=RLELossless,
        frame=struct.pack("<16I", 2, 64, 1_048_640, *[0] * 13) + b"\x81\0" * 1_048_576,
        tags=HEADER_8192,
    ),
    "PNG": raw_png(8192, 8192, bytes(134_217_728)),
}


def measure(folder: "pytest.TempPathFactory", body: bytes, max_pixels: int) -> tuple[str, int]:
    """Outcome of one upload, and by how much it raised the peak of the resident size."""
    paths = [folder.mktemp("probe") / name for name in ("warm-up", "body")]
    paths[0].write_bytes(png_bytes())
    paths[1].write_bytes(body)
    probe = subprocess.run(
        [sys.executable, "-c", PROBE, *map(str, paths), str(max_pixels)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    code, growth_bytes = probe.stdout.split()
    return code, int(growth_bytes)


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_of_134_mb_does_not_fill_the_memory(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    code, growth_bytes = measure(tmp_path_factory, BOMBS[name], MAX_PIXELS)

    assert code in ("IMAGE_TOO_LARGE", "PIXEL_DATA_DAMAGED")
    assert growth_bytes < 2 * MAX_PIXELS + SPARE_BYTES


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless, None])
def test_largest_picture_that_is_allowed_fits(
    syntax: str | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    words = np.arange(MAX_PIXELS, dtype=np.uint16).reshape(1000, 2000) & 0x0FFF
    body = dicom_bytes(words) if syntax is None else dicom_bytes(words, transfer_syntax=syntax)

    code, growth_bytes = measure(tmp_path_factory, body, MAX_PIXELS)

    assert code == "read"
    assert growth_bytes < 2 * MAX_PIXELS + SPARE_BYTES

"""Uploads that speed is measured with: drawn chests of 1024 x 1024, as PNG and as DICOM.

The noise is that of an 8-bit export of a real radiograph, so that a file is as large, and its
compressed stream as slow to read, as real ones are.
"""

from pathlib import Path

import cv2
import numpy as np

from service.core.findings import Finding
from service.core.radiograph import WHITE, Grey
from training.phantoms import draw_chest, encode_dicom, encode_png8

SIDE_PX = 1024
IMAGES = 16
NOISE_RATIO = 0.006
"""Standard deviation of 1.5 of 256 grey levels: 1024 x 1024 pixels are then some 440 kB of PNG."""


def open_bodies(folder: Path, *, images: int = IMAGES) -> tuple[Path, ...]:
    """Folders `png` and `dicom`, each with that many uploads; made at first use."""
    for name, encode in (("png", encode_png8), ("dicom", _encode_dicom)):
        for index in range(images):
            path = folder / name / f"{index:03d}"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encode(draw_exposure(index)))
    return folder / "png", folder / "dicom"


def read_bodies(folder: Path) -> list[bytes]:
    """Every upload of a folder, in order."""
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def draw_exposure(seed: int) -> Grey:
    """(1024, 1024): a smooth chest, enlarged, and the noise of a detector on it."""
    generator = np.random.default_rng(seed)
    finding = tuple(Finding)[seed % len(Finding)]
    chest = cv2.GaussianBlur(draw_chest(seed, finding).astype(np.float32), (0, 0), 1.0)
    large = cv2.resize(chest, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)
    noise = generator.normal(0, NOISE_RATIO * WHITE, (SIDE_PX, SIDE_PX)).astype(np.float32)
    large = large + noise
    return np.asarray(np.clip(large, 0, WHITE), np.uint16)


def _encode_dicom(grey: Grey) -> bytes:
    return encode_dicom(grey)

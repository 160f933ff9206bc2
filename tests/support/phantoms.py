"""A synthetic frontal chest in display polarity, and its PNG and JPEG bytes.

Dark lungs and outside air, bright mediastinum and abdomen, ribs, collar bones, noise. Axes: H rows,
W columns.
"""

import functools
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

ROWS, COLUMNS = 256, 224


@functools.cache
def chest_phantom(
    rows: int = ROWS, columns: int = COLUMNS, *, seed: int = 0
) -> NDArray[np.float64]:
    """(H, W) in 0..1; the same for the same seed, and one array for all who ask, so read-only."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    width = 0.72 + 0.2 * np.clip(y * 3, 0, 1) + random.uniform(-0.03, 0.03)
    is_body = np.abs(x) < width
    height = random.uniform(0.28, 0.32)
    is_lung = ((np.abs(x) - 0.4) / 0.27) ** 2 + ((y - 0.44) / height) ** 2 < 1
    is_heart = ((x - 0.12) / 0.26) ** 2 + ((y - 0.6) / 0.15) ** 2 < 1
    is_rib = np.sin(28 * (y - 0.25 * np.abs(x)) + random.uniform(0, 6)) > 0.75
    is_collar_bone = np.abs(y - 0.13 - 0.1 * np.abs(x)) < 0.012
    picture = np.where(is_lung, 0.22, 0.6)
    picture = np.where(is_heart, 0.72, picture) + 0.15 * np.exp(-((x / 0.11) ** 2))
    picture += 0.07 * is_rib + 0.1 * is_collar_bone + 0.12 * (y > 0.78)
    smooth = gaussian_filter(np.where(is_body, picture, 0.0), rows / 128)
    noisy = smooth + random.normal(0, 0.008, smooth.shape)
    shown = np.asarray(np.clip(0.04 + 0.9 * noisy, 0.0, 1.0), np.float64)
    shown.setflags(write=False)
    return shown


def chest_levels(
    rows: int = ROWS, columns: int = COLUMNS, *, bits: int = 12, seed: int = 0
) -> NDArray[np.uint16]:
    """Whole grey levels of the phantom, 0 black to full scale white."""
    return np.rint(chest_phantom(rows, columns, seed=seed) * ((1 << bits) - 1)).astype(np.uint16)


def png_bytes(levels: NDArray[np.generic] | None = None, **options: object) -> bytes:
    """PNG of (H, W) uint8 or uint16, (H, W, 3 or 4) uint8; the 16-bit phantom by default."""
    return picture_bytes(chest_levels(bits=16) if levels is None else levels, "PNG", **options)


def jpeg_bytes(levels: NDArray[np.generic] | None = None, **options: object) -> bytes:
    """JPEG of (H, W) or (H, W, 3) uint8; the 8-bit phantom of quality 95 by default."""
    chosen = chest_levels(bits=8).astype(np.uint8) if levels is None else levels
    return picture_bytes(chosen, "JPEG", **{"quality": 95, **options})


def picture_bytes(
    picture: NDArray[np.generic] | Image.Image, file_format: str, **options: object
) -> bytes:
    """Whatever Pillow can write, with its own options."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()

"""A radiograph turned, cut, faded or exported badly: what arrives at a service by mistake.

`DAMAGES` no longer show a frontal chest the right way up; `SHIFTS` are frontal chests as another
hospital's machine, film scanner or export would show them, and must not be refused.
Axes: H rows, W columns.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from service.core.radiograph import WHITE, Grey

Alter = Callable[[Grey, Generator], Grey]
TILES = 4


def invert(grey: Grey, _generator: Generator) -> Grey:
    """Black for white."""
    return np.asarray(WHITE - grey, np.uint16)


def turn_quarter(grey: Grey, generator: Generator) -> Grey:
    """By 90 degrees to either side."""
    return np.rot90(grey, int(generator.choice([1, 3])))


def turn_half(grey: Grey, _generator: Generator) -> Grey:
    """By 180 degrees."""
    return np.rot90(grey, 2)


def flip_upside_down(grey: Grey, _generator: Generator) -> Grey:
    """Feet up, sides kept."""
    return grey[::-1]


def cut_lower_third(grey: Grey, _generator: Generator) -> Grey:
    """Upper abdomen and the domes of the diaphragm."""
    return grey[len(grey) * 2 // 3 :]


def cut_quarter(grey: Grey, generator: Generator) -> Grey:
    """One of the four quarters."""
    rows, columns = grey.shape[0] // 2, grey.shape[1] // 2
    top, left = (int(start) for start in generator.integers(0, 2, 2))
    return grey[top * rows : (top + 1) * rows, left * columns : (left + 1) * columns]


def cut_patch(grey: Grey, generator: Generator) -> Grey:
    """A square of a sixth of the side: lung or bone, and no anatomy to orient by."""
    side = max(32, min(grey.shape) // 6)
    row, column = (int(generator.integers(0, length - side + 1)) for length in grey.shape)
    return grey[row : row + side, column : column + side]


def hide_half(grey: Grey, generator: Generator) -> Grey:
    """Left or right half black, with a bright edge so that no border is trimmed."""
    hidden = grey.copy()
    half = grey.shape[1] // 2
    side = slice(0, half) if generator.random() < 0.5 else slice(half, None)
    hidden[:, side] = 0
    hidden[::8, 0] = hidden[::8, -1] = WHITE
    return hidden


def squeeze(grey: Grey, _generator: Generator) -> Grey:
    """A third as wide, between black sides that cannot be trimmed: the outline of a lateral."""
    rows, columns = grey.shape
    narrow = cv2.resize(grey, (columns // 3, rows), interpolation=cv2.INTER_AREA)
    canvas = np.zeros_like(grey)
    start = (columns - narrow.shape[1]) // 2
    canvas[:, start : start + narrow.shape[1]] = narrow
    canvas[::8, 0] = canvas[::8, -1] = WHITE
    return canvas


def shuffle_tiles(grey: Grey, generator: Generator) -> Grey:
    """Sixteen tiles in a random order: the right textures and no anatomy."""
    rows, columns = (length // TILES * TILES for length in grey.shape)
    tiles = [
        tile
        for band in np.split(grey[:rows, :columns], TILES)
        for tile in np.split(band, TILES, axis=1)
    ]
    drawn = [tiles[index] for index in generator.permutation(len(tiles))]
    bands = [np.hstack(drawn[start : start + TILES]) for start in range(0, len(drawn), TILES)]
    return np.vstack(bands)


DAMAGES: dict[str, Alter] = {
    "inverted": invert,
    "turned by 90 degrees": turn_quarter,
    "turned by 180 degrees": turn_half,
    "upside down": flip_upside_down,
    "squeezed like a lateral": squeeze,
    "half of it black": hide_half,
    "lower third (abdomen)": cut_lower_third,
    "one quarter": cut_quarter,
    "small patch": cut_patch,
    "tiles in random order": shuffle_tiles,
}


def _gamma(exponent: float) -> Alter:
    def alter(grey: Grey, _generator: Generator) -> Grey:
        return _grey(np.power(grey / WHITE, exponent))

    return alter


def _jpeg(quality: int) -> Alter:
    def alter(grey: Grey, _generator: Generator) -> Grey:
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        _, body = cv2.imencode(".jpg", (grey >> 8).astype(np.uint8), options)
        decoded = cv2.imdecode(body, cv2.IMREAD_GRAYSCALE)
        return np.asarray(decoded, np.uint16) * 257

    return alter


def _blur(sigma_ratio: float) -> Alter:
    def alter(grey: Grey, _generator: Generator) -> Grey:
        return np.asarray(cv2.GaussianBlur(grey, (0, 0), sigma_ratio * min(grey.shape)), np.uint16)

    return alter


def _noise(sigma: float) -> Alter:
    def alter(grey: Grey, generator: Generator) -> Grey:
        return _grey(grey / WHITE + generator.normal(0, sigma, grey.shape))

    return alter


def _sharpen(strength: float) -> Alter:
    def alter(grey: Grey, _generator: Generator) -> Grey:
        blurred = cv2.GaussianBlur(grey, (0, 0), 0.012 * min(grey.shape))
        return _grey(grey / WHITE + strength * (grey / WHITE - blurred / WHITE))

    return alter


def _border(ratio: float) -> Alter:
    def alter(grey: Grey, _generator: Generator) -> Grey:
        width = round(ratio * min(grey.shape))
        bordered = np.pad(grey, width, constant_values=0)
        bordered[0, ::16] = bordered[-1, ::16] = WHITE  # scratches, so that it is not trimmed
        return bordered

    return alter


def _resolution(side_px: int) -> Alter:
    def alter(grey: Grey, _generator: Generator) -> Grey:
        small = cv2.resize(grey, (side_px, side_px), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, grey.shape[::-1]), np.uint16)

    return alter


def _posterise(levels: int) -> Alter:
    def alter(grey: Grey, _generator: Generator) -> Grey:
        return _grey(np.floor(grey / WHITE * (levels - 1) + 0.5) / (levels - 1))

    return alter


def _clip(low: float, high: float) -> Alter:
    def alter(grey: Grey, _generator: Generator) -> Grey:
        black, white = np.quantile(grey, (low, high))
        return _grey((grey - black) / max(white - black, 1.0))

    return alter


def _tilt(degrees: float) -> Alter:
    def alter(grey: Grey, generator: Generator) -> Grey:
        rows, columns = grey.shape
        angle = degrees * float(generator.choice([-1, 1]))
        turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), angle, 1.0)
        return np.asarray(cv2.warpAffine(grey, turn, (columns, rows)), np.uint16)

    return alter


def _widen(ratio: float) -> Alter:
    def alter(grey: Grey, _generator: Generator) -> Grey:
        return np.asarray(cv2.resize(grey, None, fx=ratio, fy=1.0), np.uint16)

    return alter


def _label(grey: Grey, generator: Generator) -> Grey:
    """A white marker and writing in a corner."""
    ink = np.zeros(grey.shape, np.uint8)
    size = min(grey.shape) / 250
    row = int(generator.integers(20, 40) * size)
    cv2.putText(ink, "R  PORTABLE", (int(6 * size), row), 0, 0.5 * size, 255, 2)
    return np.maximum(grey, ink.astype(np.uint16) * 257)


def _mirror(grey: Grey, _generator: Generator) -> Grey:
    return grey[:, ::-1]


SHIFTS: dict[str, Alter] = {
    "gamma 0.6": _gamma(0.6),
    "gamma 1.6": _gamma(1.6),
    "window clips 5 % at each end": _clip(0.05, 0.95),
    "JPEG quality 20": _jpeg(20),
    "blur, 0.8 % of the side": _blur(0.008),
    "noise, 4 % of full scale": _noise(0.04),
    "unsharp mask, strength 1.5": _sharpen(1.5),
    "64 grey levels": _posterise(64),
    "64 x 64 pixels": _resolution(64),
    "black border, 8 %": _border(0.08),
    "tilted by 8 degrees": _tilt(8.0),
    "30 % wider": _widen(1.3),
    "marker and writing": _label,
    "mirrored": _mirror,
}


def _grey(canvas: NDArray[np.float64]) -> Grey:
    return np.asarray(np.clip(canvas, 0, 1) * WHITE, np.uint16)

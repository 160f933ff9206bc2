"""A PNG with colour or alpha of 16 bits a sample: Pillow would keep the high byte alone.

A 12-bit picture that a converter stored so would be left with 16 grey levels.

References
----------
PNG specification (W3C, third edition), 11.2.1 IHDR, 11.3.1.1 tRNS.
"""

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from service.core.errors import DamagedFile
from service.core.grey import grey_from_colour
from service.core.png import CHANNELS
from service.core.radiograph import Grey

DEPTH_AT, COLOUR_AT = 24, 25
COLOUR, GREY_ALPHA, COLOUR_ALPHA = 2, 4, 6


def has_wide_layers(body: bytes) -> bool:
    """Several samples a pixel, of 16 bits each."""
    return body[DEPTH_AT] == 16 and body[COLOUR_AT] in (COLOUR, GREY_ALPHA, COLOUR_ALPHA)


def decode_wide_layers(body: bytes, clear: object) -> tuple[Grey, NDArray[np.bool_]]:
    """Decode it as it is stored.

    Parameters
    ----------
    clear
        The one colour of an opaque picture that is transparent; None for none.

    Returns
    -------
    (H, W) grey, and (H, W) true where nothing is to be seen.

    Raises
    ------
    DamagedFile
        It does not decode to the size of its header.
    UnsupportedPixelFormat
        Coloured content.
    """
    colour = body[COLOUR_AT]
    layers = _decode(body)[..., : CHANNELS[colour]]
    if colour == GREY_ALPHA:
        return np.ascontiguousarray(layers[..., 0]), layers[..., 1] == 0
    if colour == COLOUR_ALPHA:
        return grey_from_colour(layers[..., :3]), layers[..., 3] == 0
    transparent = np.zeros(layers.shape[:2], bool) if clear is None else (layers == clear).all(2)
    return grey_from_colour(layers), transparent


def _decode(body: bytes) -> NDArray[np.uint16]:
    """(H, W, C); with one layer more where libpng makes one of the transparent colour."""
    try:
        layers: NDArray[np.uint16] = imagecodecs.png_decode(body)
    except (RuntimeError, ValueError) as error:
        raise DamagedFile("png data does not decode to the end") from error
    size = (int.from_bytes(body[20:24], "big"), int.from_bytes(body[16:20], "big"))
    if layers.dtype != np.uint16 or layers.shape[:2] != size:
        raise DamagedFile("png data does not decode to the size of its header")
    return layers

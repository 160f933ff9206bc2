"""PNG and JPEG bytes -> Radiograph.

A picture without tags cannot be checked for scope, so each carries the caution `NO_METADATA`.
Axes: H rows, W columns, C channels.
"""

import io
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import jpeg_factory
from PIL.PngImagePlugin import PngImageFile

from service.core.errors import (
    DamagedFile,
    NotEvaluated,
    UnsupportedPixelFormat,
)
from service.core.grey import FULL_8_BIT, check_size, grey_from_colour, widen
from service.core.jpeg import LOSSLESS, check_head, check_process, ends_early
from service.core.png import (
    Levels,
    check_header,
    check_sums,
    decode_plain,
    holds_all_rows,
    palette_entries,
    without_notes,
)
from service.core.png_layers import decode_wide_layers, has_wide_layers
from service.core.radiograph import WHITE, Caution, FileFormat, Grey, Radiograph

EXIF_ORIENTATION = 0x0112
AS_STORED = 1
UPRIGHT = {
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (1, True),
    6: (3, False),
    7: (3, True),
    8: (1, False),
}
"""Quarter turns to the left of each EXIF orientation, after it was mirrored or not."""

Sample = TypeVar("Sample", bound=np.generic)
NO_METADATA = Caution("NO_METADATA", "no DICOM tags: modality, view, age and polarity unchecked")


def read_raster(
    body: bytes, file_format: FileFormat, *, max_pixels: int, min_side_px: int
) -> Radiograph:
    """Decode one PNG or JPEG, refusing by its header before anything is decompressed.

    Raises
    ------
    ImageTooLarge, ImageTooSmall
        Header's width and height are outside the limits.
    NotEvaluated
        More than one frame (`MULTI_FRAME`).
    UnsupportedPixelFormat
        Colour content, CMYK, other than 8 or 16 bits, a variant that nobody can read safely.
    DamagedFile
        Broken or truncated data.
    """
    plain = decode_plain(body, max_pixels=max_pixels, min_side_px=min_side_px)
    if plain is not None:
        return Radiograph(_full_scale(plain), FileFormat.PNG, cautions=(NO_METADATA,))
    if file_format is FileFormat.PNG:
        check_header(body)
        body = without_notes(body)
    else:
        check_head(body)
    is_lossy = file_format is FileFormat.JPEG and check_process(body) != LOSSLESS
    image = _open(body, file_format)
    check_size(image.height, image.width, max_pixels=max_pixels, min_side_px=min_side_px)
    if getattr(image, "n_frames", 1) > 1:
        raise NotEvaluated("MULTI_FRAME", "the picture has more than one frame; expected one")
    if file_format is FileFormat.PNG:
        check_sums(body)
    orientation = _load(image, file_format)
    if file_format is FileFormat.PNG and _may_lack_rows(image) and not holds_all_rows(body):
        raise DamagedFile("png data ends before the last row")
    if file_format is FileFormat.JPEG and _lacks_blocks(image, body):
        raise DamagedFile("jpeg data ends before the last block")
    grey, padding, cautions = _to_grey(image, body)
    if orientation in UPRIGHT:
        grey = _turn(grey, orientation)
        padding = None if padding is None else _turn(padding, orientation)
        cautions += (Caution("ROTATED_BY_EXIF", "turned upright as its EXIF orientation asks"),)
    if is_lossy:
        cautions += (Caution("LOSSY_COMPRESSION", "JPEG: detail was lost before it arrived"),)
    return Radiograph(grey, file_format, padding, cautions=(NO_METADATA, *cautions))


def _full_scale(levels: Levels) -> Grey:
    if levels.dtype == np.uint8:
        return widen(levels.astype(np.uint8, copy=False))
    return levels.astype(np.uint16, copy=False)


def _may_lack_rows(image: Image.Image) -> bool:
    """Rows that were not there stay black: only a black last row is worth counting for."""
    return bool(image.info.get("interlace")) or not np.asarray(image)[-1].any()


def _lacks_blocks(image: Image.Image, body: bytes) -> bool:
    """Pillow notices a cut, unless an end-of-image marker was put back behind it."""
    try:
        return image.mode in ("L", "RGB") and ends_early(body, np.asarray(image))
    except (RuntimeError, ValueError):
        return False


def _open(body: bytes, file_format: FileFormat) -> Image.Image:
    """Read the header; by the plug-in, for `Image.open` has a limit of its own for all callers."""
    plugin = PngImageFile if file_format is FileFormat.PNG else jpeg_factory
    try:
        return plugin(io.BytesIO(body))
    except (OSError, SyntaxError, ValueError) as error:
        raise DamagedFile(f"the {file_format} header cannot be read") from error


def _load(image: Image.Image, file_format: FileFormat) -> int:
    """Decode to the end; returns the EXIF orientation, upright where it cannot be read."""
    try:
        image.load()
    except Exception as error:
        raise DamagedFile(f"{file_format} data does not decode to the end") from error
    try:
        orientation = image.getexif().get(EXIF_ORIENTATION, AS_STORED)
    except Exception:  # noqa: BLE001 - Pillow's own for what is no EXIF; the pixels are sound
        return AS_STORED
    return orientation if isinstance(orientation, int) else AS_STORED


def _turn(levels: NDArray[Sample], orientation: int) -> NDArray[Sample]:
    quarters, is_mirrored = UPRIGHT[orientation]
    turned = np.rot90(levels[:, ::-1] if is_mirrored else levels, quarters)
    return np.ascontiguousarray(turned)


def _to_grey(
    image: Image.Image, body: bytes
) -> tuple[Grey, NDArray[np.bool_] | None, tuple[Caution, ...]]:
    if image.format == "PNG" and has_wide_layers(body):
        return _with_padding(*decode_wide_layers(body, image.info.get("transparency")))
    if image.mode.startswith("I"):
        return _with_padding(_from_16_bit(image), _is_clear(image, WHITE))
    if image.mode == "L":
        return _with_padding(widen(np.asarray(image)), _is_clear(image, FULL_8_BIT))
    if image.mode == "P" and int(np.asarray(image).max()) >= palette_entries(body):
        raise DamagedFile("png pixels name colours that its palette does not have")
    if image.mode in ("LA", "RGBA", "P", "PA", "RGB"):
        return _with_padding(*_from_layers(image))
    raise UnsupportedPixelFormat(f"pixel mode {image.mode!r}; expected 8 or 16 bit grey")


def _is_clear(image: Image.Image, mask: int) -> NDArray[np.bool_]:
    """Where a grey picture has the one level that tRNS names (PNG 11.3.1.1), in its low bits."""
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return np.zeros((image.height, image.width), bool)
    transparent: NDArray[np.bool_] = np.asarray(image) == (clear & mask)
    return transparent


def _from_16_bit(image: Image.Image) -> Grey:
    levels = np.asarray(image)
    if levels.min() < 0 or levels.max() > np.iinfo(np.uint16).max:
        raise UnsupportedPixelFormat("grey levels beyond 16 bit")
    return levels.astype(np.uint16)


def _from_layers(image: Image.Image) -> tuple[Grey, NDArray[np.bool_]]:
    """Palette, colour and alpha of 8 bits: grey where the channels agree."""
    rgba = np.asarray(image.convert("RGBA"))
    return widen(grey_from_colour(rgba[..., :3])), rgba[..., 3] == 0


def _with_padding(
    grey: Grey, transparent: NDArray[np.bool_]
) -> tuple[Grey, NDArray[np.bool_] | None, tuple[Caution, ...]]:
    """Transparent is padding."""
    if not transparent.any():
        return grey, None, ()
    grey[transparent] = 0
    caution = Caution("TRANSPARENT_PIXELS", "transparent pixels are read as padding")
    return grey, transparent, (caution,)

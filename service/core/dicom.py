"""DICOM bytes -> Radiograph: limits, then pixels, then modality, VOI and polarity in one look-up.

Each step lives beside this file: `dicom_layout` (bytes), `dicom_tags` (values), `dicom_format`
(Image Pixel module), `dicom_pixels` and `dicom_codecs` (words), `dicom_lut` (brightness),
`dicom_padding`, `polarity`, `dicom_context` (what scope and record need).
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from pydicom.uid import UID

from service.core.appearance import Polarity, judge_polarity
from service.core.dicom_codecs import LOSSY
from service.core.dicom_codestream import says_lossy
from service.core.dicom_context import read_context
from service.core.dicom_format import MONOCHROME, PixelFormat, Words, read_pixel_format
from service.core.dicom_layout import PREAMBLE_BYTES, Layout, PixelSpan, find_layout
from service.core.dicom_lut import (
    apply_modality,
    apply_voi,
    count_words,
    look_up,
    stored_values,
    to_table,
)
from service.core.dicom_padding import Padding, find_padding
from service.core.dicom_pixels import grey_levels, read_words
from service.core.dicom_tags import Tags, read_tags
from service.core.errors import IntakeError, NoPixelData, NotEvaluated
from service.core.grey import check_size, widen
from service.core.polarity import read_polarity
from service.core.radiograph import (
    WHITE,
    Caution,
    DicomContext,
    FileFormat,
    Grey,
    Radiograph,
    StoredPixels,
)

NoteContext = Callable[[DicomContext], None]
CheckContext = Callable[[DicomContext], object]
_BARE_STARTS = (b"\x02\x00", b"\x08\x00")
_REQUIRED_WITHOUT_PREAMBLE = ("SOPClassUID", "Modality", "Rows")


def looks_like_dicom(body: bytes) -> bool:
    """Tell by the magic word, or, without a preamble, by tags that only an image has.

    Any bytes "parse" as DICOM when forced, so SOP class, modality and rows must all be there.
    """
    if body[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == b"DICM":
        return True
    if not body.startswith(_BARE_STARTS):
        return False
    try:
        tags = read_tags(body, find_layout(body))
    except IntakeError:
        return False
    return all(keyword in tags for keyword in _REQUIRED_WITHOUT_PREAMBLE)


def read_dicom(
    body: bytes,
    *,
    max_pixels: int,
    min_side_px: int,
    note: NoteContext | None = None,
    check: CheckContext | None = None,
) -> Radiograph:
    """Read the only frame of a DICOM image, in display polarity.

    Everything that the header alone can tell is refused before a pixel is touched.

    Parameters
    ----------
    note
        Is told what the tags say before anything else is asked of them.
    check
        Refuses an image by what the tags say of it, before its pixels are asked for.

    Raises
    ------
    IntakeError
        One of its leaves; no message holds a value of a patient tag.
    NotEvaluated
        `NOT_AN_IMAGE` (report, presentation state ...), `MULTI_FRAME`, `POLARITY_AMBIGUOUS`, or
        what `check` says.
    """
    layout = find_layout(body)
    tags = read_tags(body, layout)
    context = read_context(tags)
    if note is not None:
        note(context)
    _require_image(layout, tags)
    if check is not None:
        check(context)
    pixels = _require_pixels(layout)
    pixel_format = read_pixel_format(tags)
    check_size(
        pixel_format.rows, pixel_format.columns, max_pixels=max_pixels, min_side_px=min_side_px
    )
    if pixel_format.frames > 1:
        raise NotEvaluated("MULTI_FRAME", f"{pixel_format.frames} frames; expected one")
    words = read_words(body, layout, pixels, pixel_format)
    grey, padding, sources, cautions, stored = (
        _render_grey(words, pixel_format, tags)
        if pixel_format.photometric_interpretation in MONOCHROME
        else _render_colour(words, layout, pixel_format, tags)
    )
    return Radiograph(
        grey,
        FileFormat.DICOM,
        padding,
        replace(context, polarity_source=sources[0], window_source=sources[1]),
        (*cautions, *_loss_caution(body, layout, tags), *tags.cautions()),
        stored,
    )


Rendered = tuple[Grey, Padding, tuple[str, str], tuple[Caution, ...], StoredPixels]
"""Grey, padding, source of polarity and of window, cautions, and what it was made from."""


def _require_image(layout: Layout, tags: Tags) -> None:
    """Refuse an object that is no image; one whose pixels are missing is one."""
    if layout.pixels is None and "Rows" not in tags and not _claims_pixels(tags):
        detail = "a report, presentation state or other object without image"
        raise NotEvaluated("NOT_AN_IMAGE", detail)


def _require_pixels(layout: Layout) -> PixelSpan:
    if layout.pixels is None or not layout.pixels.spans:
        raise NoPixelData("the header describes an image, and there is no pixel data")
    return layout.pixels


def _claims_pixels(tags: Tags) -> bool:
    """Tell a radiograph cut before its pixels from an object that never had any."""
    return "Image Storage" in UID(tags.text("SOPClassUID")).name


def _loss_caution(body: bytes, layout: Layout, tags: Tags) -> tuple[Caution, ...]:
    is_told = layout.transfer_syntax_uid in LOSSY or tags.text("LossyImageCompression") == "01"
    if not is_told and not _is_frame_lossy(body, layout.pixels):
        return ()
    return (Caution("LOSSY_COMPRESSION", "lossy compression: detail may be gone"),)


def _is_frame_lossy(body: bytes, pixels: PixelSpan | None) -> bool:
    if pixels is None or not pixels.encapsulated:
        return False
    return says_lossy(b"".join(body[start:end] for start, end in pixels.spans))


def _render_grey(words: Words, pixel_format: PixelFormat, tags: Tags) -> Rendered:
    """Modality, VOI and polarity as one table over the stored words."""
    values = stored_values(pixel_format)
    padding, cautions = find_padding(words, values, pixel_format, tags)
    levels = apply_modality(values, tags)
    brightness = apply_voi(levels, tags, lambda: count_words(words, padding, values.size))
    polarity, polarity_source = read_polarity(tags)
    grey = look_up(words, to_table(brightness.levels, inverted=polarity is Polarity.INVERTED))
    cautions += brightness.cautions
    if polarity is Polarity.UNDECIDED:
        grey, caution = _settle_polarity(grey, padding)
        cautions += (caution,)
        polarity_source = "IMAGE_CONTENT"
    if padding is not None:
        grey[padding] = 0
    stored = StoredPixels(words, pixel_format.bits_stored, pixel_format.shift)
    return grey, padding, (polarity_source, brightness.window_source), cautions, stored


def _settle_polarity(grey: Grey, padding: Padding) -> tuple[Grey, Caution]:
    """Let the picture decide where the tags contradict each other."""
    judged = judge_polarity(grey, padding)
    detail = "photometric interpretation and presentation LUT shape contradict each other"
    if judged is Polarity.UNDECIDED:
        raise NotEvaluated("POLARITY_AMBIGUOUS", f"{detail}, and the picture does not decide")
    shown = grey if judged is Polarity.AS_IS else np.subtract(WHITE, grey, dtype=np.uint16)
    return shown, Caution("POLARITY_AMBIGUOUS", f"{detail}; decided by the picture")


def _render_colour(words: Words, layout: Layout, pixel_format: PixelFormat, tags: Tags) -> Rendered:
    """Colour whose channels agree; windows and polarity do not apply to it."""
    levels = grey_levels(words, layout.transfer_syntax_uid, pixel_format, tags)
    return widen(levels), None, ("COLOUR", "NONE"), (), StoredPixels(levels, 8, 0)

"""Known changes of a scanner, applied to a radiograph: for signatures, benchmark and fire drill.

Tone changes are computed in floating point and kept at 16 bits: a real scanner changes its curve
before it quantises, and a comb of empty grey levels would give the change away.
Axes: H rows, W columns.
"""

import functools
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from service.core.radiograph import WHITE, Radiograph

Shown = NDArray[np.float32]
"""(H, W), display polarity, 0..1."""

Change = Callable[[Shown, float], Shown]


class UnknownShift(ValueError):
    """Not `name:amount` of a known shift."""


@dataclass(frozen=True, slots=True)
class Shift:
    """One change of a scanner by one amount, for example `gamma:1.25`."""

    name: str
    amount: float

    def __str__(self) -> str:
        return f"{self.name}:{self.amount:g}"

    @property
    def words(self) -> str:
        """What a physicist would call it."""
        return describe_shift(self)

    def apply(self, radiograph: Radiograph) -> Radiograph:
        """The radiograph as the changed scanner would have sent it; the same every time."""
        shown = radiograph.grey.astype(np.float32) * np.float32(1.0 / WHITE)
        changed = np.clip(CHANGES[self.name](shown, self.amount), 0.0, 1.0)
        return replace(radiograph, grey=np.rint(changed * WHITE).astype(np.uint16))


def parse_shift(text: str) -> Shift:
    """Read `gamma:1.3`.

    Raises
    ------
    UnknownShift
        Names what would be understood.
    """
    name, _, amount = text.partition(":")
    try:
        shift = Shift(name, float(amount or 1))
    except ValueError as error:
        raise UnknownShift(f"{amount!r} is not a number; expected for example gamma:1.3") from error
    if name not in CHANGES:
        raise UnknownShift(f"{name!r} is none of {', '.join(sorted(CHANGES))}")
    return shift


def as_twelve_bit(radiograph: Radiograph) -> Radiograph:
    """Fill the gaps between the levels of an 8-bit picture with noise of one level.

    What a scanner changes has 10 to 16 bits. A change computed on 256 levels would show as a comb
    in the histogram, which no scanner leaves.
    """
    if np.unique(radiograph.grey[::4]).size > 256:
        return radiograph
    shown = radiograph.grey.astype(np.float32)
    levels = shown + (_random(shown).random(shown.shape, np.float32) - np.float32(0.5)) * 257
    twelve = np.rint(np.clip(levels, 0, WHITE) / WHITE * 4095)
    return replace(radiograph, grey=np.rint(twelve * (WHITE / 4095)).astype(np.uint16))


def describe_shift(shift: Shift) -> str:
    """A cause in words."""
    words = WORDS[shift.name]
    return words[0] if shift.amount < 1 else words[-1]


def _gamma(shown: Shown, amount: float) -> Shown:
    return np.asarray(shown ** np.float32(amount), np.float32)


def _gain(shown: Shown, amount: float) -> Shown:
    return shown * np.float32(amount)


def _level(shown: Shown, amount: float) -> Shown:
    """Move the window by `amount` - 1 of full scale; a higher level shows everything darker."""
    return shown - np.float32(amount - 1)


def _width(shown: Shown, amount: float) -> Shown:
    """Widen the window; a narrow one clips."""
    return (shown - np.float32(0.5)) / np.float32(amount) + np.float32(0.5)


def _contrast(shown: Shown, amount: float) -> Shown:
    """An S-shaped curve that keeps black, middle and white; below 1 it is flattened."""
    low = shown < 0.5
    folded = np.where(low, shown, 1 - shown) * 2
    curved = np.clip(folded, 0, 1) ** np.float32(amount) / 2
    return np.asarray(np.where(low, curved, 1 - curved), np.float32)


def _blur(shown: Shown, amount: float) -> Shown:
    return np.asarray(cv2.GaussianBlur(shown, (0, 0), amount), np.float32)


def _unsharp(shown: Shown, amount: float) -> Shown:
    """Detail above 1 % of the short side, amplified, with some contrast: a new vendor's look."""
    sigma = max(1.0, 0.01 * min(shown.shape))
    detail = shown - cv2.GaussianBlur(shown, (0, 0), sigma)
    return _contrast(np.clip(shown + np.float32(amount) * detail, 0, 1), 1.1)


def _gaussian_noise(shown: Shown, amount: float) -> Shown:
    return shown + np.float32(amount) * _random(shown).standard_normal(shown.shape, np.float32)


def _shot_noise(shown: Shown, amount: float) -> Shown:
    """Photons at full exposure: `amount` a pixel; bright is little exposure."""
    photons = _random(shown).poisson((1.02 - shown) * amount)
    return np.asarray(1.02 - photons / amount, np.float32)


def _impulse_noise(shown: Shown, amount: float) -> Shown:
    drawn = _random(shown).random(shown.shape, np.float32)
    salted = np.where(drawn < amount / 2, np.float32(0), shown)
    return np.asarray(np.where(drawn > 1 - amount / 2, np.float32(1), salted), np.float32)


def _jpeg(shown: Shown, amount: float) -> Shown:
    levels = np.rint(shown * 255).astype(np.uint8)
    _, body = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, int(amount)])
    decoded = cv2.imdecode(body, cv2.IMREAD_GRAYSCALE)
    return np.asarray(decoded, np.float32) / np.float32(255)


def _border(shown: Shown, amount: float) -> Shown:
    """Black frame of `amount` of each side, as a collimator leaves."""
    rows, columns = (max(1, round(amount * side)) for side in shown.shape)
    framed = np.zeros_like(shown)
    inside = (slice(rows, -rows), slice(columns, -columns))
    framed[inside] = shown[inside]
    return framed


def _invert(shown: Shown, _amount: float) -> Shown:
    return 1 - shown


def _grey_levels(shown: Shown, amount: float) -> Shown:
    return np.asarray(np.rint(shown * (amount - 1)) / (amount - 1), np.float32)


def _dead_columns(shown: Shown, amount: float) -> Shown:
    """So many columns that read nothing."""
    changed = shown.copy()
    width = shown.shape[1]
    changed[:, np.linspace(0.2 * width, 0.8 * width, round(amount)).astype(np.intp)] = 0
    return changed


def _random(shown: Shown) -> np.random.Generator:
    """Seeded by the picture: other pictures get other noise, the same picture the same."""
    return np.random.default_rng(zlib.crc32(np.ascontiguousarray(shown).data))


CHANGES: dict[str, Change] = {
    "gamma": _gamma, "gain": _gain, "level": _level, "width": _width, "contrast": _contrast,
    "blur": _blur, "unsharp": _unsharp, "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise, "impulse_noise": _impulse_noise, "jpeg": _jpeg, "border": _border,
    "invert": _invert, "grey_levels": _grey_levels, "dead_columns": _dead_columns,
}  # fmt: skip

WORDS: dict[str, tuple[str, ...]] = {
    "gamma": (
        "mid-tones brighter, black and white kept: another tone curve",
        "mid-tones darker, black and white kept: another tone curve",
    ),
    "gain": ("darker in proportion: lower gain", "brighter in proportion: higher gain"),
    "level": (
        "brighter throughout: window level moved down",
        "darker throughout: window level moved up",
    ),
    "width": (
        "more contrast, ends clipped: narrower window",
        "less contrast, nothing quite black or white: wider window",
    ),
    "contrast": ("flatter: another tone curve", "steeper mid-tones: another tone curve"),
    "blur": ("softer: smoothing, binning or a scaled export",),
    "unsharp": ("sharper, more contrast: new processing",),
    "gaussian_noise": ("noisier everywhere: electronic noise of the detector",),
    "shot_noise": ("noisier where exposure is low: less dose or a detector that lost efficiency",),
    "impulse_noise": ("single black and white pixels: defective detector elements",),
    "jpeg": ("blocks of 8 pixels, less detail: lossy compression",),
    "border": ("black frame: collimation or cropping changed",),
    "invert": ("negative: polarity inverted",),
    "grey_levels": ("fewer grey levels: bit depth lost on export",),
    "dead_columns": ("single columns stand out: dead detector columns",),
}


@functools.cache
def known_shifts() -> tuple[Shift, ...]:
    """Those whose signatures are measured when a model is released, in both directions."""
    texts = (
        "gamma:0.8", "gamma:1.25", "gain:0.9", "gain:1.1", "level:0.95", "level:1.05",
        "width:0.85", "width:1.15", "contrast:0.8", "contrast:1.25", "blur:1", "unsharp:1",
        "gaussian_noise:0.03", "shot_noise:500", "impulse_noise:0.01", "jpeg:20", "border:0.05",
        "invert:1", "grey_levels:64", "dead_columns:4",
    )  # fmt: skip
    return tuple(parse_shift(text) for text in texts)

"""Radiograph -> Pixels: the one function that crops, resizes and stretches.

Axes: S side of the network's square input, H rows, W columns.
"""

from typing import Annotated, Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from service.core.area_average import average_areas
from service.core.borders import Box, recorded_box, visible_box, within
from service.core.percentiles import percentiles
from service.core.radiograph import WHITE, Grey, Pixels, Radiograph


class PreprocessSpec(BaseModel):
    """Everything that turns a radiograph into network input; part of the manifest.

    `mean` and `standard_deviation` are applied by `core.inference`, after augmentation and views.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    side_px: Annotated[int, Field(ge=32, le=1024)]
    resize: Literal["stretch-area"] = "stretch-area"
    trim_level_ratio: Annotated[float, Field(ge=0, le=0.2)] = 0.02
    low_percentile: Annotated[float, Field(ge=0, lt=50)] = 0.5
    high_percentile: Annotated[float, Field(gt=50, le=100)] = 99.5
    mean: float = 0.5
    standard_deviation: Annotated[float, Field(gt=0)] = 0.25


def preprocess(radiograph: Radiograph, spec: PreprocessSpec) -> Pixels:
    """Crop padding and borders, resize to a square, and stretch the grey range.

    The result does not change when the display window is moved without clipping: the stretch is
    by percentiles of the resized picture, so any affine map of grey levels is undone.

    Returns
    -------
    (1, S, S) float32, C-contiguous, 0..1; all zeros for a constant image.
    """
    grey = radiograph.grey[crop_box(radiograph, spec)]
    resized = _resize_square(grey, spec.side_px)
    return _stretch(resized, spec.low_percentile, spec.high_percentile)[np.newaxis]


def crop_box(radiograph: Radiograph, spec: PreprocessSpec) -> Box:
    """Rows and columns that are kept: without padding, black borders and a white frame."""
    grey, padding = radiograph.grey, radiograph.padding
    if padding is None:
        return visible_box(grey, spec.trim_level_ratio)
    recorded = recorded_box(padding)
    return within(recorded, visible_box(grey[recorded], spec.trim_level_ratio))


def normalise(batch_nchw: Pixels, spec: PreprocessSpec) -> Pixels:
    """Shift and scale pixels to the range that the network was trained on."""
    scale = np.float32(1.0 / spec.standard_deviation)
    return cast(Pixels, (batch_nchw - np.float32(spec.mean)) * scale)


def _resize_square(grey: Grey, side_px: int) -> NDArray[np.float32]:
    """(S, S) float32 in 0..1: pixel-area average when shrinking, bilinear when enlarging."""
    if min(grey.shape) >= side_px:
        square = average_areas(grey, side_px, side_px)
    else:
        size = (side_px, side_px)
        enlarged = cv2.resize(np.ascontiguousarray(grey), size, interpolation=cv2.INTER_LINEAR)
        square = enlarged.astype(np.float32)
    return square * np.float32(1.0 / WHITE)


def _stretch(square: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """Map the two percentiles to 0 and 1 and clip."""
    black, white = (np.float32(found) for found in percentiles(square, low, high))
    if white - black < 1.0 / WHITE:
        return np.zeros_like(square)
    # Divided, since a factor is rounded: what is as bright as `white` has to become 1.
    stretched = (square - black) / (white - black)
    return np.asarray(np.clip(stretched, 0.0, 1.0), np.float32)

"""Test-time augmentation: the list of views that are scored, and how they are averaged.

Axes: V views, N images, F findings, S side of the square input, h x w feature map.
"""

from collections.abc import Sequence
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from service.core.radiograph import Pixels

ZOOM_KEEP_RATIO = 0.92
"""Side of the central crop of a zoomed view; lungs of a frontal film stay inside it."""


class TtaView(StrEnum):
    """One deterministic view of the network's input."""

    IDENTITY = "identity"
    HFLIP = "hflip"
    ZOOM = "zoom"
    ZOOM_HFLIP = "zoom_hflip"


FLIPPED = frozenset({TtaView.HFLIP, TtaView.ZOOM_HFLIP})
ZOOMED = frozenset({TtaView.ZOOM, TtaView.ZOOM_HFLIP})


def build_views(batch_nchw: Pixels, views: Sequence[TtaView]) -> Pixels:
    """Stack the views of a batch.

    Returns
    -------
    (V * N, 1, S, S): all images in the first view, then all in the second, and so on. The batch
    itself where that is all that is asked for.
    """
    if tuple(views) == (TtaView.IDENTITY,):
        return batch_nchw
    zoomed = _zoom(batch_nchw) if not ZOOMED.isdisjoint(views) else batch_nchw
    pictures = np.empty((len(views), *batch_nchw.shape), batch_nchw.dtype)
    for view, place in zip(views, pictures, strict=True):
        source = zoomed if view in ZOOMED else batch_nchw
        place[...] = source[..., ::-1] if view in FLIPPED else source
    return pictures.reshape(-1, *batch_nchw.shape[1:])


def average_logits(
    logits_mf: NDArray[np.float32], view_count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(V * N, F) -> the mean over views (N, F), and the views themselves (V, N, F)."""
    logits_vnf = logits_mf.reshape(view_count, -1, logits_mf.shape[-1])
    return logits_vnf.mean(axis=0), logits_vnf


def average_attention(
    maps_mfhw: NDArray[np.float32], views: Sequence[TtaView]
) -> NDArray[np.float32]:
    """(V * N, F, h, w) -> (N, F, h, w), flipped views turned back; zoomed ones are left out.

    A zoomed view shows another field, so its map does not lie on the same pixels.
    """
    maps_vnfhw = maps_mfhw.reshape(len(views), -1, *maps_mfhw.shape[1:])
    aligned = [
        maps[..., ::-1] if view is TtaView.HFLIP else maps
        for view, maps in zip(views, maps_vnfhw, strict=True)
        if view in (TtaView.IDENTITY, TtaView.HFLIP)
    ]
    chosen = aligned if aligned else [maps_vnfhw[0]]
    return np.asarray(np.mean(chosen, axis=0), np.float32)


def _zoom(batch_nchw: Pixels) -> Pixels:
    side = batch_nchw.shape[-1]
    margin = round(side * (1 - ZOOM_KEEP_RATIO) / 2)
    zoomed = np.empty_like(batch_nchw)
    for index, image in enumerate(batch_nchw[:, 0]):
        crop = image[margin : side - margin, margin : side - margin]
        zoomed[index, 0] = cv2.resize(crop, (side, side), interpolation=cv2.INTER_LINEAR)
    return zoomed

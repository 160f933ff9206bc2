"""Views are what they are called, in the order asked for, and each is made once."""

from itertools import permutations

import cv2
import numpy as np
import pytest

from service.core.radiograph import Pixels
from service.core.tta import ZOOM_KEEP_RATIO, TtaView, build_views

IMAGES, SIDE_PX = 3, 50
ALONE = [views for count in (1, 2, 4) for views in permutations(TtaView, count)]


@pytest.fixture
def batch_nchw() -> Pixels:
    return np.random.default_rng(0).random((IMAGES, 1, SIDE_PX, SIDE_PX), np.float32)


@pytest.mark.parametrize("views", ALONE)
def test_every_list_of_views_is_made_of_the_views_alone(
    batch_nchw: Pixels, views: tuple[TtaView, ...]
) -> None:
    pictures = build_views(batch_nchw, views)

    alone = [build_views(batch_nchw, [view]) for view in views]
    np.testing.assert_array_equal(pictures, np.concatenate(alone))
    assert pictures.flags.c_contiguous


def test_flip_and_zoom_are_what_they_are_called(batch_nchw: Pixels) -> None:
    identity, hflip, zoom, both = np.split(build_views(batch_nchw, list(TtaView)), 4)

    margin = round(SIDE_PX * (1 - ZOOM_KEEP_RATIO) / 2)
    inner = batch_nchw[1, 0, margin:-margin, margin:-margin]
    larger = cv2.resize(inner, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(identity, batch_nchw)
    np.testing.assert_array_equal(hflip, batch_nchw[..., ::-1])
    np.testing.assert_array_equal(zoom[1, 0], larger)
    np.testing.assert_array_equal(both, zoom[..., ::-1])


def test_picture_is_zoomed_once_for_both_zoomed_views(
    batch_nchw: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    resize, calls = cv2.resize, []

    def count(*args: object, **options: object) -> object:
        calls.append(args)
        return resize(*args, **options)  # type: ignore[call-overload] # handed on as it came

    monkeypatch.setattr(cv2, "resize", count)

    build_views(batch_nchw, list(TtaView))

    assert len(calls) == IMAGES

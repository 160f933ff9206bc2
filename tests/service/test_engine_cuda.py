"""What of the CUDA engine needs no GPU; `tests/gpu` has the rest."""

from pathlib import Path

import numpy as np
import pytest

from service.core.artifact import load_current
from service.core.preprocess import normalise
from service.engine.cuda import BUCKETS, split_into_buckets
from service.engine.torch import TorchEngine
from tests.support.tiny_network import SPEC, chest_pixels


@pytest.mark.parametrize("pictures", [1, 2, 3, 33, 64, 65, 200])
def test_buckets_cover_every_picture_once_and_in_order(pictures: int) -> None:
    parts = list(split_into_buckets(pictures))

    covered = [index for start, count, _ in parts for index in range(start, start + count)]
    assert covered == list(range(pictures))
    assert all(count <= bucket and bucket in BUCKETS for _, count, bucket in parts)


def test_engine_that_is_closed_scores_nothing(tiny_store: Path) -> None:
    engine = TorchEngine(load_current(tiny_store))
    engine.close()

    with pytest.raises(RuntimeError, match="closed"):
        engine.forward(np.ascontiguousarray(normalise(chest_pixels(), SPEC)))

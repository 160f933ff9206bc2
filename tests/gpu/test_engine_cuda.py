"""The CUDA engine on a GPU: `make gpu-test`, on a machine that has one."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from service.core.artifact import Artifact, load_current
from service.core.preprocess import normalise
from service.core.radiograph import Pixels
from service.engine.cuda import LANES
from service.engine.loading import open_engine
from service.engine.torch import TorchEngine
from tests.support.tiny_network import SPEC, chest_pixels

LOGIT_TOLERANCE = 0.05
"""bf16 keeps eight bits."""


@pytest.fixture(scope="module")
def artifact(tiny_store: Path) -> Artifact:
    return load_current(tiny_store)


def _pictures(count: int) -> Pixels:
    """So many, of which no two follow each other."""
    drawn = normalise(chest_pixels(), SPEC)
    return np.ascontiguousarray(drawn[np.arange(count) % len(drawn)])


@pytest.mark.parametrize("count", [1, 3, 64, 65])
def test_gpu_agrees_with_the_reference(artifact: Artifact, count: int) -> None:
    batch = _pictures(count)
    expected = TorchEngine(artifact).forward(batch)
    engine = open_engine(artifact, engine="torch", device="cuda")

    outputs = engine.forward(batch)
    engine.close()

    np.testing.assert_allclose(outputs.logits, expected.logits, atol=LOGIT_TOLERANCE)
    assert [output.shape for output in outputs] == [output.shape for output in expected]


def test_lanes_that_score_at_the_same_time_disturb_no_other(artifact: Artifact) -> None:
    engine = open_engine(artifact, engine="torch", device="cuda")
    batches = [_pictures(count) for count in (1, 5, 17, 64)] * 25
    alone = {len(batch): engine.forward(batch).logits for batch in batches[:4]}

    with ThreadPoolExecutor(2 * LANES) as threads:
        together = list(threads.map(lambda batch: engine.forward(batch).logits, batches))
    engine.close()

    for batch, logits in zip(batches, together, strict=True):
        np.testing.assert_array_equal(logits, alone[len(batch)])


def test_version_is_opened_while_another_serves(artifact: Artifact) -> None:
    serving = open_engine(artifact, engine="torch", device="cuda")
    batch = _pictures(16)
    expected = serving.forward(batch).logits

    with ThreadPoolExecutor(1) as threads:
        opening = threads.submit(open_engine, artifact, engine="torch", device="cuda")
        while not opening.done():
            np.testing.assert_array_equal(serving.forward(batch).logits, expected)
        next_one = opening.result()

    np.testing.assert_array_equal(next_one.forward(batch).logits, expected)
    serving.close()
    next_one.close()

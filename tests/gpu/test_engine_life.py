"""Engines that come, go and fail on a GPU leave the one that serves as it was."""

import gc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import nn

from service.core.artifact import Artifact
from service.core.radiograph import Pixels
from service.engine.torch import TorchEngine
from tests.gpu.conftest import VERSIONS, open_proven

OPENINGS = 12
"""Of three lanes: more streams than torch has."""

LEFT_BYTES = 64_000_000
"""What libraries may keep; one engine takes several times as much."""

MAX_SECONDS = 240

FP32_ERROR = 2**-19
"""Of a sum of products, as a share of the sum of their sizes."""


def test_versions_are_opened_and_closed_while_another_serves(
    engine: TorchEngine, artifact: Artifact, pictures: Pixels, device: str
) -> None:
    expected = engine.forward(pictures).logits

    def open_and_close() -> list[bool]:
        return [_opens_alike(artifact, device, pictures, expected) for _ in range(OPENINGS)]

    with ThreadPoolExecutor(1) as threads:
        opening = threads.submit(open_and_close)
        answers = 0
        while not opening.done():
            np.testing.assert_array_equal(engine.forward(pictures).logits, expected)
            answers += 1

    assert opening.result() == [True] * OPENINGS
    assert answers > OPENINGS


def _opens_alike(artifact: Artifact, device: str, pictures: Pixels, expected: object) -> bool:
    newer = TorchEngine(artifact, device)
    try:
        return bool(np.allclose(newer.forward(pictures).logits, np.asarray(expected), atol=0.05))
    finally:
        newer.close()


def test_two_engines_opened_at_once_both_serve(
    artifact: Artifact, pictures: Pixels, device: str
) -> None:
    with ThreadPoolExecutor(2) as threads:
        both = list(threads.map(lambda _: open_proven(artifact, device), range(2)))

    first, second = (engine.forward(pictures).logits for engine in both)
    for engine in both:
        engine.close()

    np.testing.assert_array_equal(first, second)


def test_closed_engine_gives_its_memory_back(artifact: Artifact, device: str) -> None:
    held = []
    for _ in range(3):
        open_proven(artifact, device).close()
        gc.collect()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        held.append(torch.cuda.memory_reserved())

    assert held[-1] - held[0] < LEFT_BYTES


def test_convolutions_of_the_device_do_not_use_tf32(engine: TorchEngine) -> None:
    assert engine._network is not None
    head = engine._network.head
    deepest = torch.rand(4, head.in_channels, 5, 5, device=head.weight.device)

    with torch.inference_mode():
        found = nn.functional.conv2d(deepest, head.weight).double()
        weight = head.weight.double()[..., 0, 0]
        exact = torch.einsum("nchw,fc->nfhw", deepest.double(), weight)
        scale = torch.einsum("nchw,fc->nfhw", deepest.double(), weight.abs()).max()

    assert float((found - exact).abs().max() / scale) < FP32_ERROR


FAILING = """
import sys
from pathlib import Path
import numpy as np
import torch
from torch import nn
from service.core.artifact import load_artifact
from service.engine.base import EngineUnavailable
from service.engine.cuda import open_lanes
from service.engine.torch import TorchEngine

artifact, device = load_artifact(Path(sys.argv[1])), torch.device("cuda", 0)
side_px = artifact.manifest.preprocess.side_px
pictures = np.random.default_rng(0).random((5, 1, side_px, side_px), np.float32)
engine = TorchEngine(artifact, "cuda:0")
expected = engine.forward(pictures).logits

def run(pixels):
    if torch.cuda.is_current_stream_capturing():
        pixels.sum().item()
    return (pixels.mean((2, 3)), pixels, pixels.mean((2, 3)))

for attempt in range(2):
    try:
        open_lanes(run, side_px, device)
        print("opened")
    except EngineUnavailable as error:
        print("restart" if "restart" in str(error) else "refused")
    current = torch.cuda.current_stream() == torch.cuda.default_stream()
    print(current, np.array_equal(engine.forward(pictures).logits, expected))
"""


def test_recording_that_fails_leaves_the_engine_that_serves_and_forbids_others() -> None:
    command = [sys.executable, "-c", FAILING, str(VERSIONS[-1])]

    finished = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=MAX_SECONDS
    )

    told = finished.stdout.split()
    expected = ["refused", "True", "True", "restart", "True", "True"]
    assert told == expected, finished.stderr[-2000:]

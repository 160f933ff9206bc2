"""The bare network on this CPU: OpenVINO, ONNX Runtime and eager PyTorch, batches of 1 to 32.

Nothing is decoded. They take turns, and the median of the rounds is shown.
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray

from bench.speed_model import SIDE_PX, open_store
from service.core.artifact import ONNX, Artifact, load_current
from service.core.precision import Precision
from service.engine.layout import prepare
from service.engine.torch import load_network

Batch = NDArray[np.float32]
Forward = Callable[[Batch], object]
BATCHES = (1, 2, 4, 8, 16, 32)
IMAGES = 32
"""That each measurement scores, in whatever batches."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Images per second of one engine at one batch size."""

    engine: str
    batch: int
    per_second: float


def engines_of(artifact: Artifact) -> dict[str, Callable[[int], Forward]]:
    """Each engine by name, opened for a batch size."""
    found: dict[str, Callable[[int], Forward]] = {}
    for name, hint, dtype in _formats():
        found[f"OpenVINO {name}, one batch"] = partial(_openvino_whole, artifact, hint)
        found[f"OpenVINO {name}, a stream a core"] = partial(_openvino_streams, artifact, hint)
        found[f"OpenVINO {name}, prepared"] = partial(
            _openvino_streams, artifact, hint, is_prepared=True
        )
        found[f"PyTorch {name}, eager"] = partial(_torch, artifact, dtype)
    if importlib.util.find_spec("onnxruntime") is not None:
        found["ONNX Runtime fp32"] = lambda batch: _onnxruntime(artifact)
    return found


def measure(
    artifact: Artifact, *, batches: Sequence[int] = BATCHES, rounds: int = 3
) -> list[Speed]:
    """Every engine at every batch size, in turns."""
    opened = {
        (name, batch): build(batch)
        for name, build in engines_of(artifact).items()
        for batch in batches
    }
    generator = np.random.default_rng(0)
    pixels = generator.normal(size=(max(batches), 1, SIDE_PX, SIDE_PX)).astype(np.float32)
    seconds: dict[tuple[str, int], list[float]] = {key: [] for key in opened}
    for _ in range(rounds + 1):
        for (name, batch), forward in opened.items():
            started = time.perf_counter()
            for _ in range(IMAGES // batch):
                forward(pixels[:batch])
            seconds[name, batch].append(time.perf_counter() - started)
    return [
        Speed(name, batch, IMAGES / statistics.median(taken[1:]))  # the first round warms up
        for (name, batch), taken in seconds.items()
    ]


def _formats() -> list[tuple[str, str, torch.dtype]]:
    """Number formats that this CPU computes in; others it would only imitate."""
    formats = [("fp32", "f32", torch.float32), ("bf16", "bf16", torch.bfloat16)]
    can = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return formats if "BF16" in can else formats[:1]


def _compile(
    artifact: Artifact, batch: int, precision: str, hint: str, is_prepared: bool = False
) -> Any:
    core = openvino.Core()
    model = core.read_model(artifact.files[ONNX], b"")
    model.reshape({"pixels": [batch, 1, SIDE_PX, SIDE_PX]})
    if is_prepared:
        model = prepare(core, model, Precision(precision))
    options = {
        "PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": precision,
        "ENABLE_CPU_PINNING": False,
    }  # fmt: skip
    return core.compile_model(model, "CPU", options)


def _openvino_whole(artifact: Artifact, precision: str, batch: int) -> Forward:
    request = _compile(artifact, batch, precision, "LATENCY").create_infer_request()
    return lambda pixels: request.infer({"pixels": pixels})


def _openvino_streams(
    artifact: Artifact, precision: str, batch: int, *, is_prepared: bool = False
) -> Forward:
    """One picture a stream; as the service does it, when it is prepared too."""
    queue = openvino.AsyncInferQueue(
        _compile(artifact, 1, precision, "THROUGHPUT", is_prepared=is_prepared)
    )

    def forward(pixels: Batch) -> None:
        for index in range(batch):
            queue.start_async({"pixels": pixels[index : index + 1]})
        queue.wait_all()

    return forward


def _torch(artifact: Artifact, dtype: torch.dtype, batch: int) -> Forward:
    network = load_network(artifact)

    def forward(pixels: Batch) -> None:
        with (
            torch.inference_mode(),
            torch.autocast("cpu", dtype, enabled=dtype is not torch.float32),
        ):
            network(torch.from_numpy(pixels[:batch]))

    return forward


def _onnxruntime(artifact: Artifact) -> Forward:
    import onnxruntime  # noqa: PLC0415 - a comparison where it is installed

    session = onnxruntime.InferenceSession(artifact.files[ONNX], providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(["logits"], {"pixels": pixels})


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".bench-data"))
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    artifact = load_current(open_store(chosen.folder / "stores"))
    for speed in measure(artifact, rounds=chosen.rounds):
        print(f"{speed.engine:32s} batch {speed.batch:3d} {speed.per_second:7.1f} images/s")


if __name__ == "__main__":
    main()

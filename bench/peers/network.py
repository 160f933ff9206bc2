"""What every peer does with an upload: Pillow, and the network under OpenVINO or eager PyTorch.

Runs in the environment of a peer, so it imports nothing of ours. It does less than our service:
no digest, no check of the picture, no stretch of grey levels, no calibration, no record.
"""

import io
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Batch = NDArray[np.float32]

SIDE_PX = int(os.environ.get("PEER_SIDE_PX", "224"))
ENGINE = os.environ.get("PEER_ENGINE", "openvino")
ONNX_FILE = os.environ.get("PEER_ONNX", "model.onnx")
PORT = int(os.environ.get("PEER_PORT", "8000"))

CORES = len(os.sched_getaffinity(0))

MAX_BATCH = 8
BATCH_SECONDS = 0.005
"""What each peer is told, where it forms batches at all."""

PATIENCE_SECONDS = 60
"""No peer gives up a request before the load generator does."""


def read_picture(body: bytes) -> Batch:
    """PNG bytes -> (1, S, S), normalised."""
    return prepare_picture(Image.open(io.BytesIO(body)))


def prepare_picture(picture: Image.Image) -> Batch:
    """Picture -> (1, S, S), normalised."""
    grey = picture.convert("L").resize((SIDE_PX, SIDE_PX))
    levels = (np.asarray(grey, np.float32) / 255 - 0.5) / 0.25
    return levels[np.newaxis].astype(np.float32)


def open_network(*, processes: int = 1) -> Callable[[Batch], Batch]:
    """(N, 1, S, S) -> logits (N, 3); for one thread at a time.

    Parameters
    ----------
    processes
        That have a network each. Eager PyTorch then gets its share of the cores in each, as its
        page "CPU threading" asks for; OpenVINO keeps all, which it does not spin on.
    """
    return _open_torch(processes) if ENGINE == "torch" else _open_openvino()


def tell(logits: Batch) -> dict[str, float]:
    """(3,) -> what a caller gets."""
    odds = np.exp(logits - logits.max())
    names = ("normal", "pneumonia", "tuberculosis")
    return {name: float(p) for name, p in zip(names, odds / odds.sum(), strict=True)}


def _open_openvino() -> Callable[[Batch], Batch]:
    """As OpenVINO does by default: all cores for one batch, bf16 where the CPU has it."""
    import openvino  # noqa: PLC0415 - in an environment of its own

    compiled: Any = openvino.compile_model(ONNX_FILE, "CPU")
    request = compiled.create_infer_request()

    def forward(batch: Batch) -> Batch:
        request.infer({"pixels": batch})
        return np.array(request.get_tensor("logits").data)

    forward(np.zeros((1, 1, SIDE_PX, SIDE_PX), np.float32))
    return forward


def _open_torch(processes: int) -> Callable[[Batch], Batch]:
    """Eager, fp32, as a tutorial does it; weights cost the same whatever they are."""
    import torch  # noqa: PLC0415 - in an environment of its own
    from torchvision.models import densenet121  # noqa: PLC0415 - the same

    torch.set_num_threads(max(1, CORES // processes))
    network = densenet121(weights=None, num_classes=3)
    network.features.conv0 = torch.nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    network.eval()

    def forward(batch: Batch) -> Batch:
        with torch.inference_mode():
            return np.asarray(network(torch.from_numpy(batch)).numpy())

    forward(np.zeros((1, 1, SIDE_PX, SIDE_PX), np.float32))
    return forward

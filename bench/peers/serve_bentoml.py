"""BentoML: a batchable API; started by `bentoml serve`."""

import os
import sys
from pathlib import Path

import bentoml
import numpy as np
from network import MAX_BATCH, PORT, open_network, prepare_picture, tell
from PIL.Image import Image


@bentoml.service(workers=1, traffic={"timeout": 60})
class Chest:
    """The service."""

    def __init__(self) -> None:
        self.forward = open_network()

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH, max_latency_ms=10_000)
    def predict(self, images: list[Image]) -> list[dict[str, float]]:
        """A batch."""
        pixels = np.stack([prepare_picture(image) for image in images])
        return [tell(logits) for logits in self.forward(pixels)]


if __name__ == "__main__":
    os.environ |= {"PYTHONPATH": str(Path(__file__).parent), "BENTOML_DO_NOT_TRACK": "True"}
    command = str(Path(sys.executable).with_name("bentoml"))
    words = [
        "serve",
        "serve_bentoml:Chest",
        "--port",
        str(PORT),
        "--working-dir",
        str(Path(__file__).parent),
    ]
    os.execv(command, [command, *words])

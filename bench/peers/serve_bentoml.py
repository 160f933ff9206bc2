"""BentoML: a batchable API; started by `bentoml serve`.

A worker a core, as its page "Parallelize requests handling" has it for work on CPUs. Requests that
the dispatcher expects to exceed `max_latency_ms` are refused (page "Adaptive batching"), so it is
as long as the timeout. The access log is off (page "Configurations").
"""

import os
import sys
from pathlib import Path

import bentoml
import numpy as np
from network import (
    CORES,
    MAX_BATCH,
    PATIENCE_SECONDS,
    PORT,
    open_network,
    prepare_picture,
    tell,
)
from PIL.Image import Image


@bentoml.service(
    workers=CORES,
    traffic={"timeout": PATIENCE_SECONDS},
    logging={"access": {"enabled": False}},
)
class Chest:
    """The service."""

    def __init__(self) -> None:
        self.forward = open_network(processes=CORES)

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH, max_latency_ms=1000 * PATIENCE_SECONDS)
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

"""MLServer: a custom runtime with adaptive batching; started by `mlserver start`.

The raw body comes in by a custom handler (page "Custom Inference Runtimes") and goes through the
runtime's `predict`, which MLServer wraps in its batcher (page "Adaptive Batching"). No process
pool: a second one would share the same cores (page "Parallel Inference"). Without `debug` there is
no access log.
"""

import asyncio
import json
import os
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
from mlserver import MLModel
from mlserver.context import model_context
from mlserver.handlers import custom_handler
from mlserver.types import (
    InferenceRequest,
    InferenceResponse,
    RequestInput,
    ResponseOutput,
)
from network import BATCH_SECONDS, MAX_BATCH, PORT, open_network, read_picture, tell
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class Chest(MLModel):
    """The runtime."""

    async def load(self) -> bool:
        """Once."""
        self.forward = open_network()
        self.lock = threading.Lock()
        return True

    @custom_handler(rest_path="/predict")
    async def handle(self, request: Request) -> Response:
        """One upload, as one of a batch."""
        body = await request.body()
        picture = RequestInput(name="pictures", shape=[1], datatype="BYTES", data=[body])
        with model_context(self.settings):  # which the batcher counts its queue in
            answer = await self.predict(InferenceRequest(inputs=[picture]))
        return JSONResponse(tell(np.array(answer.outputs[0].data.root, np.float32)))

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """A batch, off the event loop."""
        bodies = list(payload.inputs[0].data.root)
        logits = await asyncio.to_thread(self._score, bodies)
        output = ResponseOutput(
            name="logits", shape=list(logits.shape), datatype="FP32", data=logits.ravel().tolist()
        )
        return InferenceResponse(model_name=self.name, outputs=[output])

    def _score(self, bodies: list[bytes]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        pixels = np.stack([read_picture(body) for body in bodies])
        with self.lock:
            return self.forward(pixels)


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp())
    settings = {"http_port": PORT, "grpc_port": PORT + 1, "metrics_port": PORT + 2,
                "parallel_workers": 0, "debug": False}  # fmt: skip
    model = {"name": "chest", "implementation": "serve_mlserver.Chest",
             "max_batch_size": MAX_BATCH, "max_batch_time": BATCH_SECONDS}  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    command = str(Path(sys.executable).with_name("mlserver"))
    os.execv(command, [command, "start", str(folder)])

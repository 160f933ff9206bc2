"""MLServer: a custom runtime that takes the raw body; started by `mlserver start`."""

import asyncio
import json
import os
import sys
import tempfile
import threading
from pathlib import Path

from mlserver import MLModel
from mlserver.handlers import custom_handler
from network import PORT, open_network, read_picture, tell
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
        """One upload, off the event loop."""
        body = await request.body()
        return JSONResponse(await asyncio.to_thread(self._score, body))

    def _score(self, body: bytes) -> dict[str, float]:
        pixels = read_picture(body)
        with self.lock:
            return tell(self.forward(pixels[None])[0])


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp())
    settings = {"http_port": PORT, "grpc_port": PORT + 1, "metrics_port": PORT + 2,
                "parallel_workers": 0, "debug": False}  # fmt: skip
    model = {"name": "chest", "implementation": "serve_mlserver.Chest"}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    command = str(Path(sys.executable).with_name("mlserver"))
    os.execv(command, [command, "start", str(folder)])

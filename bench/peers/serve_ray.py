"""Ray Serve: one replica that has all cores, dynamic batches.

Cores, batches, `max_ongoing_requests` and the flags are those of its page "Performance Tuning"; a
request has no timeout by default. The access log is off (page "Monitor Your Application").
"""

import asyncio
import os
import signal

import numpy as np
import ray
from network import BATCH_SECONDS, CORES, MAX_BATCH, PORT, Batch, open_network, read_picture, tell
from ray import serve
from starlette.requests import Request

FLAGS = {
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1000",
    "RAY_SERVE_LOG_TO_STDERR": "0",
}


@serve.deployment(
    num_replicas=1,
    max_ongoing_requests=256,
    ray_actor_options={"num_cpus": CORES},
    logging_config={"enable_access_log": False},
)
class Chest:
    """The deployment."""

    def __init__(self) -> None:
        self.forward = open_network()

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=BATCH_SECONDS)
    async def score(self, pixels: list[Batch]) -> list[dict[str, float]]:
        """A batch, off the event loop."""
        logits = await asyncio.to_thread(self.forward, np.stack(pixels))
        return [tell(one) for one in logits]

    async def __call__(self, request: Request) -> dict[str, float]:
        """One upload."""
        body = await request.body()
        return await self.score(await asyncio.to_thread(read_picture, body))


if __name__ == "__main__":
    os.environ |= FLAGS  # all that it starts has them
    ray.init(
        num_cpus=CORES, include_dashboard=False, log_to_driver=False, object_store_memory=2**27
    )
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    serve.run(Chest.bind(), route_prefix="/predict")
    signal.pause()

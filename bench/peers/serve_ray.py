"""Ray Serve: one replica, dynamic batches."""

import asyncio
import signal

import numpy as np
import ray
from network import BATCH_SECONDS, MAX_BATCH, PORT, Batch, open_network, read_picture, tell
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=256, ray_actor_options={"num_cpus": 1})
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
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=2**27)
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    serve.run(Chest.bind(), route_prefix="/predict")
    signal.pause()

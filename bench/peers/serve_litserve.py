"""LitServe: decode and batch in its workers.

`workers_per_device` is the number of cores, as the reference of `LitServer` asks for on a CPU; so
is, by default, the number of HTTP servers. A request times out after 30 s by default.
"""

import litserve
import numpy as np
from fastapi import Request
from network import (
    BATCH_SECONDS,
    CORES,
    MAX_BATCH,
    PATIENCE_SECONDS,
    PORT,
    Batch,
    open_network,
    read_picture,
    tell,
)


class Chest(litserve.LitAPI):
    """The steps that LitServe calls."""

    def setup(self, device: str) -> None:
        """Once, in the worker."""
        self.forward = open_network(processes=CORES)

    def decode_request(self, request: Request) -> Batch:
        """In the worker; of the form's fields, as its documentation shows it."""
        return read_picture(request["file"].file.read())

    def predict(self, x: Batch) -> Batch:
        """A stacked batch."""
        return self.forward(x)

    def encode_response(self, output: Batch) -> dict[str, float]:
        """One of the batch."""
        return tell(output)

    def batch(self, inputs: list[Batch]) -> Batch:
        """Stack."""
        return np.stack(inputs)

    def unbatch(self, output: Batch) -> list[Batch]:
        """Unstack."""
        return list(output)


if __name__ == "__main__":
    api = Chest(max_batch_size=MAX_BATCH, batch_timeout=BATCH_SECONDS, api_path="/predict")
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=CORES, timeout=PATIENCE_SECONDS
    )
    server.run(port=PORT, log_level="warning", generate_client_file=False)

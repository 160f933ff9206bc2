"""Mosec: two workers decode, one runs batches, as its pipeline is meant.

Stages and their workers are those of "Performance tuning" in its README; `--timeout`, which is 3 s
by default, is of its page "Argument Reference".
"""

import sys

import numpy as np
from mosec import Server, Worker
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


class Decode(Worker):
    """Bytes to pixels."""

    def deserialize(self, data: bytes) -> bytes:
        """The body as it came."""
        return data

    def forward(self, data: bytes) -> Batch:
        """One upload."""
        return read_picture(data)


class Score(Worker):
    """Pixels to probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.network = open_network()

    def forward(self, data: list[Batch]) -> list[dict[str, float]]:
        """A batch."""
        return [tell(logits) for logits in self.network(np.stack(data))]


if __name__ == "__main__":
    patience_ms = str(1000 * PATIENCE_SECONDS)
    sys.argv = [
        sys.argv[0], "--port", str(PORT), "--log-level", "warning", "--timeout", patience_ms,
    ]  # fmt: skip
    server = Server()
    server.append_worker(Decode, num=CORES, route="/predict")
    wait_ms = round(1000 * BATCH_SECONDS)
    server.append_worker(
        Score, num=1, max_batch_size=MAX_BATCH, max_wait_time=wait_ms, route="/predict"
    )
    server.run()

"""The Engine protocol: what the batcher may ask of a device."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.core.radiograph import Pixels


class Engine(Protocol):
    """A loaded network on a device; used by one thread at a time."""

    name: str
    """`openvino` or `torch`."""
    device: str
    """What it runs on, for people and metrics: `cpu bf16`, `cuda:0 bf16`."""

    def forward(self, batch_nchw: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(M, 1, S, S) normalised -> logits (M, F) and maps (M, F, h, w), any M >= 1."""

    def close(self) -> None:
        """Release the device."""

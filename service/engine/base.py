"""The Engine protocol: what the batcher may ask of a device, and its refusal."""

from collections.abc import Callable
from typing import Protocol

from service.core.errors import CxrError
from service.core.inference import Forward, Outputs
from service.core.radiograph import Pixels


class EngineUnavailable(CxrError):
    """The engine or device that the settings ask for is not on this machine, or refuses."""

    code = "ENGINE_UNAVAILABLE"


class Engine(Protocol):
    """A loaded network on a device."""

    name: str
    """`openvino` or `torch`."""
    device: str
    """What it runs on, for people and metrics: `cpu bf16`, `cuda:0 bf16`."""
    lanes: int
    """How many threads may score at the same time."""
    company: int
    """Pictures that gain from being scored in one call; more would only wait for each other."""

    def forward(self, batch_nchw: Pixels) -> Outputs:
        """(M, 1, S, S) normalised -> logits, maps and features, any M >= 1."""

    def finish(self, prove: Callable[[Forward], object]) -> None:
        """Open what the first answers can do without; blocks, and may run beside `forward`.

        Parameters
        ----------
        prove
            Raises on a way of scoring that must not be used.
        """

    def close(self) -> None:
        """Release the device."""


def radiographs_a_call(engine: Engine, *, views: int, at_most: int | None = None) -> int:
    """Radiographs that gain from each other's company; each view of one is a picture."""
    gain = max(1, engine.company // views)
    return gain if at_most is None else min(gain, at_most)

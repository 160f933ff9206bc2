"""An engine whose batches wait at a gate, so that a test knows who is inside which model."""

import asyncio
from collections.abc import Callable

from service.core.inference import Outputs
from service.core.radiograph import Pixels
from service.runtime import Runtime
from tests.support.gates import Gate

LONGEST_SECONDS = 30.0


class GatedEngine:
    """Counts the radiographs that the present engine has taken, and holds them at the gate."""

    def __init__(self, runtime: Runtime, gate: Gate) -> None:
        serving = runtime.slot.current
        self._batcher, self._gate = serving.batcher, gate
        self._views = len(serving.model.recipe.views)
        self._forward: Callable[[Pixels], Outputs] = serving.engine.forward
        self._pictures = 0
        serving.engine.forward = self.forward  # type: ignore[method-assign]  # the gate goes in

    def forward(self, batch_nchw: Pixels) -> Outputs:
        """What the engine gives, once the gate is open."""
        self._pictures += len(batch_nchw)
        self._gate.hold()
        return self._forward(batch_nchw)

    @property
    def taken(self) -> int:
        """Radiographs that it has, or that wait for it."""
        return self._pictures // self._views + self._batcher.queued

    async def holds(self, radiographs: int) -> None:
        """Return once it has so many."""
        await until(lambda: self.taken >= radiographs)


async def until(is_true: Callable[[], bool]) -> None:
    """Let others go on until it is true."""
    async with asyncio.timeout(LONGEST_SECONDS):
        while not is_true():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0)

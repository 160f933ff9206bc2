"""A scripted engine for the batcher: each radiograph's pixels say who it is and how it behaves."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from service.batch import Scored
from service.batcher import Batcher
from service.core.findings import FINDINGS
from service.core.inference import Forward, Outputs, Scores
from service.core.radiograph import Pixels
from service.turns import ANYBODY, Turn
from tests.support.virtual_time import VirtualLoop


@dataclass(frozen=True, slots=True)
class Call:
    """What the engine was asked at once, and when."""

    numbers: tuple[int, ...]
    start: float
    end: float


class EngineBroke(Exception):
    """What the scripted engine raises."""


def radiograph(number: int) -> Pixels:
    """(1, 2, 2) that nobody else has."""
    return np.full((1, 2, 2), number, np.float32)


def scores_of(number: int) -> Scores:
    """The one right answer for `radiograph(number)`."""
    share = np.float32(number / 1000)
    probabilities = np.array([1 - share, share, 0], np.float32)
    return Scores(probabilities, np.zeros(3, np.float32), np.zeros((3, 1, 1), np.float32))


@dataclass
class ScriptedEngine:
    """Takes virtual time, and misbehaves for the radiographs that it is told of.

    Attributes
    ----------
    poisonous
        Raises whenever one of them is in the batch.
    nameless
        Gives NaN for them.
    short
        Gives one score too few whenever one of them is in the batch.
    """

    call_seconds: float = 1.0
    image_seconds: float = 0.0
    poisonous: frozenset[int] = frozenset()
    nameless: frozenset[int] = frozenset()
    short: frozenset[int] = frozenset()
    calls: list[Call] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    loop: VirtualLoop | None = None

    def __call__(self, batch_nchw: Pixels) -> Sequence[Scores]:
        assert self.loop is not None
        numbers = tuple(int(pixels[0, 0, 0]) for pixels in batch_nchw)
        start = self.loop.time()
        self.loop.sleep_in_thread(self.call_seconds + self.image_seconds * len(numbers))
        self.calls.append(Call(numbers, start, self.loop.time()))
        self.threads.add(threading.get_ident())
        if self.poisonous & set(numbers):
            raise EngineBroke("a poisonous radiograph")
        answer = [self._score(number) for number in numbers]
        return answer[1:] if self.short & set(numbers) else answer

    @property
    def batches(self) -> list[tuple[int, ...]]:
        """Numbers of each call, in order."""
        return [call.numbers for call in self.calls]

    def _score(self, number: int) -> Scores:
        if number not in self.nameless:
            return scores_of(number)
        nothing = np.full(3, np.nan, np.float32)
        return Scores(nothing, nothing, np.zeros((3, 1, 1), np.float32))


class NamelessEngine:
    """An engine on a device that gives NaN for every picture."""

    name, device, lanes, company = "nameless", "cpu", 1, 1

    def forward(self, batch_nchw: Pixels) -> Outputs:
        """Logits and maps without a number in them."""
        nothing = np.full((len(batch_nchw), len(FINDINGS), 2, 2), np.nan, np.float32)
        features = np.zeros((len(batch_nchw), 0), np.float32)
        return Outputs(nothing[:, :, 0, 0], nothing, features)

    def finish(self, prove: Callable[[Forward], object]) -> None:
        """There is nothing to open."""

    def close(self) -> None:
        """There is nothing to release."""


async def start_batcher(
    engine: ScriptedEngine,
    *,
    max_images: int = 4,
    max_wait_seconds: float = 0.5,
    max_queued: int = 100,
    on_batch: Callable[[int, float], None] = lambda images, seconds: None,
    lanes: int = 1,
    clock: Callable[[], float] | None = None,
) -> Batcher:
    """A batcher in front of the engine, by default on the clock of the running virtual loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    engine.loop = loop
    batcher = Batcher(
        score=engine,
        max_images=max_images,
        max_wait_seconds=max_wait_seconds,
        max_queued=max_queued,
        on_batch=on_batch,
        lanes=lanes,
        clock=clock or loop.time,
    )
    await batcher.start()
    return batcher


def send(
    batcher: Batcher, number: int, deadline: float | None = None, turn: Turn = ANYBODY
) -> asyncio.Task[Scored]:
    """Submit `radiograph(number)` in a task of its own."""
    return asyncio.create_task(batcher.submit(radiograph(number), deadline=deadline, turn=turn))


async def send_all(
    batcher: Batcher, *numbers: int, deadline: float | None = None, turn: Turn = ANYBODY
) -> list[asyncio.Task[Scored]]:
    """Submit them in order, and return when all are queued."""
    tasks = [send(batcher, number, deadline, turn) for number in numbers]
    await asyncio.sleep(0)
    return tasks


async def ending_of(request: Awaitable[Scored]) -> Scored | BaseException:
    """What the request returns or raises."""
    (ending,) = await asyncio.gather(request, return_exceptions=True)
    return ending

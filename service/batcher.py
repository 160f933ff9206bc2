"""Preprocessed radiographs wait here for company; each batch goes to the one engine.

When a batch starts is decided afresh each time the engine is free:

- whatever queued up while the engine was busy goes at once, up to `max_images`;
- a radiograph that finds the engine idle waits, for at most `max_wait_seconds`, only until as many
  have arrived as the batch before held. A lone client therefore never waits, and after a burst the
  wait ends as soon as the burst does;
- a wait never costs anybody a deadline;
- who is in a batch goes by turns (`service.turns`): urgent first, callers one after the other.

Axes: N images, C channels, S side.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog

from service.batch_scoring import Outcome, ScoreBatch, score_each
from service.core.errors import DeadlineExceeded, EngineFailed, QueueFull, ShuttingDown
from service.core.inference import Scores
from service.core.radiograph import Pixels
from service.logs import describe_error
from service.pace import Pace
from service.turns import ANYBODY, Turn, Turns

log: structlog.stdlib.BoundLogger = structlog.get_logger()

UNKNOWN_RETRY_SECONDS = 1.0
"""What a refused caller is told before any batch was timed."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One radiograph's scores, and what its way through the batcher took."""

    scores: Scores
    queue_seconds: float
    inference_seconds: float
    batch_images: int


class Batcher:
    """One queue, one task that forms batches, and one thread that scores them.

    Parameters
    ----------
    score
        (N, 1, S, S) -> one `Scores` each, in order; called from one thread only.
    max_images
        Most radiographs in a batch.
    max_wait_seconds
        Longest wait of the first in a batch for company while the engine is idle.
    max_queued
        Most radiographs that may wait; those being scored do not count.
    on_batch
        Told the number of radiographs and the seconds of each batch, on the event loop.
    clock
        Must advance at the pace of the event loop's own clock.
    """

    def __init__(
        self,
        *,
        score: ScoreBatch,
        max_images: int,
        max_wait_seconds: float,
        max_queued: int,
        on_batch: Callable[[int, float], None] = lambda images, seconds: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._score = score
        self._max_images = max_images
        self._max_wait_seconds = max_wait_seconds
        self._max_queued = max_queued
        self._on_batch = on_batch
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._pace = Pace(max_images)
        self._changed = asyncio.Event()
        self._waiting = Turns[_Waiting]()
        self._scoring: list[_Waiting] = []
        self._scoring_since = 0.0
        self._arrivals = 0
        self._company = 1
        self._is_closing = False
        self._task: asyncio.Task[None] | None = None

    @property
    def queued(self) -> int:
        """Radiographs that wait for a batch."""
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether the next radiograph would be refused."""
        return self.queued >= self._max_queued

    async def start(self) -> None:
        """Begin to form batches."""
        self._task = asyncio.create_task(self._run(), name="batcher")

    async def submit(
        self, pixels: Pixels, *, deadline: float | None = None, turn: Turn = ANYBODY
    ) -> Scored:
        """Wait for the scores of one radiograph (1, S, S).

        Cancelling the caller takes the radiograph out of the queue, and disturbs no other.

        Parameters
        ----------
        deadline
            On `clock`. A radiograph still queued then is given up; one being scored is not.

        Raises
        ------
        QueueFull, ShuttingDown
            At once, without waiting.
        DeadlineExceeded
            At once where even the best recent pace would be too slow, else when it passes.
        EngineFailed
            The engine raised on this radiograph, also when it was alone.
        """
        self._refuse_what_cannot_be_met(deadline, turn)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(pixels, deadline, self._clock(), loop.create_future())
        self._waiting.add(waiting, turn)
        self._arrivals += 1
        self._changed.set()
        timer = None
        if deadline is not None:
            timer = loop.call_later(deadline - waiting.since, self._expire, waiting)
        try:
            return await waiting.answer
        finally:
            if timer is not None:
                timer.cancel()
            self._waiting.discard(waiting)

    async def close(self) -> None:
        """Accept nothing new and return when everything accepted has its answer.

        Cancelling this gives up on the drain: whoever still waits gets `ShuttingDown`.
        """
        self._is_closing = True
        self._changed.set()
        try:
            if self._task is not None:
                await self._task
        finally:
            self._thread.shutdown(wait=False)

    def _refuse_what_cannot_be_met(self, deadline: float | None, turn: Turn) -> None:
        if self._is_closing or self._task is None or self._task.done():
            raise ShuttingDown("no new radiograph is accepted")
        if self.is_full:
            self._drop_ended()
        if self.is_full:
            raise QueueFull(
                f"{self.queued} radiographs wait already; at most {self._max_queued} may",
                retry_after_seconds=self._retry_after_seconds(),
            )
        if deadline is not None and self._earliest_answer(turn) > deadline:
            raise self._deadline_exceeded("the deadline is sooner than the queue can be scored")

    def _earliest_answer(self, turn: Turn) -> float:
        """Lower bound of the time at which a radiograph that comes now would be answered.

        An idle engine promises at once: somebody must be let in to find out how fast it is now.
        """
        now = self._clock()
        if not self._scoring and not self._waiting:
            return now
        running = 0.0
        if self._scoring:
            elapsed = now - self._scoring_since
            running = max(0.0, self._pace.seconds_for(len(self._scoring)) - elapsed)
        return now + running + self._pace.seconds_for(self._waiting.count_ahead(turn) + 1)

    def _retry_after_seconds(self) -> float:
        return self._pace.seconds_for(self.queued) or UNKNOWN_RETRY_SECONDS

    def _deadline_exceeded(self, message: str) -> DeadlineExceeded:
        return DeadlineExceeded(message, retry_after_seconds=self._retry_after_seconds())

    def _expire(self, waiting: "_Waiting") -> None:
        if self._waiting.discard(waiting):
            waiting.fail(self._deadline_exceeded("the deadline passed in the queue"))

    async def _run(self) -> None:
        try:
            while self._waiting or not self._is_closing:
                if not self._waiting:
                    await self._wait_for_work()
                    await self._wait_for_company()
                self._scoring = self._take_batch()
                if self._scoring:
                    await self._score_batch(self._scoring)
                self._scoring = []
        finally:
            # Reached with work left only if the drain was given up, or by a defect in here.
            for waiting in [*self._scoring, *self._waiting]:
                waiting.fail(ShuttingDown("the service stopped before this radiograph's turn"))

    async def _wait_for_work(self) -> None:
        """Return when there is some, or when there will be none."""
        self._arrivals = 0
        while not self._waiting and not self._is_closing:
            self._changed.clear()
            await self._changed.wait()

    async def _wait_for_company(self) -> None:
        """Wait as the module says; those who leave meanwhile count as arrived, and delay nobody."""
        ends = self._clock() + self._max_wait_seconds
        while self._waiting and self._arrivals < self._company and not self._is_closing:
            remaining = min(ends, self._latest_start()) - self._clock()
            if remaining <= 0:
                return
            self._changed.clear()
            try:
                async with asyncio.timeout(remaining):
                    await self._changed.wait()
            except TimeoutError:
                return

    def _latest_start(self) -> float:
        """When the batch must start for the most pressing deadline."""
        deadlines = [w.deadline for w in self._waiting if w.deadline is not None]
        return min(deadlines, default=math.inf) - self._pace.seconds_for(self.queued)

    def _take_batch(self) -> list["_Waiting"]:
        """Radiographs whose turn it is, and whose callers are still there and in time."""
        self._drop_ended()
        batch = [self._waiting.take() for _ in range(min(self.queued, self._max_images))]
        self._company = len(batch)
        return batch

    def _drop_ended(self) -> None:
        now = self._clock()
        for waiting in list(self._waiting):
            if waiting.deadline is not None and waiting.deadline <= now:
                self._expire(waiting)
            elif waiting.answer.done():
                self._waiting.discard(waiting)

    async def _score_batch(self, batch: list["_Waiting"]) -> None:
        self._scoring_since = self._clock()
        loop = asyncio.get_running_loop()
        pixels = [waiting.pixels for waiting in batch]
        outcomes, seconds = await loop.run_in_executor(self._thread, self._score_timed, pixels)
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, EngineFailed):
                waiting.fail(outcome)
            elif not waiting.answer.done():
                queue_seconds = self._scoring_since - waiting.since
                waiting.answer.set_result(Scored(outcome, queue_seconds, seconds, len(batch)))
        self._tell(outcomes, seconds)

    def _tell(self, outcomes: list[Outcome], seconds: float) -> None:
        """Let pace, log and observer know; a defect of the observer must not stop the scoring."""
        failed = [outcome for outcome in outcomes if isinstance(outcome, EngineFailed)]
        if failed:
            cause = failed[0].__cause__ or failed[0]
            log.error("batch.failed", images=len(failed), **describe_error(cause))
        else:
            self._pace.note(len(outcomes), seconds)
        try:
            self._on_batch(len(outcomes), seconds)
        except Exception as error:  # noqa: BLE001 - task boundary: callers wait for the next batch
            log.error("batch.observer_failed", **describe_error(error))

    def _score_timed(self, batch: Sequence[Pixels]) -> tuple[list[Outcome], float]:
        """Runs on the engine's thread."""
        started = self._clock()
        outcomes = score_each(self._score, batch)
        return outcomes, self._clock() - started


@dataclass(eq=False, slots=True)
class _Waiting:
    """One caller of `submit`."""

    pixels: Pixels = field(repr=False)
    deadline: float | None
    since: float
    answer: asyncio.Future[Scored]

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

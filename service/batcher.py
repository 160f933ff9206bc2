"""Preprocessed radiographs wait here for company; each batch goes to a free lane of the engine.

When a batch starts is decided afresh each time a lane is free:

- whatever queued up while all were busy goes at once, up to `max_images`; lanes that are free share
  it evenly;
- a radiograph that finds the whole engine idle waits, for at most `max_wait_seconds`, only until as
  many have arrived as the batch before held. A lone client therefore never waits, and after a burst
  the wait ends as soon as the burst does;
- a wait never costs anybody a deadline;
- who is in a batch goes by turns (`service.turns`): urgent first, callers one after the other.

Axes: N images, C channels, S side.
"""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog

from service.batch import Batch, Scored, Waiting
from service.batch_scoring import Outcome, ScoreBatch, score_timed
from service.core.errors import DeadlineExceeded, EngineFailed, QueueFull, ShuttingDown
from service.core.radiograph import Pixels
from service.courtesy import give_way
from service.logs import describe_error
from service.pace import UNKNOWN_RETRY_SECONDS, Pace
from service.turns import ANYBODY, SPARE_PLACES, Turn, Turns

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Batcher:
    """One queue, one task that forms batches, and a thread for each lane of the engine.

    Attributes
    ----------
    failed_batches
        So many had nothing in them that could be scored.

    Parameters
    ----------
    score
        (N, 1, S, S) -> one `Scores` each, in order; called from as many threads as there are lanes.
    max_images
        Most radiographs in a batch.
    max_wait_seconds
        Longest wait of the first in a batch for company while the engine is idle.
    max_queued
        Most radiographs that may wait; those being scored do not count.
    on_batch
        Told the number of radiographs and the seconds of each batch, on the event loop.
    lanes
        How many batches the engine takes at a time.
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
        lanes: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._score = score
        self._max_images = max_images
        self._max_wait_seconds = max_wait_seconds
        self._max_queued = max_queued
        self._on_batch = on_batch
        self._clock = clock
        self._lanes = lanes
        self._threads = ThreadPoolExecutor(lanes, thread_name_prefix="engine", initializer=give_way)
        self._pace = Pace(max_images)
        self._changed = asyncio.Event()
        self._waiting = Turns[Waiting]()
        self._scoring: dict[Batch, asyncio.Task[None]] = {}
        self._arrivals = 0
        self._company = 1
        self._is_closing = False
        self.failed_batches = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def queued(self) -> int:
        """Radiographs that wait for a batch."""
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether the next routine radiograph would be refused."""
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
        waiting = Waiting(pixels, deadline, self._clock(), loop.create_future())
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
            self._threads.shutdown(wait=False)

    def _refuse_what_cannot_be_met(self, deadline: float | None, turn: Turn) -> None:
        if self._is_closing or self._task is None or self._task.done():
            raise ShuttingDown("no new radiograph is accepted")
        may_take_spare = turn.is_urgent or self._waiting.is_first(turn)
        places = self._max_queued + (SPARE_PLACES if may_take_spare else 0)
        if self.queued >= places:
            self._drop_ended()
        if self.queued >= places:
            raise QueueFull(
                f"{self.queued} radiographs wait already; at most {places} may",
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
        images = math.ceil((self._waiting.count_ahead(turn) + 1) / self._lanes)
        return now + self._soonest_lane(now) + self._pace.seconds_for(images)

    def _soonest_lane(self, now: float) -> float:
        """Seconds until a lane is free, at best."""
        if self._free_lanes:
            return 0.0
        ends = (b.since + self._pace.seconds_for(len(b.members)) for b in self._scoring)
        return max(0.0, min(ends) - now)

    @property
    def _free_lanes(self) -> int:
        return self._lanes - len(self._scoring)

    def _retry_after_seconds(self) -> float:
        images = math.ceil(self.queued / self._lanes)
        return self._pace.seconds_for(images) or UNKNOWN_RETRY_SECONDS

    def _deadline_exceeded(self, message: str) -> DeadlineExceeded:
        return DeadlineExceeded(message, retry_after_seconds=self._retry_after_seconds())

    def _expire(self, waiting: "Waiting") -> None:
        if self._waiting.discard(waiting):
            waiting.fail(self._deadline_exceeded("the deadline passed in the queue"))

    async def _run(self) -> None:
        try:
            while self._waiting or not self._is_closing:
                if not self._free_lanes:
                    await asyncio.wait(self._scoring.values(), return_when=asyncio.FIRST_COMPLETED)
                elif not self._waiting:
                    await self._wait_for_work()
                    await self._wait_for_company()
                elif batch := self._take_batch():
                    self._begin(batch)
            while self._scoring:
                await asyncio.wait(self._scoring.values())
        finally:
            # Reached with work left only if the drain was given up, or by a defect in here.
            for left in [*self._scoring, *self._waiting]:
                left.fail(ShuttingDown("the service stopped before this radiograph's turn"))

    def _begin(self, members: list[Waiting]) -> None:
        """Occupy a lane until they are scored."""
        batch = Batch(members, self._clock())
        self._scoring[batch] = asyncio.create_task(self._score_batch(batch), name="batch")

    async def _wait_for_work(self) -> None:
        """Return when there is some, or when there will be none."""
        self._arrivals = 0
        while not self._waiting and not self._is_closing:
            self._changed.clear()
            await self._changed.wait()

    async def _wait_for_company(self) -> None:
        """Wait as the module says; those who leave meanwhile count as arrived, and delay nobody."""
        if self._scoring:
            return
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

    def _take_batch(self) -> list["Waiting"]:
        """Radiographs whose turn it is, and whose callers are still there and in time."""
        self._drop_ended()
        share = min(math.ceil(self.queued / self._free_lanes), self._max_images)
        batch = [self._waiting.take() for _ in range(share)]
        self._company = len(batch)
        return batch

    def _drop_ended(self) -> None:
        now = self._clock()
        for waiting in list(self._waiting):
            if waiting.deadline is not None and waiting.deadline <= now:
                self._expire(waiting)
            elif waiting.answer.done():
                self._waiting.discard(waiting)

    async def _score_batch(self, batch: Batch) -> None:
        pixels = [waiting.pixels for waiting in batch.members]
        work = partial(score_timed, self._score, pixels, self._clock)
        try:
            outcomes, seconds = await asyncio.get_running_loop().run_in_executor(
                self._threads, work
            )
            for waiting, outcome in zip(batch.members, outcomes, strict=True):
                if isinstance(outcome, EngineFailed):
                    waiting.fail(outcome)
                else:
                    in_queue = batch.since - waiting.since
                    waiting.succeed(Scored(outcome, in_queue, seconds, len(pixels)))
        finally:
            del self._scoring[batch]
            batch.fail(EngineFailed("the batch was given up"))  # but for a defect, all have ended
        self._tell(outcomes, seconds)

    def _tell(self, outcomes: list[Outcome], seconds: float) -> None:
        """Let pace, log and observer know; a defect of the observer must not stop the scoring."""
        failed = [outcome for outcome in outcomes if isinstance(outcome, EngineFailed)]
        self.failed_batches += len(failed) == len(outcomes)
        if failed:
            cause = failed[0].__cause__ or failed[0]
            log.error("batch.failed", images=len(failed), **describe_error(cause))
        else:
            self._pace.note(len(outcomes), seconds)
        try:
            self._on_batch(len(outcomes), seconds)
        except Exception as error:  # noqa: BLE001 - task boundary: callers wait for the next batch
            log.error("batch.observer_failed", **describe_error(error))

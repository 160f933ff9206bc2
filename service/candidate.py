"""A second model, scored in silence on what the first has answered; it may never cost an answer.

An upload is offered after its answer was sent. It is scored when no other upload was in progress
for a while, on a thread that the system runs only when nothing else wants the processor, and
dropped, and counted, when too many wait. Its scores become a row of evidence and are told to no
caller.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog

from service.answers import by_finding
from service.case import ServedModel
from service.core.errors import NotEvaluated, RecordUnavailable
from service.core.inference import score_batch, stack_pixels
from service.core.intake import IntakeLimits, read_radiograph
from service.core.ood import check_distribution
from service.core.preprocess import preprocess
from service.core.scope import check_scope
from service.core.triage import triage
from service.engine.base import Engine
from service.logs import describe_error
from service.metrics import CandidateEnding
from service.record import Evidence, Kind

log: structlog.stdlib.BoundLogger = structlog.get_logger()

MAX_WAITING = 32
MAX_HELD_BYTES = 256_000_000
QUIET_SECONDS = 0.25
"""Without an upload, before the candidate may work: longer than the gaps of a busy stream."""

LEAST_PRIORITY = 19
"""The nicest a thread can be."""


@dataclass(frozen=True, slots=True)
class _Offer:
    entry_id: str
    body: bytes = field(repr=False)


class CandidateScorer:
    """Scores offered uploads one at a time with the candidate model.

    Parameters
    ----------
    open_engine
        Called on the scorer's own thread, so that threads of the engine are as patient as it is.
    wait_quiet
        Returns once no upload was in progress for so many seconds.
    note
        Writes the row of evidence.
    count
        Told how each offer ended.
    """

    def __init__(
        self,
        *,
        model: ServedModel,
        open_engine: Callable[[], Engine],
        limits: IntakeLimits,
        wait_quiet: Callable[[float], Awaitable[None]],
        note: Callable[[Evidence], Awaitable[int]],
        count: Callable[[CandidateEnding], None],
    ) -> None:
        self.model = model
        self._open_engine = open_engine
        self._limits = limits
        self._wait_quiet = wait_quiet
        self._note = note
        self._count = count
        self._thread = ThreadPoolExecutor(
            1, thread_name_prefix="candidate", initializer=_be_patient
        )
        self._offers: deque[_Offer] = deque()
        self._held_bytes = 0
        self._offered = asyncio.Event()
        self._drained = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._engine: Engine | None = None

    @property
    def waiting(self) -> int:
        """Uploads that wait to be scored."""
        return len(self._offers)

    async def start(self) -> None:
        """Open the engine and begin to score.

        Raises
        ------
        ArtifactError, EngineUnavailable
            The candidate does not load or does not reproduce its golden scores, or has no room.
        """
        loop = asyncio.get_running_loop()
        try:
            self._engine = await loop.run_in_executor(self._thread, self._open_engine)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise
        self._task = asyncio.create_task(self._run(), name="candidate")

    def offer(self, entry_id: str, body: bytes) -> None:
        """Take an answered upload, or drop it; returns at once either way."""
        is_full = len(self._offers) >= MAX_WAITING
        if is_full or self._held_bytes + len(body) > MAX_HELD_BYTES or self._task is None:
            self._count(CandidateEnding.DROPPED)
            return
        self._drained.clear()
        self._offers.append(_Offer(entry_id, body))
        self._held_bytes += len(body)
        self._offered.set()

    async def wait_drained(self) -> None:
        """Return once all that was offered has been scored or has failed."""
        await self._drained.wait()

    async def close(self) -> None:
        """Return once no upload is being scored; that one and those that wait count as dropped."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for _ in self._offers:
            self._count(CandidateEnding.DROPPED)
        self._offers.clear()
        await asyncio.to_thread(self._thread.shutdown)
        if self._engine is not None:
            self._engine.close()

    async def _run(self) -> None:
        while True:
            self._offered.clear()
            while self._offers:
                await self._wait_quiet(QUIET_SECONDS)
                offer = self._offers.popleft()
                self._held_bytes -= len(offer.body)
                await self._settle(offer)
            self._drained.set()
            await self._offered.wait()

    async def _settle(self, offer: _Offer) -> None:
        loop = asyncio.get_running_loop()
        try:
            evidence = await loop.run_in_executor(self._thread, self._score, offer)
            await self._note(evidence)
        except asyncio.CancelledError:
            self._count(CandidateEnding.DROPPED)
            raise
        except RecordUnavailable:
            self._count(CandidateEnding.FAILED)
        except Exception as error:  # noqa: BLE001 - task boundary: one upload fails, the next may not
            log.error("candidate.failed", **describe_error(error))
            self._count(CandidateEnding.FAILED)
        else:
            self._count(CandidateEnding.SCORED)

    def _score(self, offer: _Offer) -> Evidence:
        """Runs on the patient thread; reads the upload anew, as its preprocessing may differ."""
        stamp = self.model.stamp
        body: dict[str, object] = {
            "name": stamp.name,
            "version": stamp.version,
            "digest": stamp.digest,
            "threshold_digest": stamp.threshold_digest,
        }
        try:
            body |= self._evaluate(offer.body)
        except NotEvaluated as refusal:
            body["reason"] = refusal.reason
        return Evidence(kind=Kind.CANDIDATE, entry=offer.entry_id, body=body)

    def _evaluate(self, upload: bytes) -> dict[str, object]:
        """What the candidate would have answered, by the same steps as the champion.

        Raises
        ------
        NotEvaluated
            It would not have evaluated this radiograph.
        EngineFailed
            It gave scores that are not numbers.
        """
        if self._engine is None:
            raise RuntimeError("not started")
        model, recipe = self.model, self.model.recipe
        radiograph = read_radiograph(upload, self._limits, intended_use=model.intended_use)
        cautions = [*radiograph.cautions, *check_scope(radiograph, model.intended_use)]
        pixels = preprocess(radiograph, recipe.preprocess)
        scores = score_batch(stack_pixels([pixels]), self._engine.forward, recipe)[0]
        unusual = scores.out_of_distribution
        cautions += check_distribution(unusual, model.out_of_distribution)
        triaged = triage(scores, model.operating_points, model.out_of_distribution)
        return {
            "probabilities": by_finding(scores.probabilities),
            "out_of_distribution": unusual,
            "flags": [flag.finding.value for flag in triaged.flags],
            "priority": triaged.priority.value,
            "cautions": [caution.code for caution in cautions],
        }


def _be_patient() -> None:
    """Linux gives each thread a priority of its own, and new threads inherit it."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LEAST_PRIORITY)


class CandidateSlot:
    """Holds the candidate of this moment, if there is one."""

    def __init__(self) -> None:
        self.current: CandidateScorer | None = None

    async def replace(self, candidate: CandidateScorer | None) -> None:
        """Start another one, and close the one before.

        Raises
        ------
        ArtifactError, EngineUnavailable
            The new one does not load, or has no room; then there is none.
        """
        before, self.current = self.current, None
        if before is not None:
            await before.close()
        if candidate is not None:
            await candidate.start()
            self.current = candidate

    async def close(self) -> None:
        """Stop scoring."""
        await self.replace(None)

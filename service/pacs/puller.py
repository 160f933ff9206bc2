"""Takes instances from the queue, pulls each and has it answered like any upload.

At least once is tried, and exactly once has effect: a row carries the id that the queue gave its
instance, so after a crash between row and note the row itself says that the work is done.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Final

import structlog

from service.case import Case
from service.core.artifact import digest_of
from service.core.errors import CxrError, IntakeError, QueueFull, ReplayConflict
from service.logs import describe_error
from service.metrics import Ending
from service.pacs.backoff import backoff_seconds
from service.pacs.desk import Desk
from service.pacs.failures import (
    FORBIDDEN,
    INTERNAL,
    PACS_CODES,
    Blame,
    PullFailure,
    failure_of,
)
from service.pacs.giving import Giving
from service.pacs.off_loop import OffLoop
from service.pacs.options import PacsOptions
from service.pacs.orthanc import Orthanc
from service.pacs.queue import Item, Queue, State
from service.pacs_metrics import PacsMetrics
from service.record import Entry, Mode, Outcome
from service.record.queries import find_entry
from service.turns import Turn

log: structlog.stdlib.BoundLogger = structlog.get_logger()

TURN: Final = Turn("pacs")
"""Alternates with the callers of `POST /predict`, wherever several wait."""

IDLE_SECONDS: Final = 5.0
"""So often the queue is looked at without being told: the command line may have revived some."""

LONGEST_PAUSE_SECONDS: Final = 10.0
"""Longest wait for the PACS, or for room here, before the next instance is tried."""


class Puller:
    """Works on some instances at a time.

    Parameters
    ----------
    hears_pacs
        Whether the PACS answers at all; while it does not, no failure is held against an instance.
    clock
        Seconds since 1970.
    """

    def __init__(
        self,
        *,
        orthanc: Orthanc,
        queue: Queue,
        off_loop: OffLoop,
        desk: Desk,
        options: PacsOptions,
        metrics: PacsMetrics,
        hears_pacs: Callable[[], bool],
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        self._orthanc = orthanc
        self._queue = queue
        self._off_loop = off_loop
        self._desk = desk
        self._options = options
        self._modalities = {name.strip().upper() for name in options.modalities}
        self._metrics = metrics
        self._hears_pacs = hears_pacs
        self._clock = clock
        self._random = random
        self._giving = Giving()
        self._news = asyncio.Event()
        self._turn = asyncio.Lock()
        self._taken: set[str] = set()
        self._pauses = 0
        self._resume_at = 0.0

    def wake(self) -> None:
        """There is something new."""
        self._news.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._options.parallel_pulls):
                workers.create_task(self._work())

    async def _work(self) -> None:
        while True:
            try:
                item = await self._take()
                try:
                    await self._deal_with(item)
                finally:
                    self._taken.discard(item.instance)
            except Exception as error:  # noqa: BLE001 - task boundary: the instance waits on
                log.error("pacs.pull_broke", **describe_error(error))
                self._metrics.count_failure(INTERNAL)
                self._pause()

    async def _take(self) -> Item:
        """The next instance that is due, once nothing speaks against pulling."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            while True:
                await asyncio.sleep(max(0.0, self._resume_at - loop.time()))
                self._news.clear()
                due = await self._off_loop.run(self._queue.next_due, frozenset(self._taken))
                if due.item is not None:
                    self._taken.add(due.item.instance)
                    return due.item
                await self._await_news(min(due.seconds or IDLE_SECONDS, IDLE_SECONDS))

    async def _await_news(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    async def _deal_with(self, item: Item) -> None:
        try:
            await self._finish(item)
        except PullFailure as failure:
            await self._fail(item, failure, None)
        except CxrError as error:
            await self._fail(item, failure_of(error), _ending_of(error))
        except Exception as error:  # noqa: BLE001 - task boundary: one instance fails, not all
            log.error("pacs.instance_broke", id=item.case_id, **describe_error(error))
            await self._fail(item, PullFailure(INTERNAL, Blame.TRY), Ending.FAILED)
        else:
            self._pauses = 0

    async def _finish(self, item: Item) -> None:
        entry = await asyncio.to_thread(self._find_row, item.case_id)
        if entry is not None:
            if entry.outcome is Outcome.CONFLICT:
                raise ReplayConflict("its row says so")
            await self._settle(item, State.ANSWERED)
            return
        modality = await self._orthanc.modality(item.instance)
        if modality and modality not in self._modalities:
            await self._settle(item, State.IGNORED)
            return
        digest = await self._answer(item)
        await self._settle(item, State.ANSWERED, digest=digest)

    async def _answer(self, item: Item) -> str:
        """Pull and answer; returns the digest of the bytes."""
        loop, admission = asyncio.get_running_loop(), self._desk.admission
        if not admission.has_spare_room:
            raise QueueFull("callers who wait for their answer come first")
        started = loop.time()
        with admission.enter(TURN) as place:
            body = await self._orthanc.pull(
                item.instance, max_bytes=self._desk.limits.max_body_bytes, reserve=place.reserve
            )
            self._giving.gave()
            if item.digest and await asyncio.to_thread(digest_of, body) == item.digest:
                return item.digest
            now = loop.time()
            case = Case(
                id=item.case_id, body=body, received_at=datetime.now(UTC), turn=TURN,
                deadline=now + self._desk.deadline_seconds, seconds={"body": now - started},
            )  # fmt: skip
            place.begin_work(math.inf)
            try:
                await self._desk.answer(case)
            finally:
                self._desk.count_upload(case)
        self._tell(case)
        return case.input_digest

    def _tell(self, case: Case) -> None:
        """The one line and the one count of a radiograph."""
        tells_results = self._desk.mode is not Mode.SHADOW
        log.info("pacs.radiograph_completed", **case.facts(tells_results=tells_results))
        if case.outcome is not None:
            self._desk.metrics.count_radiograph(Ending(case.outcome.value))
        self._desk.after_answer(case)

    def _find_row(self, case_id: str) -> Entry | None:
        with self._desk.record.reader.reading() as connection:
            logged = find_entry(connection, case_id)
        return None if logged is None else logged.entry

    async def _settle(self, item: Item, state: State, digest: str | None = None) -> None:
        self._giving.forget(item.instance)
        is_over = await self._off_loop.run(lambda: self._queue.settle(item, state, digest=digest))
        if is_over:
            self._metrics.count_settled(state.value, self._clock() - item.noticed)

    async def _fail(self, item: Item, failure: PullFailure, ending: Ending | None) -> None:
        tries = item.tries + 1
        is_last = tries >= self._options.max_tries
        self._metrics.count_failure(failure.code)
        blame = await self._blame_after_all(item, failure, is_last=is_last)
        if blame is Blame.GONE:
            await self._settle(item, State.GONE)
        elif blame is Blame.TRY and not is_last:
            seconds = backoff_seconds(
                tries, first_seconds=self._options.retry_seconds, random=self._random
            )
            await self._off_loop.run(self._queue.postpone, item, failure.code, seconds)
            log.warning("pacs.instance_postponed", id=item.case_id, code=failure.code, tries=tries)
        elif blame in (Blame.TRY, Blame.INSTANCE):
            await self._bury(item, failure.code, ending)
        else:
            if failure.code == FORBIDDEN or failure.blame is Blame.TRY:
                await self._off_loop.run(self._queue.let_others_pass, item)
            self._pause()

    async def _blame_after_all(self, item: Item, failure: PullFailure, *, is_last: bool) -> Blame:
        """No try is held against an instance while the PACS is away, or the service is broken.

        Nor is the last one while the PACS may be withholding every file.
        """
        blame = failure.blame
        if blame is Blame.EITHER and await self._desk.is_broken(for_sure=is_last):
            return Blame.SERVICE
        if blame not in (Blame.TRY, Blame.EITHER):
            return blame
        if not self._hears_pacs():
            return Blame.PACS
        if failure.code in PACS_CODES and not self._giving.withholds_one(
            item.instance, failure.code, is_last=is_last
        ):
            return Blame.PACS
        return Blame.TRY

    async def _bury(self, item: Item, code: str, ending: Ending | None) -> None:
        self._giving.forget(item.instance)
        await self._off_loop.run(self._queue.give_up, item, code)
        self._metrics.count_settled(State.DEAD.value, self._clock() - item.noticed)
        if ending is not None:
            self._desk.metrics.count_radiograph(ending)
        log.error("pacs.letter_died", id=item.case_id, code=code, tries=item.tries + 1)

    def _pause(self) -> None:
        """Nothing is pulled for a while: the fault is not this instance's."""
        self._pauses += 1
        seconds = backoff_seconds(
            self._pauses, first_seconds=self._options.retry_seconds / 4, random=self._random,
            longest_seconds=LONGEST_PAUSE_SECONDS,
        )  # fmt: skip
        self._resume_at = asyncio.get_running_loop().time() + seconds


def _ending_of(error: CxrError) -> Ending:
    """How a radiograph that is given up for this error is counted."""
    if isinstance(error, ReplayConflict):
        return Ending.CONFLICT
    return Ending.REFUSED if isinstance(error, IntakeError) else Ending.UNAVAILABLE

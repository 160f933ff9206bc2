"""Reads the changes of the PACS from where it left off, and enqueues what is new."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final

import structlog

from service.logs import describe_error
from service.pacs.backoff import backoff_seconds
from service.pacs.failures import INTERNAL, PullFailure
from service.pacs.off_loop import OffLoop
from service.pacs.options import Start
from service.pacs.orthanc import Orthanc
from service.pacs.position import Position, Verdict, first_position
from service.pacs.queue import Depth, Queue
from service.pacs_metrics import PacsMetrics

log: structlog.stdlib.BoundLogger = structlog.get_logger()

PAGE: Final = 200
"""Changes of one answer: some tens of kilobytes."""

LONGEST_PAUSE_SECONDS: Final = 30.0
"""After so long at most, a PACS that was away is asked again."""


class Poller:
    """Follows `/changes`; what was read and what was enqueued are committed together.

    Parameters
    ----------
    wake
        Called when there is something to pull.
    clock
        Seconds since 1970.
    """

    def __init__(
        self,
        *,
        orthanc: Orthanc,
        queue: Queue,
        off_loop: OffLoop,
        metrics: PacsMetrics,
        start: Start,
        poll_seconds: float,
        most_waiting: int,
        wake: Callable[[], None],
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        self._orthanc = orthanc
        self._queue = queue
        self._off_loop = off_loop
        self._metrics = metrics
        self._start = start
        self._poll_seconds = poll_seconds
        self._most_waiting = most_waiting
        self._wake = wake
        self._clock = clock
        self._random = random
        self._failures = 0

    @property
    def hears(self) -> bool:
        """Whether the last question was answered."""
        return self._failures == 0

    async def run(self) -> None:
        """Ask again and again, less often while there is no answer."""
        while True:
            if not await self._ask():
                await asyncio.sleep(self._pause_seconds())

    async def poll(self) -> bool:
        """Ask once; returns whether there is more to ask for at once.

        Raises
        ------
        PullFailure
            The PACS gave no answer that can be believed.
        """
        depth = await self._off_loop.run(self._queue.depth)
        self._show(depth)
        position = await self._off_loop.run(self._queue.position)
        if position is None:
            return await self._begin()
        if depth.waiting >= self._most_waiting:
            await self._orthanc.last_change()
            self._metrics.contacted(self._clock(), position.sequence)
            return False
        return await self._follow(position)

    async def _ask(self) -> bool:
        code = INTERNAL
        try:
            more = await self.poll()
        except PullFailure as failure:
            code = failure.code
        except Exception as error:  # noqa: BLE001 - task boundary: asked again after a pause
            log.error("pacs.poll_broke", **describe_error(error))
        else:
            if self._failures:
                log.info("pacs.contact_regained")
            self._failures = 0
            return more
        self._failures += 1
        self._metrics.count_poll_failure(code)
        if self._failures == 1:
            log.warning("pacs.contact_lost", code=code)
        return False

    async def _begin(self) -> bool:
        """First contact: what was there before is left alone, unless the site wants all of it."""
        position = Position()
        if self._start is Start.NOW:
            position = first_position(await self._orthanc.last_change())
        await self._off_loop.run(self._queue.advance, [], position)
        log.info("pacs.contact_begun", sequence=position.sequence)
        return True

    async def _follow(self, position: Position) -> bool:
        page = await self._orthanc.changes(position.since, PAGE)
        verdict = position.judge(page)
        if verdict is Verdict.RESET:
            await self._off_loop.run(self._queue.begin_anew)
            self._metrics.resets.inc()
            log.warning("pacs.database_reset", sequence=position.sequence)
            return True
        if verdict is Verdict.VANISHED:
            await self._off_loop.run(self._queue.advance, [], position.without_newest())
            return True
        changes = position.unread(page)
        if changes:
            after = position.after(changes)
            new = await self._off_loop.run(self._queue.advance, changes, after)
            self._enqueued(new)
        self._metrics.contacted(self._clock(), page.last)
        return bool(changes) and not page.is_done

    def _enqueued(self, new: int) -> None:
        if new:
            log.info("pacs.instances_noticed", instances=new)
            self._wake()

    def _show(self, depth: Depth) -> None:
        self._metrics.show_depth(
            waiting=depth.waiting, dead=depth.dead,
            oldest_seconds=0.0
            if depth.oldest_noticed is None
            else max(0.0, self._clock() - depth.oldest_noticed),
        )  # fmt: skip

    def _pause_seconds(self) -> float:
        if self._failures == 0:
            return self._poll_seconds
        return backoff_seconds(
            self._failures, first_seconds=self._poll_seconds, random=self._random,
            longest_seconds=LONGEST_PAUSE_SECONDS,
        )  # fmt: skip

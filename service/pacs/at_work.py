"""The way in while it is open: a queue, and the two tasks that fill and empty it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

import structlog
from sqlalchemy.exc import SQLAlchemyError

from service.core.errors import InvalidRequest, QueueFull, RecordUnavailable
from service.pacs.desk import Desk
from service.pacs.names import INSTANCE
from service.pacs.off_loop import OffLoop
from service.pacs.options import PacsOptions
from service.pacs.orthanc import open_orthanc
from service.pacs.poller import Poller
from service.pacs.puller import Puller
from service.pacs.queue import Queue, open_queue
from service.pacs.queue_file import held_alone
from service.pacs_metrics import PacsMetrics

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class OpenInlet:
    """With one."""

    def __init__(
        self, *, queue: Queue, off_loop: OffLoop, most_waiting: int, wake: Callable[[], None]
    ) -> None:
        self._queue = queue
        self._off_loop = off_loop
        self._most_waiting = most_waiting
        self._wake = wake

    async def notify(self, body: bytes) -> None:
        """Enqueue the instance that the body names; it is pulled later.

        Raises
        ------
        InvalidRequest
            Anything but the name of one instance.
        QueueFull, RecordUnavailable
            It cannot be kept; the poller will find it.
        """
        instance = body.decode("latin-1")
        if INSTANCE.fullmatch(instance) is None:
            raise InvalidRequest("the body is not Orthanc's id of one instance")
        try:
            depth = await self._off_loop.run(self._queue.depth)
            if depth.waiting >= self._most_waiting:
                raise QueueFull("as many instances as may wait are enqueued")
            is_new = await self._off_loop.run(self._queue.notice, instance)
        except SQLAlchemyError as error:
            raise RecordUnavailable("the queue of the PACS cannot be written") from error
        if is_new:
            self._wake()


@asynccontextmanager
async def open_work(
    options: PacsOptions, desk: Desk, metrics: PacsMetrics, clock: Callable[[], float]
) -> AsyncIterator[OpenInlet]:
    """Open the queue and work on it; closed before what it leads to.

    Raises
    ------
    PacsMisconfigured
        The queue, or a file of the settings, cannot be opened.
    """
    async with AsyncExitStack() as stack:
        orthanc = open_orthanc(options)
        stack.push_async_callback(orthanc.close)
        stack.enter_context(held_alone(options.queue_file))
        queue = open_queue(options.queue_file, clock)
        stack.callback(queue.close)
        off_loop = OffLoop()
        stack.callback(off_loop.close)
        random = Random()  # noqa: S311 - spreads retries, guards nothing
        puller = Puller(
            orthanc=orthanc, queue=queue, off_loop=off_loop, desk=desk, options=options,
            metrics=metrics, hears_pacs=lambda: poller.hears, clock=clock, random=random,
        )  # fmt: skip
        poller = Poller(
            orthanc=orthanc, queue=queue, off_loop=off_loop, metrics=metrics, start=options.start,
            poll_seconds=options.poll_seconds, most_waiting=options.most_waiting,
            wake=puller.wake, clock=clock, random=random,
        )  # fmt: skip
        metrics.opened(clock())
        for work in (poller.run(), puller.run()):
            stack.push_async_callback(_stop, asyncio.create_task(work))
        log.info("pacs.opened")
        yield OpenInlet(
            queue=queue, off_loop=off_loop, most_waiting=options.most_waiting, wake=puller.wake
        )
    log.info("pacs.closed")


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

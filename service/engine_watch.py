"""Tells an engine that is broken from radiographs that no engine can score.

A device can fail for good (a CUDA error stays until the process ends), and a service that refuses
everything at once looks idle to whoever balances load. So after a batch of which nothing could be
scored the engine is asked for its golden scores, and while it fails on those too the service says
that it is not ready.
"""

import asyncio
from collections.abc import Callable

import structlog

from service.core.errors import CxrError
from service.logs import describe_error

log: structlog.stdlib.BoundLogger = structlog.get_logger()

LOOK_SECONDS = 1.0
REST_SECONDS = 10.0
"""Between two self-tests: a sender of radiographs that no engine can score must not cost more."""


class EngineWatch:
    """Asks for the golden scores after failures, until they are given.

    Parameters
    ----------
    count_failures
        How many batches have failed as a whole by now.
    prove
        The self-test; blocks, and raises where the engine fails it.
    """

    def __init__(
        self,
        count_failures: Callable[[], int],
        prove: Callable[[], object],
        *,
        look_seconds: float = LOOK_SECONDS,
        rest_seconds: float = REST_SECONDS,
    ) -> None:
        self._count_failures = count_failures
        self._prove = prove
        self._look_seconds, self._rest_seconds = look_seconds, rest_seconds
        self._known = count_failures()
        self._closing = asyncio.Event()
        self._judged = asyncio.Event()
        self.is_broken = False
        self._task = asyncio.create_task(self._run(), name="engine-watch")

    async def close(self) -> None:
        """Return once no self-test is under way, and none will be."""
        self._closing.set()
        self._tell()
        await self._task

    async def wait_judged(self) -> None:
        """Return once `is_broken` speaks of all failures of by now, or nothing is judged any more.

        That is at once where the engine is broken already.
        """
        failures = self._count_failures()
        while self._known < failures and not (self.is_broken or self._closing.is_set()):
            await self._judged.wait()

    async def _run(self) -> None:
        while not await self._is_closing_within(self._look_seconds):
            failures = self._count_failures()
            if failures == self._known and not self.is_broken:
                continue
            self._judge(await self._failure_of_proof())
            self._known = failures
            self._tell()
            if await self._is_closing_within(self._rest_seconds):
                return

    async def _is_closing_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return False
        return True

    async def _failure_of_proof(self) -> Exception | None:
        try:
            await asyncio.to_thread(self._prove)
        except Exception as error:  # noqa: BLE001 - task boundary: an engine may raise anything
            return error
        return None

    def _tell(self) -> None:
        """Let those go on who wait for a judgement; who comes later waits for the next."""
        self._judged.set()
        self._judged = asyncio.Event()

    def _judge(self, failure: Exception | None) -> None:
        was_broken, self.is_broken = self.is_broken, failure is not None
        if failure is not None and not was_broken:
            code = failure.code if isinstance(failure, CxrError) else None
            log.error("engine.broken", code=code, **describe_error(failure))
        elif failure is None and was_broken:
            log.warning("engine.recovered")

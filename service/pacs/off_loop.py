"""One thread for all that blocks, so that transactions of the queue come one after another."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class OffLoop:
    """Runs blocking work on its own thread; close it before what the work uses."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pacs-queue")

    async def run(self, work: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Wait for the work without blocking the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    def close(self) -> None:
        """Finish what was begun."""
        self._thread.shutdown()

"""The threads that read and preprocess; who waits for one is served by turns.

What has begun goes on before anything new begins: decoded grey levels are most of the memory, and
the sooner they are pixels the fewer of them there are.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar, TypeVarTuple

from service.courtesy import give_way
from service.turns import ANYBODY, Turn, Turns

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Decoders:
    """Runs work off the event loop, on so many threads at a time.

    Parameters
    ----------
    threads
        Radiographs decoded at the same time.
    """

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(
            threads, thread_name_prefix="decode", initializer=give_way
        )
        self._free = threads
        self._begun: deque[asyncio.Future[None]] = deque()
        self._new = Turns[asyncio.Future[None]]()

    @property
    def waiting(self) -> int:
        """How many wait for a thread."""
        return len(self._begun) + len(self._new)

    async def run(
        self,
        work: Callable[[*Ts], T],
        *args: *Ts,
        turn: Turn = ANYBODY,
        has_begun: bool = False,
    ) -> T:
        """Return what the work returns; a caller that leaves while it waits costs nothing.

        Parameters
        ----------
        has_begun
            An earlier part of the same radiograph has run, so this part goes before all new ones.
        """
        await self._wait_for_thread(turn, has_begun)
        try:
            job = asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        except BaseException:
            self._hand_on()  # a thread that the system refused now may be had later
            raise
        job.add_done_callback(self._release)
        # A caller that leaves cannot stop the thread, and the thread is not free before it is done.
        return await asyncio.shield(job)

    def beside(self, work: Callable[[], T]) -> Callable[[], T]:
        """Begin on an idle thread, if there is one, and return what waits for the result.

        Called by work that runs here: a radiograph that is alone has its parts done side by side,
        and one of many does them one after the other, when it asks for them. It pays for parts
        that let go of the interpreter; those of many short steps only get in each other's way.
        """
        if not self._free:
            return work
        try:
            begun = self._threads.submit(work)
        except RuntimeError:  # no thread can be started
            return work
        return lambda: work() if begun.cancel() else begun.result()

    def close(self) -> None:
        """Let the threads end; what is at work is finished, blocking the caller."""
        self._threads.shutdown()

    async def _wait_for_thread(self, turn: Turn, has_begun: bool) -> None:
        if self._free:
            self._free -= 1
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if has_begun:
            self._begun.append(granted)
        else:
            self._new.add(granted, turn)
        try:
            await granted
        except asyncio.CancelledError:
            if not granted.cancelled():
                self._hand_on()  # the thread was granted in the moment that the caller left
            elif has_begun:
                with suppress(ValueError):  # passed over in the moment that the caller left
                    self._begun.remove(granted)
            else:
                self._new.discard(granted)
            raise

    def _release(self, job: "asyncio.Future[T]") -> None:
        if not job.cancelled():
            job.exception()  # the caller may be gone; then nobody else asks for it
        self._hand_on()

    def _hand_on(self) -> None:
        """Give a free thread to the next in turn, or keep it for whoever comes."""
        while self.waiting:
            granted = self._begun.popleft() if self._begun else self._new.take()
            if not granted.done():
                granted.set_result(None)
                return
        self._free += 1

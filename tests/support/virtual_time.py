"""An event loop whose time passes only when nothing can be done, and an engine that obeys it.

Tests of waits, deadlines and queues take no real time and give the same result on any machine.
"""

import asyncio
import selectors
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from functools import wraps
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer once every thread that it started is done or sleeps on its time."""

    def __init__(self) -> None:
        self._now = 0.0
        self._working_threads = 0
        self._asleep: set[threading.Event] = set()
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        return self._now

    def close(self) -> None:
        """Let no thread sleep on when a test has failed."""
        for woken in self._asleep:
            woken.set()
        super().close()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        self._working_threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(lambda _: self._count_threads(-1))
        return future

    def sleep_in_thread(self, seconds: float) -> None:
        """Called on a thread of `run_in_executor`: return when so much virtual time has passed."""
        woken = threading.Event()
        self._asleep.add(woken)

        def wake() -> None:
            self._count_threads(1)
            self._asleep.discard(woken)
            woken.set()

        def fall_asleep() -> None:
            self._count_threads(-1)
            self.call_later(seconds, wake)

        self.call_soon_threadsafe(fall_asleep)
        woken.wait()

    def _count_threads(self, change: int) -> None:
        self._working_threads += change

    def _jump(self, seconds: float | None) -> bool:
        """Advance, unless a thread still works and may yet have something to say."""
        if self._working_threads:
            return False
        if seconds is None:
            raise HangsForever("no timer, no working thread: nothing can wake the waiting tasks")
        self._now += seconds
        return True


class HangsForever(AssertionError):
    """In real time, the scenario would never end."""


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for the next timer, asks whether time may jump there."""

    def __init__(self, jump: Callable[[float | None], bool]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0 or self._jump(timeout):
            return ready
        return super().select(None)


def run_virtual(scenario: Coroutine[Any, Any, T]) -> T:
    """Run a scenario to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(scenario)


def virtual(scenario: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Decorate an async test to run in virtual time; one that would hang fails at once."""

    @wraps(scenario)
    def test() -> None:
        run_virtual(scenario())

    return test


def now() -> float:
    """Virtual seconds since the scenario began."""
    return asyncio.get_running_loop().time()


async def until(seconds: float) -> None:
    """Let virtual time come."""
    await asyncio.sleep(seconds - now())

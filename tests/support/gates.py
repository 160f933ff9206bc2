"""Work that stays in its thread until a test lets it go."""

import asyncio
import threading
from types import TracebackType
from typing import Self

LONGEST_SECONDS = 30.0


class Gate:
    """Opens at the end of the `with` block."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._changed = threading.Condition()
        self._inside = 0
        self._entered = 0
        self.most_inside = 0

    def __enter__(self) -> Self:
        """Closed."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Open."""
        self._open.set()

    def hold(self) -> None:
        """The work: wait until the gate opens."""
        with self._changed:
            self._inside += 1
            self._entered += 1
            self.most_inside = max(self.most_inside, self._inside)
            self._changed.notify_all()
        self._open.wait(LONGEST_SECONDS)
        with self._changed:
            self._inside -= 1

    async def entered(self, count: int = 1) -> None:
        """Return once so many have come in."""
        await asyncio.to_thread(self._wait_entered, count)

    def _wait_entered(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._entered >= count, LONGEST_SECONDS)

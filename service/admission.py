"""The door: bounds what is in progress before an upload costs memory or time."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.core.errors import QueueFull, ShuttingDown


class Place:
    """One upload's share of the memory that may be in flight."""

    def __init__(self, admission: "Admission") -> None:
        self._admission = admission
        self.held_bytes = 0

    def reserve(self, total_bytes: int) -> None:
        """Hold at least this many bytes in all; never gives any back before the end.

        Raises
        ------
        QueueFull
            All uploads together would hold more than the limit.
        """
        if total_bytes > self.held_bytes:
            self._admission.take(total_bytes - self.held_bytes)
            self.held_bytes = total_bytes


class Admission:
    """Counts uploads and their bytes; refuses in microseconds when there is no room.

    Parameters
    ----------
    is_queue_full
        Asked at the door, so that a full queue is answered before anything is read or decoded.
    """

    def __init__(
        self, *, max_requests: int, max_in_flight_bytes: int, is_queue_full: Callable[[], bool]
    ) -> None:
        self._max_requests = max_requests
        self._max_in_flight_bytes = max_in_flight_bytes
        self._is_queue_full = is_queue_full
        self._idle = asyncio.Event()
        self._idle.set()
        self.requests = 0
        self.in_flight_bytes = 0
        self.is_draining = False

    @contextmanager
    def enter(self) -> Iterator[Place]:
        """Hold a place until the answer is sent.

        Raises
        ------
        ShuttingDown, QueueFull
            No new upload is accepted.
        """
        self._refuse_when_closed_or_full()
        place = Place(self)
        self.requests += 1
        self._idle.clear()
        try:
            yield place
        finally:
            self.in_flight_bytes -= place.held_bytes
            self.requests -= 1
            if self.requests == 0:
                self._idle.set()

    @property
    def is_full(self) -> bool:
        """Whether the next upload would be refused for want of room."""
        return self.requests >= self._max_requests or self._is_queue_full()

    def take(self, more_bytes: int) -> None:
        """Count bytes as held, or refuse them."""
        if self.in_flight_bytes + more_bytes > self._max_in_flight_bytes:
            raise QueueFull("uploads in progress hold all the memory that they may")
        self.in_flight_bytes += more_bytes

    def begin_drain(self) -> None:
        """Accept no new upload from now on."""
        self.is_draining = True

    async def wait_idle(self) -> None:
        """Return once every accepted upload has its answer."""
        await self._idle.wait()

    def _refuse_when_closed_or_full(self) -> None:
        if self.is_draining:
            raise ShuttingDown("the service is stopping and accepts no new radiograph")
        if self.is_full:
            raise QueueFull("as many radiographs as may wait are in progress")

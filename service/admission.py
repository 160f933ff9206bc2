"""The door: bounds what is in progress before an upload costs memory or time.

It also refuses, before a byte is read, what would be late at the present pace: work on an answer
that nobody waits for any more is taken from those that could still be in time.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from service.core.errors import DeadlineExceeded, QueueFull, ShuttingDown
from service.pace import UNKNOWN_RETRY_SECONDS, Doubt, Flow
from service.turns import ANYBODY, SPARE_PLACES, Crowd, Turn

ALWAYS_LET_IN: Final = 4
"""So few in progress are never refused for their deadline: they show how fast it is now."""

UNDER_WAY: Final = 8
"""So many of those that came before are being decoded or scored, and nobody's turn goes before
them: two decoding threads, and two lanes with a few radiographs each."""

LEAST_TELLING: Final = 16
"""Ahead of an upload, for its wait to tell how sure expectations are: what one alone takes is not
a matter of the pace."""


class Place:
    """One upload's share of the memory that may be in flight."""

    def __init__(self, admission: "Admission", turn: Turn) -> None:
        self._admission = admission
        self.turn = turn
        self.held_bytes = 0
        self.is_at_work = False
        self.began = 0.0
        self.ahead = 0
        self.expected_seconds = 0.0

    def begin_work(self, seconds: float) -> None:
        """The upload is here; from now on it is ahead of those that come.

        Parameters
        ----------
        seconds
            What is left until its deadline.

        Raises
        ------
        DeadlineExceeded
            It would be late at the present pace.
        """
        self.ahead, self.expected_seconds = self._admission.refuse_late(self.turn, seconds)
        self.began = self._admission.now()
        self._admission.at_work.add(self.turn)
        self.is_at_work = True

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
    """Counts uploads and their bytes; decides in microseconds that there is no room.

    Telling it by HTTP takes a millisecond (docs/performance.md).

    Attributes
    ----------
    at_work
        Uploads that have arrived and have no answer yet.

    Parameters
    ----------
    is_queue_full
        Asked at the door, so that a full queue is answered before anything is read or decoded.
    clock
        Seconds, monotonic.
    """

    def __init__(
        self,
        *,
        max_requests: int,
        max_in_flight_bytes: int,
        is_queue_full: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_requests = max_requests
        self._max_in_flight_bytes = max_in_flight_bytes
        self._is_queue_full = is_queue_full
        self._clock = clock
        self._flow = Flow()
        self._doubt = Doubt()
        self._inside = Crowd()
        self.at_work = Crowd()
        self._idle = asyncio.Event()
        self._idle.set()
        self._entered = 0
        self.requests = 0
        self.in_flight_bytes = 0
        self.is_draining = False

    @contextmanager
    def enter(self, turn: Turn = ANYBODY, *, seconds: float = math.inf) -> Iterator[Place]:
        """Hold a place until the answer is sent.

        Parameters
        ----------
        seconds
            What is left until its deadline.

        Raises
        ------
        ShuttingDown, QueueFull
            No new upload is accepted.
        DeadlineExceeded
            It would be late at the present pace.
        """
        self.knock(turn, seconds=seconds)
        place = Place(self, turn)
        self._inside.add(turn)
        self.requests += 1
        self._entered += 1
        self._idle.clear()
        try:
            yield place
            self._note_answer(place)
        except DeadlineExceeded:
            self._note_wait(place)
            raise
        finally:
            self._leave(place)
            self.in_flight_bytes -= place.held_bytes
            self._inside.remove(turn)
            self.requests -= 1
            if self.requests == 0:
                self._idle.set()

    def knock(self, turn: Turn, *, seconds: float) -> None:
        """Ask whether there is room, and enter not.

        Raises
        ------
        ShuttingDown, QueueFull, DeadlineExceeded
            As `enter`.
        """
        self._refuse_when_closed_or_full(turn)
        self.refuse_late(turn, seconds)

    @property
    def is_full(self) -> bool:
        """Whether the next upload would be refused for want of room."""
        return self.requests >= self._max_requests or self._is_queue_full()

    @property
    def has_spare_room(self) -> bool:
        """Whether one who can wait may enter: half of the places are kept for those who cannot."""
        return self.requests * 2 < self._max_requests and not self._is_queue_full()

    def take(self, more_bytes: int) -> None:
        """Count bytes as held, or refuse them.

        Raises
        ------
        QueueFull
            All uploads together would hold more than the limit.
        """
        if self.in_flight_bytes + more_bytes > self._max_in_flight_bytes:
            raise QueueFull("uploads in progress hold all the memory that they may")
        self.in_flight_bytes += more_bytes

    @contextmanager
    def holding(self, more_bytes: int) -> Iterator[None]:
        """Count bytes as held for a while, or refuse them as `take` does."""
        self.take(more_bytes)
        try:
            yield
        finally:
            self.in_flight_bytes -= more_bytes

    def refuse_late(self, turn: Turn, seconds: float) -> tuple[int, float]:
        """Refuse an upload that would be answered after its deadline, at the present pace.

        Returns
        -------
        How many go before it, and in how many seconds its answer is expected; 0 if nobody knows.
        """
        ahead = self.at_work.count_ahead(turn)
        if not turn.is_urgent:
            ahead = max(ahead, min(len(self.at_work), UNDER_WAY))
        expected = self._flow.seconds_for(ahead + 1)
        safe = self._doubt.factor * expected
        if ahead >= ALWAYS_LET_IN and safe > seconds:
            raise DeadlineExceeded(
                f"{ahead} radiographs go before it, and its deadline comes sooner",
                retry_after_seconds=safe - seconds,
            )
        return ahead, expected

    def now(self) -> float:
        """On this door's clock."""
        return self._clock()

    def begin_drain(self) -> None:
        """Accept no new upload from now on."""
        self.is_draining = True

    async def wait_idle(self) -> None:
        """Return once every accepted upload has its answer."""
        await self._idle.wait()

    async def wait_quiet(self, seconds: float) -> None:
        """Return once no upload was in progress for so long.

        A busy caller leaves a gap after each answer; who starts to work in it delays the next.
        """
        while True:
            await self._idle.wait()
            entered = self._entered
            await asyncio.sleep(seconds)
            if entered == self._entered:
                return

    def _note_answer(self, place: Place) -> None:
        if place.is_at_work:
            self._flow.note_answer(self._clock())
        if not self._note_wait(place):
            self._doubt.fade()

    def _note_wait(self, place: Place) -> bool:
        """Learn from a wait; tells whether it was a telling one."""
        is_telling = place.ahead >= LEAST_TELLING and place.expected_seconds > 0
        if is_telling:
            self._doubt.note(self._clock() - place.began, place.expected_seconds)
        return is_telling

    def _leave(self, place: Place) -> None:
        """However it ended; once nobody is at work, how fast it was says nothing of later."""
        if place.is_at_work:
            self.at_work.remove(place.turn)
            if not len(self.at_work):
                self._flow.forget()

    def _refuse_when_closed_or_full(self, turn: Turn) -> None:
        if self.is_draining:
            raise ShuttingDown("the service is stopping and accepts no new radiograph")
        has_spare_place = self.requests < self._max_requests + SPARE_PLACES
        if self.is_full and not (has_spare_place and self._may_take_spare_place(turn)):
            raise QueueFull(
                "as many radiographs as may wait are in progress",
                retry_after_seconds=self._flow.seconds_for(self.requests) or UNKNOWN_RETRY_SECONDS,
            )

    def _may_take_spare_place(self, turn: Turn) -> bool:
        return turn.is_urgent or (not self._is_queue_full() and self._inside.is_first(turn))

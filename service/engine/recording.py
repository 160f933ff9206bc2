"""What the whole process has once on a device: the turn to record a graph, and a few streams."""

import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

from service.engine.base import EngineUnavailable

RING: Final = 32
"""Streams that torch has for a device (`CUDAStream.cpp`, kStreamsPerPool); it hands them out in
turns, whether or not an earlier taker still uses one."""

S = TypeVar("S", bound=Hashable)


class Recorder:
    """Lets one engine at a time record, and none after a recording that failed.

    A recording that fails can leave the allocator of torch as if it still went on. What was
    recorded before is not touched by that; what would be recorded after it might be.
    """

    def __init__(self) -> None:
        self._door = threading.Lock()
        self._has_failed = False

    @contextmanager
    def alone(self) -> Iterator[None]:
        """The turn to record; waits for it.

        Raises
        ------
        EngineUnavailable
            A recording has failed in this process.
        """
        with self._door:
            if self._has_failed:
                raise EngineUnavailable(
                    "an earlier recording on the GPU failed; restart the service to open another"
                    " version there"
                )
            yield

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Around each graph; notes a failure."""
        try:
            yield
        except BaseException:
            self._has_failed = True
            raise


class Streams(Generic[S]):
    """Lends each stream of a device to one lane at a time, and lends those given back first.

    Two lanes on one stream would wait for each other, and a recording on it would take up what the
    other lane launches.

    Parameters
    ----------
    draw
        Hands out the next stream of a device, now and then one that was handed out before.
    """

    def __init__(self, draw: Callable[[Hashable], S]) -> None:
        self._draw = draw
        self._drawn: defaultdict[Hashable, set[S]] = defaultdict(set)
        self._idle: defaultdict[Hashable, list[S]] = defaultdict(list)
        self._door = threading.Lock()

    def take(self, device: Hashable) -> S:
        """A stream that nobody else has.

        Raises
        ------
        EngineUnavailable
            All of the device are lent.
        """
        with self._door:
            if self._idle[device]:
                return self._idle[device].pop()
            for _ in range(RING):
                stream = self._draw(device)
                if stream not in self._drawn[device]:
                    self._drawn[device].add(stream)
                    return stream
        raise EngineUnavailable(f"all {RING} streams of {device} are in use")

    def give_back(self, device: Hashable, stream: S) -> None:
        """For the next lane; nothing may run on it."""
        with self._door:
            self._idle[device].append(stream)

"""Ways to score side by side, each lent to one caller at a time and used only as far as proven.

A lane scores in buckets: a recorded graph for each of a few numbers of pictures. The golden uploads
of the start prove one bucket of one lane, and until `prove` has seen the others, that one serves
alone. A bucket that does not reproduce them is never used.

Axes: M pictures, S side.
"""

import math
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import numpy as np
import structlog

from service.core.errors import SelfTestFailed
from service.core.inference import Forward, Outputs
from service.core.radiograph import Pixels

FIRST_BUCKET: Final = 8
"""Serves until the others are proven: a radiograph with its views, at little waste."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Lane(Protocol):
    """Scores one batch at a time."""

    buckets: tuple[int, ...]
    """Numbers of pictures for which it has a graph."""

    def score(self, batch_nchw: Pixels, bucket: int) -> Outputs:
        """(M, 1, S, S) for M up to the bucket -> outputs."""

    def close(self) -> None:
        """Give back what it holds of the device."""


@dataclass(slots=True)
class _Lent:
    """A lane, the buckets of it that are proven, and whose turn it is."""

    number: int
    lane: Lane
    proven: tuple[int, ...]
    turn: threading.Lock


class Lanes:
    """Lends lanes; from as many threads as there are lanes.

    Parameters
    ----------
    lanes
        Each with `FIRST_BUCKET` among its buckets.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._all = [_Lent(n, lane, (), threading.Lock()) for n, lane in enumerate(lanes)]
        self._idle: queue.SimpleQueue[_Lent] = queue.SimpleQueue()
        first = self._all[0]
        first.proven = (FIRST_BUCKET,)
        self._idle.put(first)

    def score(self, batch_nchw: Pixels) -> Outputs:
        """(M, 1, S, S) -> outputs, any M >= 1; waits for a lane where none is idle."""
        with self._borrowed() as lent:
            parts = [
                self._score_part(lent, batch_nchw[start : start + count], bucket)
                for start, count, bucket in split_into_buckets(len(batch_nchw), lent.proven)
            ]
        return join_outputs(parts)

    def prove(self, prove: Callable[[Forward], object]) -> None:
        """Use each lane and bucket from when it reproduces the golden uploads; others never.

        Parameters
        ----------
        prove
            Raises `SelfTestFailed` on a way to score that must not be used.

        Raises
        ------
        SelfTestFailed
            Some do not; the rest serves.
        """
        refused = 0
        for lent in (*self._all[1:], self._all[0]):
            is_new = not lent.proven
            refused += self._prove_buckets(lent, prove)
            if is_new and lent.proven:
                self._idle.put(lent)
        if refused:
            raise SelfTestFailed(f"{refused} graphs do not reproduce the golden uploads")

    def close(self) -> None:
        """Wait for what still runs, and close every lane."""
        for lent in self._all:
            with lent.turn:
                lent.lane.close()

    def _prove_buckets(self, lent: _Lent, prove: Callable[[Forward], object]) -> int:
        """How many buckets of a lane were refused."""
        refused = 0
        for bucket in lent.lane.buckets:
            if bucket in lent.proven:
                continue
            try:
                prove(partial(self._score_filled, lent, bucket))
            except SelfTestFailed:
                refused += 1
                log.error("engine.graph_refused", lane=lent.number, images=bucket)
            else:
                lent.proven = tuple(sorted((*lent.proven, bucket)))
        return refused

    def _score_filled(self, lent: _Lent, bucket: int, batch_nchw: Pixels) -> Outputs:
        """Score in one bucket, whose every row holds a picture: they are repeated to fill it."""
        count = len(batch_nchw)
        filled = batch_nchw[np.arange(math.ceil(count / bucket) * bucket) % count]
        parts = [
            self._score_part(lent, filled[start : start + bucket], bucket)
            for start in range(0, len(filled), bucket)
        ]
        return Outputs(*(rows[:count] for rows in join_outputs(parts)))

    def _score_part(self, lent: _Lent, batch_nchw: Pixels, bucket: int) -> Outputs:
        with lent.turn:  # the first lane serves while its other buckets are proven
            return lent.lane.score(batch_nchw, bucket)

    @contextmanager
    def _borrowed(self) -> Iterator[_Lent]:
        lent = self._idle.get()
        try:
            yield lent
        finally:
            self._idle.put(lent)


def split_into_buckets(pictures: int, buckets: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Start, count and bucket of each replay that together cover the pictures, in order."""
    largest = max(buckets)
    for start in range(0, pictures, largest):
        count = min(largest, pictures - start)
        yield start, count, min(bucket for bucket in buckets if bucket >= count)


def join_outputs(parts: Sequence[Outputs]) -> Outputs:
    """Outputs of consecutive pictures as those of one batch."""
    return Outputs(*(np.concatenate(rows) for rows in zip(*parts, strict=True)))

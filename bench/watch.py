"""Memory of a server while it is under load: what it holds afterwards may be less."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SAMPLE_SECONDS = 0.5
"""A sample walks over the page tables of each process, some milliseconds."""


class Peak:
    """The most of all samples."""

    def __init__(self, sample: Callable[[], int]) -> None:
        self._sample = sample
        self._most = 0

    @property
    def most(self) -> int:
        """Of the samples so far."""
        return self._most

    def take(self) -> None:
        """Take a sample."""
        self._most = max(self._most, self._sample())


@contextmanager
def watched(sample: Callable[[], int], *, seconds: float = SAMPLE_SECONDS) -> Iterator[Peak]:
    """Sample every so often while this lasts, and once at the end."""
    peak, is_over = Peak(sample), threading.Event()

    def watch() -> None:
        while not is_over.wait(seconds):
            peak.take()

    thread = threading.Thread(target=watch, name="watch", daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        is_over.set()
        thread.join()
        peak.take()

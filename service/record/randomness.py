"""Random bytes of the operating system, fetched some hundred at a time.

Every call to the system lets go of the interpreter, and a busy thread may keep it for a while: the
four calls for the two ids of a request took a millisecond of its answer.
"""

import os
import threading
from collections.abc import Callable
from typing import Final

FETCHED_BYTES: Final = 4096


class RandomSupply:
    """Gives each byte out once; may be asked from any thread."""

    def __init__(self, source: Callable[[int], bytes] = os.urandom) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._left = memoryview(b"")
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def take(self, count: int) -> bytes:
        """So many bytes, at most `FETCHED_BYTES`."""
        with self._lock:
            if len(self._left) < count:
                self._left = memoryview(self._source(FETCHED_BYTES))
            taken, self._left = self._left[:count], self._left[count:]
        return bytes(taken)

    def _forget(self) -> None:
        """A process that was forked must not give out what its parent does."""
        self._lock = threading.Lock()
        self._left = memoryview(b"")

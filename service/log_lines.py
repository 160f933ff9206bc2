"""Lines of the log on their way to stderr: whoever writes one does not wait for who reads it."""

import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

MOST_LINES: Final = 10_000
"""That wait for a reader, some megabytes of them; a busy minute writes a tenth."""
END_SECONDS: Final = 2.0
"""How long the end of a program waits for the reader."""


class Lines:
    """A bounded queue in front of a descriptor that may block, and the one thread that writes.

    A reader that stalls fills the queue. Then lines are dropped until half of it is free again;
    there a line says how many. Their order is kept, and nothing is dropped while somebody reads.
    The end of the program waits for what is queued, as `finish` does.

    `write` may be called from a finalizer that interrupts another `write`: the lock lets it in.

    Parameters
    ----------
    tell_dropped
        The line that stands for so many dropped ones.
    """

    def __init__(
        self, descriptor: int, tell_dropped: Callable[[int], str], *, most: int = MOST_LINES
    ) -> None:
        self._descriptor = descriptor
        self._tell_dropped = tell_dropped
        self._most = most
        self._waiting: deque[str] = deque()
        self._changed = threading.Condition()
        self._dropped = 0
        self._is_writing = False
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> None:
        """Queue a whole line, or drop it; never waits for the reader."""
        with self._changed:
            if self._dropped or len(self._waiting) >= self._most:
                self._dropped += 1
                return
            self._waiting.append(text)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
                atexit.register(self.finish)

    def flush(self) -> None:
        """Nothing: the thread writes as soon as it can."""

    def finish(self, seconds: float = END_SECONDS) -> bool:
        """Wait until all that was queued is written; False if the reader is too slow for that."""
        ends = time.monotonic() + seconds
        with self._changed:
            while self._waiting or self._is_writing:
                left = ends - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def _run(self) -> None:
        while True:
            text = self._take()
            with suppress(OSError):  # a full disk or a closed pipe costs a line, and no request
                _write_whole(self._descriptor, text.encode(errors="backslashreplace"))

    def _take(self) -> str:
        with self._changed:
            self._is_writing = False
            self._changed.notify_all()
            while not self._waiting:
                self._changed.wait()
            text = self._waiting.popleft()
            self._is_writing = True
            if self._dropped and len(self._waiting) <= self._most // 2:
                self._waiting.append(self._tell_dropped(self._dropped))
                self._dropped = 0
            return text


def _write_whole(descriptor: int, body: bytes) -> None:
    """By the descriptor: the end of Python waits for whoever holds the lock of `sys.stderr`."""
    while body:
        body = body[os.write(descriptor, body) :]

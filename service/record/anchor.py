"""The anchor: the last head, kept in a file beside the database, so that a lost tail is noticed.

It is written after the commit and never synced: after a power cut it may lag behind the log,
which is harmless, and is never ahead of it.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from service.core.errors import RecordUnavailable
from service.record.chain import Head

log: structlog.stdlib.BoundLogger = structlog.get_logger()

ANCHOR_LINE = re.compile(rb"([0-9]{18}) (sha256:[0-9a-f]{64})\n")
"""One line of a fixed length, so that it is overwritten in place; a rename costs a disk sync."""

LINE_BYTES = 18 + 1 + 7 + 64 + 1


def read_anchor(path: Path) -> Head | None:
    """Read the noted head; None when there is none, or a power cut left no whole line.

    Raises
    ------
    RecordUnavailable
        There is one, and this account cannot read it.
    """
    try:
        with _locked(path, os.O_RDONLY, fcntl.LOCK_SH) as descriptor:
            line = os.pread(descriptor, LINE_BYTES + 1, 0)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordUnavailable(f"cannot read the anchor {path.name}: {error.strerror}") from error
    head = _parse(line)
    if head is None:
        log.warning("record.anchor_unreadable")
    return head


def write_anchor(path: Path, head: Head) -> None:
    """Note the head, unless another process has noted a later one.

    A disk that refuses costs the anchor and a warning; the rows are safe without it.
    """
    try:
        with _locked(path, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX) as descriptor:
            noted = _parse(os.pread(descriptor, LINE_BYTES + 1, 0))
            if noted is None:
                os.ftruncate(descriptor, 0)
            if noted is None or noted.sequence < head.sequence:
                os.pwrite(descriptor, f"{head.sequence:018} {head.digest}\n".encode(), 0)
    except OSError as error:
        log.warning("record.anchor_not_written", error=type(error).__name__)


@contextmanager
def _locked(path: Path, flags: int, lock: int) -> Iterator[int]:
    """Open the file and hold its lock, so that no one reads half a line."""
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, lock)
        yield descriptor
    finally:
        os.close(descriptor)


def _parse(line: bytes) -> Head | None:
    noted = ANCHOR_LINE.fullmatch(line)
    return None if noted is None else Head(int(noted[1]), noted[2].decode())

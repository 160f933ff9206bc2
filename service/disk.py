"""Room on the file systems that the service writes to, as `statvfs` tells it at once."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Final

PATIENCE_SECONDS: Final = 0.05
"""A file system of this machine answers in microseconds."""


@dataclass(frozen=True, slots=True)
class Room:
    """Of one file system, in bytes.

    Attributes
    ----------
    available
        What an account without privileges may still write.
    size
        The whole of it.
    """

    available: int
    size: int


def measure_room(folder: Path) -> Room:
    """Ask the file system that a folder is on, or would be made on; reads no file.

    Raises
    ------
    OSError
        The file system does not answer.
    """
    told = os.statvfs(existing(folder))
    return Room(told.f_bavail * told.f_frsize, told.f_blocks * told.f_frsize)


class DiskAsker:
    """Asks the file system of a folder, and does not wait for one that does not answer.

    That of a network hangs while its server is away, and whoever asked it hangs too: here that is a
    thread, one at most, and nobody else asks until it is back.

    Parameters
    ----------
    measure
        Blocks for as long as the file system does.
    """

    def __init__(self, folder: Path, measure: Callable[[Path], Room] = measure_room) -> None:
        self._folder = folder
        self._measure = measure
        self._asking: Thread | None = None
        self._room: Room | None = None

    def ask(self) -> Room | None:
        """None if it fails or has not answered in time; returns within `PATIENCE_SECONDS`."""
        if self._asking is None or not self._asking.is_alive():
            self._room = None
            self._asking = Thread(target=self._take, name="disk", daemon=True)
            self._asking.start()
            self._asking.join(PATIENCE_SECONDS)
        return None if self._asking.is_alive() else self._room

    def _take(self) -> None:
        with suppress(OSError):
            self._room = self._measure(self._folder)


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(place for place in [path.absolute(), *path.absolute().parents] if place.exists())

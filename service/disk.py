"""Room on the file systems that the service writes to, as `statvfs` tells it at once."""

import os
from dataclasses import dataclass
from pathlib import Path


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


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(place for place in [path.absolute(), *path.absolute().parents] if place.exists())

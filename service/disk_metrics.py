"""The instruments of the disks: how much may still be written, folder by folder."""

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from service.disk import DiskAsker, Room, measure_room

STEP_BYTES: Final = 16 << 20
"""Of the room that is told: how long the row of one radiograph is must not be told by it."""


class DataFolder(StrEnum):
    """What the service writes, each in a folder that may be on a disk of its own."""

    RECORD = "record"
    """The shadow log and its evidence log; not there where a server holds them."""
    STATE = "state"
    """The site key, and what drift remembers."""
    PACS = "pacs"
    """The queue of the PACS; not there without one."""
    CACHE = "cache"
    """The compiled model; not there where none is kept."""
    SCRATCH = "scratch"
    """What is laid out for a moment."""


class DiskMetrics:
    """Two gauges a folder, read at each scrape: one `statvfs` each, and no walk.

    A file system that does not answer has no number, and holds up nothing else (`DiskAsker`).

    Parameters
    ----------
    folders
        Those that this site has; the others have no series.
    measure
        Asks the file system of a folder.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        folders: Mapping[DataFolder, Path],
        measure: Callable[[Path], Room] = measure_room,
    ) -> None:
        available = Gauge(
            "cxr_filesystem_avail_bytes",
            "Bytes that may still be written to the file system of a data folder, "
            "in steps of 16 MiB.",
            ["folder"], registry=registry,
        )  # fmt: skip
        size = Gauge(
            "cxr_filesystem_size_bytes", "Size of the file system of a data folder.",
            ["folder"], registry=registry,
        )  # fmt: skip
        for name, path in folders.items():
            asker = DiskAsker(path, measure)
            available.labels(name.value).set_function(partial(_available, asker))
            size.labels(name.value).set_function(partial(_size, asker))


def _available(asker: DiskAsker) -> float:
    room = asker.ask()
    return math.nan if room is None else room.available // STEP_BYTES * STEP_BYTES


def _size(asker: DiskAsker) -> float:
    room = asker.ask()
    return math.nan if room is None else room.size

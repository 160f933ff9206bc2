"""The machine under the service: who may read its files, where they lie, its disk, its clock."""

import ctypes
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from service.disk import existing, measure_room
from service.ops.address import LogAddress
from service.ops.check import Told, Verdict, fail_for, failed, passed
from service.record import open_reader
from service.record.database import open_engine
from service.record.pseudonyms import is_exposed

MOUNTS = Path("/proc/self/mountinfo")
DURABLE = frozenset({"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "xfs", "zfs"})
"""Local file systems that keep what was synced. SQLite's WAL does not work over a network."""

FREE_BYTES = 2_000_000_000
"""About a million rows, or a backup of a year."""
SCRATCH_BYTES = 200_000_000
"""A model laid out for its signature, and one upload at its largest."""

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
OLDEST_NOW = datetime(2026, 1, 1, tzinfo=UTC)
"""Before this release was made: a clock that says so lost its battery."""
AHEAD = timedelta(seconds=5)
STA_UNSYNC = 0x40
"""adjtimex(2): nobody steers the clock."""


def check_permissions(address: LogAddress, store: Path, secrets: Iterable[Path]) -> Told:
    """Keys for their owner alone, no folder open to the world, no model that others can write."""
    return fail_for(_exposed(address, store, secrets), "private files are private")


def check_filesystem(folder: Path, mounts: Path = MOUNTS) -> Told:
    """A row that was answered must survive a power cut."""
    return judge_filesystem(kind_of_mount(existing(folder).resolve(), mounts))


def judge_filesystem(kind: str) -> Told:
    """Whether a kind of file system keeps what was synced."""
    if kind not in DURABLE:
        return failed(
            f"the record lies on {kind}; expected a local disk ({', '.join(sorted(DURABLE))})"
        )
    return passed(kind)


def check_server(url: str) -> Told:
    """The same of a PostgreSQL server: it must sync before it says that it has."""
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            settings = {
                name: str(connection.scalar(text(f"SHOW {name}")))
                for name in ("fsync", "full_page_writes")
            }
    finally:
        engine.dispose()
    return judge_server(settings)


def judge_server(settings: Mapping[str, str]) -> Told:
    """Whether a commit of such a server outlives a power cut; a session asks for the rest."""
    return fail_for(
        (f"{name} is off" for name, value in settings.items() if value == "off"),
        "the server syncs each commit",
    )


def check_disk(needs: Mapping[Path, int]) -> Told:
    """Room for the rows to come, and for what is laid out for a moment."""
    free = {folder: measure_room(folder).available for folder in needs}
    short = (
        f"{free[folder] / 1e9:.1f} GB free in {folder.name or folder}, expected {least / 1e9:.1f}"
        for folder, least in needs.items()
        if free[folder] < least
    )
    return fail_for(short, f"{min(free.values()) / 1e9:.1f} GB free")


def check_clock(newest: datetime | None, now: datetime, clock_state: int) -> Told:
    """Rows are in order of time, and a report is joined by it.

    Parameters
    ----------
    newest
        When the last row was received; None without one.
    clock_state
        Status bits of `clock_status`.
    """
    if now < OLDEST_NOW:
        return failed(f"the clock says {now:%Y-%m-%d}, before this release was made")
    if newest is not None and newest > now + AHEAD:
        return failed(f"the newest row is of {newest:%Y-%m-%d %H:%M} UTC, later than now")
    if clock_state & STA_UNSYNC:
        return Told(Verdict.WARN, "nothing steers the clock; run chrony or systemd-timesyncd")
    return passed("steered, and not before the newest row")


def newest_row(address: LogAddress) -> datetime | None:
    """When the last row of the log was received; None where there is none yet."""
    if address.database is not None and not address.database.exists():
        return None
    with closing(open_reader(address.url)) as reader:
        rows = reader.rows(after_sequence=max(0, reader.head().sequence - 1), limit=1)
    return rows[0].entry.received_at if rows else None


def clock_status() -> int:
    """Status bits of the kernel's clock; asking changes nothing."""
    timex = (ctypes.c_long * 64)()  # struct timex is shorter; `modes` 0 at its head only reads
    ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    # unsigned modes, then long offset, freq, maxerror, esterror, then int status
    return int(ctypes.cast(timex, ctypes.POINTER(ctypes.c_int))[10])


def kind_of_mount(place: Path, mounts: Path) -> str:
    """Kind of the file system of a place, by the longest mount point above it (proc(5))."""
    best, kind = "", "unknown"
    for line in mounts.read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4].encode().decode("unicode_escape")
        if len(point) >= len(best) and place.is_relative_to(point):
            best, kind = point, after.split()[0]
    return kind


def needs_of(address: LogAddress) -> dict[Path, int]:
    """Bytes that must be free, by folder."""
    log = (address.database or address.key).parent
    return {log: FREE_BYTES, Path(tempfile.gettempdir()): SCRATCH_BYTES}


def _exposed(address: LogAddress, store: Path, secrets: Iterable[Path]) -> Iterator[str]:
    private = {address.key, *secrets, *address.state.values(), *address.traces}
    for path in sorted(private):
        if path.exists() and is_exposed(path):
            yield f"{path.name} has mode {_mode(path):o}, expected 600"
    for folder in sorted({path.parent for path in private if path.parent.exists()}):
        if _mode(folder) & stat.S_IRWXO and not _is_given(folder):
            yield f"folder {folder.name or folder} has mode {_mode(folder):o}, expected 700"
    for path in [store, *store.rglob("*")]:
        if _mode(path) & OTHERS_WRITE & ~(stat.S_IWGRP if path.is_dir() else 0):
            yield f"{path.name} of the model store can be written by others"


def _is_given(folder: Path) -> bool:
    """Whether the platform mounted it, as Kubernetes does a volume: root's, of mode 2777 or 3777.

    A folder open to the world lets other accounts of the machine see names, and replace what lies
    there. Only what runs in this container comes to such a mount, and its files are looked at.
    """
    return os.path.ismount(folder) and folder.stat().st_uid != os.geteuid()


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)

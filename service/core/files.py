"""Files that are there whole or not at all, whoever reads them and whenever the power fails."""

import os
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600
LEFT_TO_UMASK: Final = 0o666


def write_whole(path: Path, body: bytes, mode: int | None = None) -> None:
    """Replace a file in one step: a reader sees the old bytes or the new ones, never a part.

    They are written and synced beside it, as `<name>.part`, and renamed: one writer at a time.

    Parameters
    ----------
    mode
        Permissions, whatever the umask says; None leaves them to the umask.

    Raises
    ------
    OSError
        It cannot be written; what was there is as it was.
    """
    part = path.with_name(f"{path.name}.part")
    made = LEFT_TO_UMASK if mode is None else PRIVATE
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, made)
    _fill(descriptor, body, mode)
    part.replace(path)
    sync_folder(path.parent)


def make_private(path: Path, body: bytes) -> None:
    """Make and sync a file that only its owner may read.

    Raises
    ------
    FileExistsError
        There is one.
    OSError
        It cannot be written.
    """
    _fill(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), body, None)


def sync_folder(folder: Path) -> None:
    """Make the names in it durable, as `fsync` of a file does not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fill(descriptor: int, body: bytes, mode: int | None) -> None:
    with os.fdopen(descriptor, "wb") as file:
        if mode is not None:
            os.fchmod(descriptor, mode)
        file.write(body)
        file.flush()
        os.fsync(descriptor)

"""A log in a file is written where its name points, or not at all.

Whoever has a file open goes on writing to it after it was moved, replaced or deleted. Its commits
succeed, and nobody finds the rows again.
"""

import sqlite3
from pathlib import Path
from typing import Final

from service.core.errors import RecordUnavailable

Place = tuple[int, int]
"""Device and inode."""

BESIDE: Final = ("-wal", "-shm")
"""What SQLite keeps beside a database: commits that are not in it yet, and the locks of those who
write."""


class RecordMoved(RecordUnavailable):
    """Another file than the one that was opened has the log's name, or none has."""

    def __init__(self) -> None:
        super().__init__("the file of the shadow log was moved, replaced or deleted while in use")


class SameFile:
    """Remembers the file that was opened first, and what each connection has open beside it.

    Parameters
    ----------
    path
        Of the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: Place | None = None

    def check_name(self) -> None:
        """Refuse to connect to another file than at first: SQLite would take it, or make it.

        Raises
        ------
        RecordMoved
        """
        if self._database is not None and _place_of(self._path) != self._database:
            raise RecordMoved

    def note(self, connection: sqlite3.Connection) -> list[Place | None]:
        """What a new connection has open beside the database."""
        self._database = self._database or _place_of(self._path)
        connection.execute("PRAGMA schema_version")  # a read opens them
        return self._beside()

    def check(self, noted: list[Place | None]) -> None:
        """Refuse to commit where nobody would look.

        Parameters
        ----------
        noted
            By `note`, of the connection that commits.

        Raises
        ------
        RecordMoved
        """
        self.check_name()
        if self._beside() != noted:
            raise RecordMoved

    def _beside(self) -> list[Place | None]:
        return [_place_of(Path(f"{self._path}{ending}")) for ending in BESIDE]


def _place_of(path: Path) -> Place | None:
    """None where there is no such file, or no way to it."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino

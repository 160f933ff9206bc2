"""A consistent copy of a site while its service writes: log, keys, and what else it remembers."""

import shutil
import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from service import __version__
from service.core.errors import CxrError
from service.ops.address import API_KEYS, DATABASE, SITE_KEY, LogAddress
from service.ops.archive import BackupNotes, StoredHead, describe_file, write_archive
from service.record import Head, Pseudonymiser, load_key, open_reader
from service.record.record import Reader
from service.record.tables import CHAINED

SQLITE_MAGIC = b"SQLite format 3\0"
SECRETS = (SITE_KEY, API_KEYS)
"""What must not lie beside the log, where a site keeps its secrets elsewhere."""


class BackupRefused(CxrError):
    """What there is to back up is not whole: an older backup is better than this one."""

    code = "BACKUP_REFUSED"


def back_up(address: LogAddress, out: IO[bytes], *, with_secrets: bool = True) -> BackupNotes:
    """Write one archive of the whole site; the service may go on writing meanwhile.

    The copy of the log is verified, row by row, before a byte is written.

    Parameters
    ----------
    with_secrets
        False leaves out the site key and the API keys, for a site that keeps them elsewhere.

    Raises
    ------
    BackupRefused
        A chain is broken, or the site key is not there.
    RecordUnavailable
        There is no log, or it cannot be read.
    """
    if with_secrets and not address.key.exists():
        raise BackupRefused("there is no site key; without it the log joins with nothing")
    place = address.database.parent if address.database is not None else None
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=place) as folder:
        copies = _copy_state(address, Path(folder), with_secrets=with_secrets)
        if address.database is not None:
            copies[DATABASE] = Path(folder) / DATABASE
            copy_file(address.database, copies[DATABASE])
        heads = _heads(address, copies.get(DATABASE))
        notes = BackupNotes(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            release=__version__,
            database="on_server" if address.database is None else "in_archive",
            heads=heads,
            files={name: describe_file(path) for name, path in copies.items()},
        )
        write_archive(out, notes, copies)
    return notes


def copy_file(source: Path, target: Path) -> None:
    """Copy a file that may change: a database as of one moment, any other file as it is.

    Every other file of the service is replaced in one rename, so a reader sees it whole.
    """
    with source.open("rb") as file:
        is_database = file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC
    if not is_database:
        shutil.copyfile(source, target)
        return
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as copy:
        # All pages in one step are one read transaction, and in WAL mode no writer waits for it.
        live.backup(copy, pages=-1)


def verify_log(url: str, key: Path | None, heads: dict[str, Head] | None = None) -> dict[str, Head]:
    """Walk every chain of a log; returns how far each goes.

    Parameters
    ----------
    heads
        By table, a row that the log must hold.

    Raises
    ------
    BackupRefused
        Says which row is not as it was written.
    """
    signer = None if key is None else Pseudonymiser(load_key(key))
    with closing(open_reader(url)) as reader:
        return {
            table.name: _verified(reader, index, signer, (heads or {}).get(table.name))
            for index, table in enumerate(CHAINED)
        }


def _verified(reader: Reader, index: int, signer: Pseudonymiser | None, noted: Head | None) -> Head:
    table = CHAINED[index]
    anchors = () if noted is None else (noted,)
    report = reader.verify(*anchors, table=table, signer=signer)
    if report.broken is not None:
        raise BackupRefused(
            f"row {report.broken.sequence} of the {table.name}: {report.broken.fault}"
        )
    return report.head


def _copy_state(address: LogAddress, folder: Path, *, with_secrets: bool) -> dict[str, Path]:
    """Before the log: a list of what was done may lag behind the log, and never run ahead of it."""
    wanted = {
        name: path
        for name, path in address.files.items()
        if path.exists() and (with_secrets or name not in SECRETS)
    }
    for name, path in wanted.items():
        copy_file(path, folder / name)
    return {name: folder / name for name in wanted}


def _heads(address: LogAddress, copy: Path | None) -> dict[str, StoredHead]:
    url = address.url if copy is None else f"sqlite:///{copy}"
    key = address.key if address.key.exists() else None
    found = verify_log(url, key)
    return {
        table: StoredHead(sequence=head.sequence, digest=head.digest)
        for table, head in found.items()
    }

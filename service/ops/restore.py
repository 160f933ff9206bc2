"""A site from its backup: nothing is overwritten, and nothing is put in place unverified."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from errno import EXDEV
from pathlib import Path
from typing import IO

from service.core.errors import CxrError
from service.core.files import sync_folder
from service.ops.address import API_KEYS, DATABASE, SITE_KEY, LogAddress
from service.ops.archive import BackupNotes, unpack_archive
from service.ops.backup import verify_log
from service.record import Head
from service.record.anchor import write_anchor
from service.record.database import open_engine
from service.record.record import anchors_beside
from service.record.schema import has_log, migrate


class RestoreRefused(CxrError):
    """Something stands in the way; nothing was changed."""

    code = "RESTORE_REFUSED"


def restore(
    address: LogAddress, source: IO[bytes], *, keep_api_keys: bool = False
) -> dict[str, Head]:
    """Put a site back as the archive has it, and tell how far its chains go.

    A log of an older release is brought up to date first, which leaves every digest as it was.
    Where the log is on a server it must have been restored there before.

    Parameters
    ----------
    keep_api_keys
        API keys that are here already stay; those of the archive are then left out.

    Raises
    ------
    RestoreRefused
        There is a site already, or the archive is for another kind of database.
    ArchiveDamaged, BackupRefused
        The archive is not what a backup wrote; the log in it is not whole.
    """
    _refuse_to_overwrite(address.traces)
    place = (address.database or address.key).parent
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=place) as folder:
        notes, files = unpack_archive(source, Path(folder))
        _refuse_unfit(address, notes, files)
        if keep_api_keys and API_KEYS in files and address.files[API_KEYS].exists():
            del files[API_KEYS]
        targets = _targets(address, files)
        _refuse_to_overwrite(targets.values())
        heads = _verify(address, notes, files)
        _put_in_place(targets)
    for table, path in anchors_beside(address.url).items():
        write_anchor(path, heads[table.name])
    return heads


def _refuse_to_overwrite(paths: Iterable[Path]) -> None:
    present = [path.name for path in paths if path.exists()]
    if present:
        raise RestoreRefused(
            f"{', '.join(present)} exist here already; move them away, nothing is overwritten"
        )


def _refuse_unfit(address: LogAddress, notes: BackupNotes, files: Mapping[str, Path]) -> None:
    if (address.database is None) != (notes.database == "on_server"):
        raise RestoreRefused(f"the log of this archive is {notes.database}; the settings differ")
    homeless = sorted(set(files) - {DATABASE, *address.files})
    if homeless:
        raise RestoreRefused(f"the settings name no place for {', '.join(homeless)}")


def _verify(address: LogAddress, notes: BackupNotes, files: Mapping[str, Path]) -> dict[str, Head]:
    url = address.url if address.database is None else f"sqlite:///{files[DATABASE]}"
    engine = open_engine(url)
    if has_log(engine):  # an empty database stays empty: the dump is yet to come
        migrate(engine)
    engine.dispose()
    kept = address.key if address.key.exists() else None
    noted = {table: Head(head.sequence, head.digest) for table, head in notes.heads.items()}
    heads = verify_log(url, files.get(SITE_KEY, kept), noted)
    if address.database is not None and heads != noted:
        raise RestoreRefused("the log does not end where its backup says")
    return heads


def _targets(address: LogAddress, files: Mapping[str, Path]) -> dict[Path, Path]:
    """The log last: a service that comes amid this finds no log rather than half a site."""
    targets = {files[name]: path for name, path in address.files.items() if name in files}
    if address.database is not None:
        targets[files[DATABASE]] = address.database
    return targets


def _put_in_place(targets: Mapping[Path, Path]) -> None:
    placed: list[Path] = []
    try:
        for unpacked, target in targets.items():
            _place(unpacked, target)
            placed.append(target)
    except OSError as error:
        for target in placed:
            target.unlink()
        raise RestoreRefused(f"a file cannot be put in place: {error.strerror}") from error


def _place(unpacked: Path, target: Path) -> None:
    """Durably and for its owner alone; the link fails where the name is taken.

    On one file system the unpacked file itself gets the name, so that the log has room once.
    """
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        _link(unpacked, target)
    except OSError as error:
        if error.errno != EXDEV:
            raise
        part = target.with_name(f"{target.name}.restoring")
        try:
            shutil.copyfile(unpacked, part)
            _link(part, target)
        finally:
            part.unlink(missing_ok=True)
    sync_folder(target.parent)


def _link(file: Path, target: Path) -> None:
    file.chmod(0o600)
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
    os.link(file, target)

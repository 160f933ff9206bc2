"""One backup as one tar archive: what is in it comes first, with the digest of each file.

The archive is read and written as a stream, so it can go through a pipe that encrypts it.
"""

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.core.artifact import Digest
from service.core.errors import CxrError

NOTES = "backup.json"
MAX_NOTES_BYTES = 1_000_000
CHUNK_BYTES = 1 << 20

PlainName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class ArchiveDamaged(CxrError):
    """The archive is not what a backup wrote."""

    code = "BACKUP_DAMAGED"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredFile(_Frozen):
    """One file of the archive."""

    sha256: Digest
    size_bytes: Annotated[int, Field(ge=0)]


class StoredHead(_Frozen):
    """How far one chain went."""

    sequence: Annotated[int, Field(ge=0)]
    digest: Digest


class BackupNotes(_Frozen):
    """What a backup holds; a later release must be able to read it."""

    format: Literal[1] = 1
    created: str
    release: str
    database: Literal["in_archive", "on_server"]
    heads: dict[str, StoredHead]
    """Last row of each chained table, after the whole chain was verified."""
    files: dict[PlainName, StoredFile]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if NOTES in self.files:
            raise ValueError(f"{NOTES} cannot name itself")
        return self


def describe_file(path: Path) -> StoredFile:
    """Digest and size of a file, in constant memory."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return StoredFile(sha256=f"sha256:{digest}", size_bytes=path.stat().st_size)


def write_archive(out: IO[bytes], notes: BackupNotes, files: Mapping[str, Path]) -> None:
    """Write the notes, then each file that they name."""
    text = notes.model_dump_json(indent=1).encode()
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(_member(NOTES, len(text)), io.BytesIO(text))
        for name, stored in notes.files.items():
            with files[name].open("rb") as file:
                archive.addfile(_member(name, stored.size_bytes), file)


def unpack_archive(source: IO[bytes], folder: Path) -> tuple[BackupNotes, dict[str, Path]]:
    """Write every file of an archive into an empty folder, if its digest fits.

    Raises
    ------
    ArchiveDamaged
        Something is missing, too much, or another than the notes say.
    """
    try:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            members = iter(archive)
            notes = _read_notes(archive, members)
            files = dict(_unpack(archive, members, notes, folder))
    except (tarfile.TarError, EOFError) as error:
        raise ArchiveDamaged("this is no whole tar archive; is it still encrypted?") from error
    missing = sorted(set(notes.files) - set(files))
    if missing:
        raise ArchiveDamaged(f"the archive ends before {', '.join(missing)}")
    return notes, files


def _member(name: str, size_bytes: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size_bytes, 0o600
    return member


def _read_notes(archive: tarfile.TarFile, members: Iterator[tarfile.TarInfo]) -> BackupNotes:
    first = next(members, None)
    if first is None or first.name != NOTES or first.size > MAX_NOTES_BYTES:
        raise ArchiveDamaged(f"the archive does not begin with {NOTES}")
    try:
        return BackupNotes.model_validate_json(_open(archive, first).read())
    except ValidationError as error:
        raise ArchiveDamaged(f"{NOTES} is of another release, or damaged") from error


def _unpack(
    archive: tarfile.TarFile, members: Iterator[tarfile.TarInfo], notes: BackupNotes, folder: Path
) -> Iterator[tuple[str, Path]]:
    """Only names of the notes, which are plain, ever become a path."""
    for member in members:
        stored = notes.files.get(member.name)
        if stored is None or not member.isreg() or member.size != stored.size_bytes:
            raise ArchiveDamaged(f"the archive holds a member that {NOTES} does not describe")
        path = folder / member.name
        path.touch(0o600, exist_ok=False)
        with path.open("wb") as file:
            _copy(_open(archive, member), file)
        if describe_file(path) != stored:
            raise ArchiveDamaged(f"{member.name} is another file than {NOTES} says")
        yield member.name, path


def _open(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    opened = archive.extractfile(member)
    if opened is None:
        raise ArchiveDamaged(f"{member.name} is not a plain file")
    return opened


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    while chunk := source.read(CHUNK_BYTES):
        target.write(chunk)

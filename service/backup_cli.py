"""`cxr-triage shadow backup` and `shadow restore`."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer

from service.logs import set_up_logs
from service.ops.address import LogAddress
from service.ops.archive import StoredHead
from service.ops.backup import back_up
from service.ops.restore import restore
from service.record import Head

app = typer.Typer()

LOG_LEVEL = "warning"
"""To standard error, like all that is told here: standard output may be the archive."""

PIPE = Path("-")

Archive = Annotated[Path, typer.Argument(help="A tar archive; `-` is the pipe.")]


@app.command(name="backup")
def back_up_site(
    context: typer.Context,
    archive: Archive,
    with_secrets: Annotated[
        bool, typer.Option("--secrets/--no-secrets", help="With the site key and the API keys.")
    ] = True,
) -> None:
    """Copy the log and all that belongs to it into one archive, while the service runs."""
    set_up_logs(LOG_LEVEL)
    address: LogAddress = context.obj
    with _writing_to(archive) as out:
        notes = back_up(address, out, with_secrets=with_secrets)
    _tell(notes.heads)
    typer.echo(f"{', '.join(notes.files)} of {notes.created}", err=True)
    if notes.database == "on_server":
        typer.echo("the log itself is on its server: dump it now, docs/runbook.md", err=True)


@app.command(name="restore")
def restore_site(
    context: typer.Context,
    archive: Archive,
    keep_api_keys: Annotated[
        bool, typer.Option("--keep-api-keys", help="Those here stay, the archive's are left out.")
    ] = False,
) -> None:
    """Put back what a backup holds, where there is nothing yet; verify it before and after."""
    set_up_logs(LOG_LEVEL)
    address: LogAddress = context.obj
    if archive == PIPE:
        heads = restore(address, sys.stdin.buffer, keep_api_keys=keep_api_keys)
    else:
        with archive.open("rb") as source:
            heads = restore(address, source, keep_api_keys=keep_api_keys)
    _tell(heads)


def _tell(heads: Mapping[str, Head | StoredHead]) -> None:
    """In the words of `shadow verify`; not on the pipe, which may carry the archive."""
    for table, head in heads.items():
        name = " of evidence" if table == "evidence_log" else ""
        typer.echo(f"{head.sequence} rows{name} hold, up to {head.digest}", err=True)


@contextmanager
def _writing_to(archive: Path) -> Iterator[IO[bytes]]:
    """A new file that only this user may read, and that is gone if the backup fails."""
    if archive == PIPE:
        yield sys.stdout.buffer
        return
    part = archive.with_name(f"{archive.name}.part")
    try:
        descriptor = _make(part)
    except OSError as error:
        raise typer.BadParameter(f"{part.name} cannot be made: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        try:
            os.close(_make(archive))
        except FileExistsError as error:
            raise typer.BadParameter(f"{archive.name} is there already") from error
        part.replace(archive)  # no link: network shares and exFAT have none
    finally:
        part.unlink(missing_ok=True)


def _make(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

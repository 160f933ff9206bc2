"""`cxr-triage keys ...`: who may use the service; a running service follows the file."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from errno import EISDIR
from os import strerror
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from service.access.keyfile import KeyFile, StoredKey, edit_keys, load_keys
from service.access.keys import draw_key
from service.access.scopes import Scope
from service.core.errors import CxrError
from service.core.files import make_private

app = typer.Typer(help="API keys of programs.", no_args_is_help=True)

SPAN: Final = re.compile(r"(?P<number>[1-9][0-9]{0,3})(?P<unit>[smhdw])")
UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
NEVER: Final = "never"
UNBROKEN: Final = frozenset({"id", "replaced by"})
"""Columns that are copied: a line break in one would make it another."""

KeyId = Annotated[str, typer.Argument(metavar="ID", help="As `keys list` shows it.")]
Out = Annotated[
    Path | None, typer.Option(help="Write the key there, private, instead of showing it.")
]


def parse_span(text: str) -> timedelta:
    """`90d` -> 90 days."""
    found = SPAN.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no time such as 90d, 24h or 30m")
    return timedelta(**{UNITS[found["unit"]]: int(found["number"])})


def parse_expiry(text: str) -> timedelta | None:
    """As `parse_span`, or `never`."""
    return None if text == NEVER else parse_span(text)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Who will hold it; stands in logs and the record.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; may be given again.")],
    expires: Annotated[str, typer.Option(help="For how long it is good, or `never`.")] = "365d",
    requests_per_minute: Annotated[int | None, typer.Option(help="Instead of the default.")] = None,
    max_body_bytes: Annotated[int | None, typer.Option(help="Largest upload with it.")] = None,
    out: Out = None,
) -> None:
    """Make a key. It is shown this once; only its hash is kept."""
    now, span = datetime.now(UTC), parse_expiry(expires)
    text, shown = draw_key()
    added = StoredKey(
        id=shown.id, name=name, digest=shown.digest.hex(), scopes=sorted(set(scope)), created=now,
        expires=None if span is None else now + span, requests_per_minute=requests_per_minute,
        max_body_bytes=max_body_bytes,
    )  # fmt: skip
    with _handing_over(text, out):
        edit_keys(context.obj, lambda file: file.with_key(added), now=now)
    _tell(text, added, out)


@app.command()
def rotate(
    context: typer.Context,
    key_id: KeyId,
    overlap: Annotated[str, typer.Option(help="How long the old one stays good.")] = "24h",
    expires: Annotated[str, typer.Option(help="Of the new one.")] = "365d",
    out: Out = None,
) -> None:
    """Make a key with the same rights; the old one ends when the overlap is over."""
    now, span = datetime.now(UTC), parse_expiry(expires)
    text, shown = draw_key()
    fresh = {
        "id": shown.id, "digest": shown.digest.hex(), "created": now,
        "expires": None if span is None else now + span, "revoked": None, "replaced_by": None,
    }  # fmt: skip
    made: list[StoredKey] = []

    def exchange(file: KeyFile) -> KeyFile:
        old = file.find(key_id)
        if old.state(now) != "live":
            raise typer.BadParameter(f"key {key_id} is {old.state(now)}; make a new one")
        ends = now + parse_span(overlap)
        ends = ends if old.expires is None else min(ends, old.expires)
        made.append(old.model_copy(update=fresh))
        retired = old.model_copy(update={"expires": ends, "replaced_by": shown.id})
        return file.with_key(retired).with_key(made[0])

    with _handing_over(text, out):
        edit_keys(context.obj, exchange, now=now)
    _tell(text, made[0], out)
    typer.echo(f"key {key_id} stays good for {overlap} at most", err=True)


@app.command()
def revoke(context: typer.Context, key_id: KeyId) -> None:
    """Take a key back; a running service refuses it from the next request on."""
    now = datetime.now(UTC)

    def take_back(file: KeyFile) -> KeyFile:
        old = file.find(key_id)
        return file.with_key(old.model_copy(update={"revoked": old.revoked or now}))

    edit_keys(context.obj, take_back, now=now)
    typer.echo(f"key {key_id} is revoked")


@app.command(name="list")
def list_keys(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
) -> None:
    """Show every key but its secret."""
    now = datetime.now(UTC)
    stored = load_keys(context.obj)[0].keys if context.obj.exists() else []
    keys = sorted(stored, key=lambda key: key.created)
    if as_json:
        told = [
            key.model_dump(mode="json", exclude={"digest"}) | {"state": key.state(now)}
            for key in keys
        ]
        typer.echo(json.dumps(told, indent=1))
        return
    table = Table(box=None, header_style="bold")
    for heading in ("id", "name", "scopes", "state", "until", "replaced by", "a minute", "bytes"):
        table.add_column(heading, overflow="fold", no_wrap=heading in UNBROKEN)
    for key in keys:
        end = key.ended()
        table.add_row(
            key.id, key.name, " ".join(key.scopes), key.state(now),
            NEVER if end is None else end.strftime("%Y-%m-%d %H:%M"), key.replaced_by or "-",
            str(key.requests_per_minute or "-"), str(key.max_body_bytes or "-"),
        )  # fmt: skip
    Console().print(table)


class OutUnwritable(CxrError):
    """Where the key should go cannot be written; no key was made."""

    code = "OUT_UNWRITABLE"


@contextmanager
def _handing_over(text: str, out: Path | None) -> Iterator[None]:
    """Lay the key down before the file knows it, and take it back if the file does not.

    Raises
    ------
    OutUnwritable
        The key would be known to the service and to nobody else.
    """
    if out is None:
        yield
        return
    beside = out.with_name(f".{out.name}.new")
    try:
        if out.is_dir():
            raise IsADirectoryError(EISDIR, strerror(EISDIR))
        beside.unlink(missing_ok=True)
        make_private(beside, text.encode())
    except OSError as error:
        raise OutUnwritable(
            f"{out} cannot be written: {error.strerror}; no key was made"
        ) from error
    try:
        yield
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    beside.replace(out)


def _tell(text: str, key: StoredKey, out: Path | None) -> None:
    """The key alone goes to standard output, so that it can be piped; the rest is for the eyes."""
    typer.echo(f"key {key.id} for {key.name}: {' '.join(key.scopes)}", err=True)
    if out is None:
        typer.echo(text)
        return
    typer.echo(f"written to {out}", err=True)

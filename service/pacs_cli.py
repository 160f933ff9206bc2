"""`cxr-triage pacs status | retry | dead-letters`: what waits on its way in from the PACS."""

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from service.pacs.queue import Queue, open_queue

app = typer.Typer(help="What waits on its way in from the PACS.", no_args_is_help=True)

DEAD_LETTERS_EXIT = 3
"""There are dead letters: for scripts."""

FULL_COLUMNS = 120
"""An id is given back to `retry`, so it is never cut: a narrower terminal breaks the line."""

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


@dataclass(frozen=True, slots=True)
class QueueAddress:
    """Where the queue is; the command line makes it from the settings."""

    file: Path
    is_on: bool


@app.command()
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show how much waits, how it ended so far, and how far the changes were read."""
    with _open(context) as queue:
        counts, depth, position = queue.counts(), queue.depth(), queue.position()
        oldest = 0.0 if depth.oldest_noticed is None else time.time() - depth.oldest_noticed
        facts: dict[str, int | float | None] = {
            **{state.value: count for state, count in counts.items()},
            "oldest_waiting_seconds": round(max(0.0, oldest), 1),
            "last_sequence": None if position is None else position.sequence,
            "resets": queue.resets(),
        }
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        table = Table("what", "")
        for name, value in facts.items():
            table.add_row(name.replace("_", " "), "-" if value is None else str(value))
        _print(table)
    raise typer.Exit(DEAD_LETTERS_EXIT if depth.dead else 0)


@app.command(name="dead-letters")
def dead_letters(context: typer.Context, as_json: AsJson = False) -> None:
    """List the instances that were given up: Orthanc's id, the code, the tries, when."""
    with _open(context) as queue:
        letters = queue.dead_letters()
    table = Table("instance", "code", "tries", "given up", box=None, header_style="bold")
    for letter in letters:
        when = datetime.fromtimestamp(letter.settled, UTC).isoformat(timespec="seconds")
        if as_json:
            facts = {"code": letter.code, "tries": letter.tries, "given_up": when}
            typer.echo(json.dumps({"instance": letter.instance, **facts}))
        table.add_row(letter.instance, letter.code, str(letter.tries), when)
    if not as_json:
        _print(table)
    raise typer.Exit(DEAD_LETTERS_EXIT if letters else 0)


@app.command()
def retry(
    context: typer.Context,
    instances: Annotated[list[str] | None, typer.Argument(help="Orthanc's ids.")] = None,
    is_all: Annotated[bool, typer.Option("--all", help="Every dead letter.")] = False,
) -> None:
    """Let dead letters wait again from their first try; a running service takes them up."""
    if bool(instances) == is_all:
        raise typer.BadParameter("name the instances, or say --all")
    with _open(context) as queue:
        revived = queue.retry(None if is_all else frozenset(instances or ()))
    typer.echo(f"{revived} waiting again")
    raise typer.Exit(0 if is_all or revived == len(set(instances or ())) else 1)


def _print(table: Table) -> None:
    """What stands in square brackets or between colons is the PACS's word, and shown as it is."""
    console = Console(markup=False, emoji=False)
    console.width = max(console.width, FULL_COLUMNS)
    console.print(table, soft_wrap=True)


@contextmanager
def _open(context: typer.Context) -> Iterator[Queue]:
    address: QueueAddress = context.obj
    if not address.file.exists():
        told = "the service was not started yet" if address.is_on else "CXR_PACS__URL is not set"
        typer.echo(f"there is no queue: {told}", err=True)
        raise typer.Exit(1)
    with closing(open_queue(address.file, time.time)) as queue:
        yield queue

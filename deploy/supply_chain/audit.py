"""Known weaknesses of what is shipped: pip-audit over a lock, and never a pass by silence.

Exit 0: every locked library was looked up, and none has an advisory without an exception.
Exit 1: an advisory, or an exception whose day has come. Exit 3: the database was not to be had.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.supply_chain.exceptions import EXCEPTIONS, Exceptions, read_exceptions
from deploy.supply_chain.soup import locked

FOUND_EXIT, NO_DATABASE_EXIT = 1, 3

app = typer.Typer(add_completion=False)


class NoDatabase(Exception):
    """The advisories could not be had, or not for all."""


@dataclass(frozen=True, slots=True)
class Advisory:
    """One known weakness of one locked library."""

    package: str
    version: str
    id: str
    fixed_in: str


def look_up(lock: Path, exceptions: Exceptions, options: Sequence[str]) -> list[Advisory]:
    """Ask for every library of the lock.

    Raises
    ------
    NoDatabase
        An answer is missing, be it for one library.
    """
    names = locked(lock)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "requirements.txt"
        plain.write_text("".join(f"{name}=={version}\n" for name, version in names.items()))
        ignored = [word for e in exceptions.advisory for word in ("--ignore-vuln", e.id)]
        done = subprocess.run(  # noqa: S603 - our own interpreter, words of our own
            [sys.executable, "-m", "pip_audit", "--requirement", plain, "--no-deps",
             "--disable-pip", "--format", "json", "--progress-spinner", "off", *ignored, *options],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    try:
        told = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError) as error:
        last = done.stderr.strip().splitlines()[-1:] or ["no answer"]
        raise NoDatabase(last[0][:300]) from error
    return advisories_in(told, names)


def advisories_in(told: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> list[Advisory]:
    """Of an answer that speaks of every name; a skipped library is no answer."""
    answered = {entry["name"] for entry in told if "skip_reason" not in entry}
    missing = sorted(set(names) - answered)
    if missing:
        raise NoDatabase(f"no answer for {len(missing)} of {len(names)}, for example {missing[0]}")
    return [
        Advisory(entry["name"], entry["version"], flaw["id"], ", ".join(flaw["fix_versions"]))
        for entry in told
        for flaw in entry["vulns"]
    ]


@app.command()
def audit(
    lock: Annotated[Path, typer.Argument(help="A requirements file with pinned versions.")],
    service: Annotated[str, typer.Option(help="osv or pypi.")] = "osv",
    service_url: Annotated[
        str | None, typer.Option(help="A mirror of the OSV service, where the site has one.")
    ] = None,
    exceptions_file: Annotated[Path, typer.Option()] = EXCEPTIONS,
) -> None:
    """Look every library up; say what is known, or that nothing could be known."""
    exceptions = read_exceptions(exceptions_file)
    faults = [*exceptions.faults(datetime.now(UTC).date())]
    for fault in faults:
        typer.echo(fault, err=True)
    url = [] if service_url is None else ["--osv-url", service_url]
    try:
        found = look_up(lock, exceptions, ["--vulnerability-service", service, *url])
    except NoDatabase as error:
        typer.echo(f"NOT AUDITED: the advisory database cannot be had ({error})", err=True)
        raise typer.Exit(NO_DATABASE_EXIT) from error
    for advisory in found:
        told = f"{advisory.package} {advisory.version}: {advisory.id}"
        typer.echo(f"{told}, fixed in {advisory.fixed_in or 'no version yet'}", err=True)
    if found or faults:
        raise typer.Exit(FOUND_EXIT)
    typer.echo(f"{len(locked(lock))} libraries looked up, no advisory without an exception")


if __name__ == "__main__":
    app()

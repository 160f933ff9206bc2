"""The SOUP list: every library that is shipped, from the SBOM, the lock and a table of reasons.

SOUP is "software of unknown provenance" in the sense of IEC 62304: made by others, not for us.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from packaging.requirements import Requirement

from deploy.supply_chain.exceptions import Exceptions, LicenceException, read_exceptions
from deploy.supply_chain.licences import is_permissive, licence_of

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements/cpu.txt"
PAGE = ROOT / "docs/soup.md"
PURPOSES = Path(__file__).with_name("soup.toml")
PYTHONS = ("3.11", "3.12", "3.13")

HEAD = """# Software that is not ours

Every library of the CPU service, written by `make soup` from the SBOM of an installation and
`requirements/cpu.txt`. "Risk" says where the harm that a fault of the library could do is noticed
or bounded. A library that only others need inherits theirs.

| library | version | licence | purpose | risk is controlled by |
| --- | --- | --- | --- | --- |
"""

EXCEPTED = """
## Licences that are not permissive

Each is an exception with a day on which somebody must look again
(`deploy/supply_chain/exceptions.toml`).

| library | inside it | licence | why | until |
| --- | --- | --- | --- | --- |
"""

app = typer.Typer(add_completion=False)


class SoupUnknown(ValueError):
    """A library is shipped that nobody gave a reason for."""


@dataclass(frozen=True, slots=True)
class Library:
    """One line of the list."""

    name: str
    version: str
    licence: str
    purpose: str
    control: str


def locked(lock: Path = LOCK) -> dict[str, str]:
    """Name and version of what the lock installs on Linux, whatever the Python."""
    found = {}
    for line in lock.read_text("utf-8").splitlines():
        if re.match(r"[a-z0-9]", line):
            requirement = Requirement(line.rstrip(" \\"))
            if _is_shipped(requirement):
                found[requirement.name] = str(requirement.specifier).removeprefix("==")
    return found


def libraries(sbom: Mapping[str, Any], lock: Mapping[str, str]) -> list[Library]:
    """Every locked library with its licence and its reason.

    Raises
    ------
    SoupUnknown
        One is not in the SBOM, in another version, or without a purpose.
    """
    purposes = tomllib.loads(PURPOSES.read_text("utf-8"))
    components = {_plain(part["name"]): part for part in sbom["components"]}
    dependants = _dependants(sbom, set(lock))
    return [
        _library(name, version, components.get(name), purposes, dependants.get(name, []))
        for name, version in sorted(lock.items())
    ]


def render(found: Iterable[Library], exceptions: Exceptions) -> str:
    """The page."""
    rows = [
        f"| {row.name} | {row.version} | {row.licence} | {row.purpose} | {row.control} |"
        for row in found
    ]
    excepted = [
        f"| {e.package} | {e.inside or '-'} | {e.licence} | {e.reason} | {e.until} |"
        for e in exceptions.licence
    ]
    return HEAD + "\n".join(rows) + "\n" + EXCEPTED + "\n".join(excepted) + "\n"


def licence_faults(
    found: Iterable[Library], exceptions: Iterable[LicenceException]
) -> Iterator[str]:
    """Licences that are neither permissive nor excepted."""
    excepted = {(e.package, e.licence) for e in exceptions if e.inside is None}
    for library in found:
        if not is_permissive(library.licence) and (library.name, library.licence) not in excepted:
            yield f"{library.name}: {library.licence or 'says no licence'}"


@app.command()
def write(
    sbom: Annotated[Path, typer.Argument(help="CycloneDX JSON of an installed environment.")],
    page: Annotated[Path, typer.Option(help="Written there.")] = PAGE,
) -> None:
    """Write the page anew; refuse a licence that nobody excepted."""
    exceptions = read_exceptions()
    found = libraries(json.loads(sbom.read_text("utf-8")), locked())
    faults = [*licence_faults(found, exceptions.licence)]
    page.write_text(render(found, exceptions), "utf-8")
    typer.echo(f"{len(found)} libraries in {page.name}")
    for fault in faults:
        typer.echo(fault, err=True)
    raise typer.Exit(1 if faults else 0)


def _library(
    name: str,
    version: str,
    component: Mapping[str, Any] | None,
    purposes: Mapping[str, Mapping[str, str]],
    dependants: list[str],
) -> Library:
    if component is None or component["version"] != version:
        seen = "nothing" if component is None else component["version"]
        raise SoupUnknown(f"{name}: the lock says {version}, the SBOM {seen}")
    reason = purposes.get(name)
    if reason is None and not dependants:
        raise SoupUnknown(f"{name} has no purpose in {PURPOSES.name}, and no other needs it")
    inherited = f"needed by {', '.join(dependants)}"
    told = reason or {"purpose": inherited, "control": "as what needs it"}
    licence = licence_of(component.get("licenses", []))
    return Library(name, version, licence, told["purpose"], told["control"])


def _dependants(sbom: Mapping[str, Any], names: set[str]) -> dict[str, list[str]]:
    refs = {part["bom-ref"]: _plain(part["name"]) for part in sbom["components"]}
    found: dict[str, list[str]] = {}
    for node in sbom.get("dependencies", []):
        above = refs.get(node["ref"])
        for below in node.get("dependsOn", []):
            if above in names and below in refs:
                found.setdefault(refs[below], []).append(str(above))
    return {name: sorted(above) for name, above in found.items()}


def _is_shipped(requirement: Requirement) -> bool:
    if requirement.marker is None:
        return True
    return any(
        requirement.marker.evaluate(
            {
                "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix",
                "python_version": version, "python_full_version": f"{version}.0",
            }
        )
        for version in PYTHONS
    )  # fmt: skip


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    app()

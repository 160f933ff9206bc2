"""CycloneDX SBOM of the Debian packages below a root: of this machine, or of an unpacked image."""

import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

FIELDS = ("Package", "Version", "Architecture", "source:Package", "source:Version")
STATUS = "db:Status-Abbrev"
INSTALLED = "ii"
LICENCE_LINE = re.compile(r"^License:[ \t]*(\S.*)$", re.MULTILINE)

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """One installed package."""

    name: str
    version: str
    architecture: str
    source: str
    source_version: str


def installed(root: Path) -> list[DebianPackage]:
    """What dpkg below a root says is installed."""
    columns = "\t".join(f"${{{field}}}" for field in (STATUS, *FIELDS))
    done = subprocess.run(  # noqa: S603 - words of our own
        ["dpkg-query",  # noqa: S607 - wherever this system has it
          f"--admindir={root}/var/lib/dpkg", "-W", f"-f={columns}\n"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = (line.split("\t") for line in done.stdout.splitlines())
    return [DebianPackage(*fields) for status, *fields in rows if status.strip() == INSTALLED]


def licences(root: Path, package: DebianPackage) -> list[str]:
    """Names in the package's machine-readable copyright file; none where it has none."""
    path = root / "usr/share/doc" / package.name / "copyright"
    if not path.is_file():
        return []
    text = path.read_text("utf-8", errors="replace")
    if not text.lstrip().startswith("Format:"):
        return []
    return sorted({name.strip() for name in LICENCE_LINE.findall(text)})


def build_bom(root: Path, packages: Iterable[DebianPackage]) -> Bom:
    """The SBOM; without a time or a random number, so that equal images give equal bytes."""
    return Bom(components=list(_components(root, packages)))


@app.command()
def write(
    out: Annotated[Path, typer.Argument(help="CycloneDX JSON.")],
    root: Annotated[Path, typer.Option(help="An unpacked image, or this machine.")] = Path("/"),
) -> None:
    """Write the SBOM and say how many packages it has."""
    packages = installed(root)
    if not packages:
        typer.echo(f"dpkg knows no package below {root}", err=True)
        raise typer.Exit(1)
    outputter = make_outputter(build_bom(root, packages), OutputFormat.JSON, SchemaVersion.V1_6)
    out.write_text(outputter.output_as_string(indent=1), "utf-8")
    typer.echo(f"{len(packages)} Debian packages in {out.name}")


def _components(root: Path, packages: Iterable[DebianPackage]) -> Iterator[Component]:
    for package in packages:
        upstream = f"{package.source}@{package.source_version}"
        address = PackageURL(
            "deb", "debian", package.name, package.version,
            {"arch": package.architecture, "upstream": upstream},
        )  # fmt: skip
        yield Component(
            name=package.name, version=package.version, type=ComponentType.LIBRARY, purl=address,
            bom_ref=str(address),
            licenses=[DisjunctiveLicense(name=name) for name in licences(root, package)],
        )  # fmt: skip


if __name__ == "__main__":
    app()
